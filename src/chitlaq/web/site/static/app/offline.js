/**
 * Works without a connection: the shell and the last content of some screens are kept in this browser, until its
 * member signs out or the session ends. The service worker (`/sw.js`) opens the shell; the screen's content is here.
 */

import { effect, signal } from "../vendor/signals.js";
import { reached, send } from "./api.js";
import { files, first, html, t } from "./base.js";
import { refresh, shown } from "./router.js";
import { me } from "./store.js";

/** @typedef {{at: number, data: Record<string, any>}} Kept */

const KEPT = "kept:";
const KEEP_MS = 1000;
const MOST_SCREENS = 15;
const MOST_LETTERS = 500_000;
/** The screens whose last content is kept, as the member was shown them. */
const SCREENS = new Set(["home", "notifications", "chat", "conversation"]);

const version = files.split("/")[2];
/** Whether a newer version waits for this page to be opened again. */
const isOutdated = signal(false);
const clock = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

const name = () => KEPT + (me.value?.username ?? "");

/** What a screen showed last. @param {string} path @returns {Promise<Kept | undefined>} */
export async function kept(path) {
  const found = await caches.match(path, { cacheName: name() });
  return found?.json();
}

/** Forget what was read here: what is kept is for nobody else. What was written stays. */
export async function forget() {
  await Promise.all((await caches.keys()).filter((one) => one.startsWith(KEPT)).map((one) => caches.delete(one)));
  await (await caches.open(`files-${version}`)).delete("/shell");
}

/** @param {import("./router.js").Shown} screen */
async function keep({ path, data }) {
  const cache = await caches.open(name());
  const text = JSON.stringify({ at: Date.now(), data });
  if (text.length > MOST_LETTERS) return;
  // The latest is last.
  await cache.delete(path);
  await cache.put(path, new Response(text));
  const paths = await cache.keys();
  await Promise.all(paths.slice(0, -MOST_SCREENS).map((one) => cache.delete(one)));
}

let keeping = 0;
effect(() => {
  const screen = shown.value;
  clearTimeout(keeping);
  if (!screen || !me.value || !SCREENS.has(screen.name) || screen.problem || screen.keptAt) return;
  keeping = setTimeout(() => keep(screen), KEEP_MS);
});

/** Keep the page that the service worker opens, in the language and colours that were chosen. */
async function keepShell() {
  const { lang, dataset } = document.documentElement;
  const sign = JSON.stringify([lang, dataset.theme, dataset.keys, dataset.scrolling, me.value]);
  const cache = await caches.open(`files-${version}`);
  const before = await cache.match("/shell");
  if (before?.headers.get("X-Sign") === encodeURIComponent(sign)) return;
  const answer = await send("/shell", { method: "GET" });
  const text = await answer.text();
  // Not a page to sign in, nor one of a newer version, whose files are not here.
  if (!answer.ok || answer.redirected || !text.includes(`"${files}"`)) return;
  const policy = answer.headers.get("Content-Security-Policy") ?? "";
  const headers = { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy };
  await cache.put("/shell", new Response(text, {
    headers: { ...headers, "Referrer-Policy": "no-referrer", "Content-Language": lang, "X-Sign": encodeURIComponent(sign) },
  }));
}

async function register() {
  for (const one of await caches.keys()) if (one.startsWith(KEPT) && one !== name()) await caches.delete(one);
  const workers = navigator.serviceWorker;
  if (!workers) return;
  // Of the policy's name, and good for one address.
  const types = /** @type {any} */ (window).trustedTypes;
  const policy = types?.createPolicy("chitlaq-sw", { createScriptURL: () => "/sw.js" });
  workers.addEventListener("message", ({ data }) => (isOutdated.value = data.version !== version));
  await workers.register(policy ? policy.createScriptURL("") : "/sw.js");
}

addEventListener("offline", () => (reached.value = false));
addEventListener("online", () => send("/manifest.webmanifest", { method: "HEAD" }).catch(() => undefined));
if (!navigator.onLine) reached.value = false;

// What was read without a connection is read again with one; the screen does not move under who has read on.
const NEAR_TOP = 200;
let wasReached = reached.value;
effect(() => {
  const isBack = reached.value && !wasReached;
  wasReached = reached.value;
  if (isBack && /** @type {any} */ (shown).peek()?.keptAt && scrollY < NEAR_TOP) refresh();
});

/** What stands above the screen while something is not as it should be. */
export function State() {
  const screen = shown.value;
  const at = screen?.keptAt ?? 0;
  let text = "";
  let act = null;
  if (!reached.value) text = at ? t("offline.since", { time: clock.format(at) }) : t("offline.now");
  else if (at) {
    text = t("offline.kept", { time: clock.format(at) });
    act = html`<button class="quiet" type="button" onClick=${refresh}>${t("offline.refresh")}</button>`;
  } else if (isOutdated.value) {
    text = t("offline.new-version");
    act = html`<button class="quiet" type="button" onClick=${() => location.reload()}>${t("offline.reload")}</button>`;
  }
  return html`<p class="state" role="status">${text && html`<span>${text}</span>`}${act}</p>`;
}

if (me.value && !first.stale) {
  register().catch((error) => console.info("no service worker", error));
  keepShell().catch(() => undefined);
}
