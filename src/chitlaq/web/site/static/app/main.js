/** The members' application: takes over the page that the server rendered. */

import { useEffect, useMemo, useRef } from "../vendor/hooks.js";
import { hydrate, render } from "../vendor/preact.js";
import { effect, signal } from "../vendor/signals.js";
import { onSessionEnd, read, renewed } from "./api.js";
import { count, first, html, number, remember, t, useLeft } from "./base.js";
import { blank } from "./components/parts.js";
import { AWAY, begin, isBusy, refresh, retry, shown } from "./router.js";
import { MEMBER, OUTBOX, badge, called, chats, me, now, reason, said, say, unread } from "./store.js";

const MINUTE_MS = 60_000;
const SECOND_MS = 1000;

const dialog = signal(/** @type {any} */ (null));

/** The screen that is shown. */
function Screen() {
  const screen = shown.value;
  if (screen === null) return null;
  if (screen.problem) return html`<${Refusal} problem=${screen.problem} />`;
  return html`<${screen.view.View} key=${screen.path} ...${screen} />`;
}

/** Why there is nothing to show, and what to do. @param {{problem: any}} properties */
function Refusal({ problem }) {
  if (problem.status === 404) {
    return html`<h1 class="title" tabindex="-1">${t("nothing.title")}</h1>${blank(t("nothing.text"), "/home", t("shell.home"))}`;
  }
  return html`
    <h1 class="title" tabindex="-1">${t("problem.title")}</h1>
    <p class="note">${reason(problem)}</p>
    <${Again} problem=${problem} />
    ${problem.requestId && html`<p class="request-id">${t("problem.id", { id: problem.requestId })}<button class="quiet" type="button" onClick=${() => copy(problem.requestId)}>${t("problem.copy")}</button></p>`}
  `;
}

/** For whoever is asked for help. @param {string} id */
const copy = (id) => navigator.clipboard.writeText(id).then(() => say(t("problem.copied")), say);

/** Tries again: by itself if it was said how long to wait, or if nobody answered. @param {{problem: any}} properties */
function Again({ problem }) {
  const due = useMemo(() => (problem.retryAfter ? Date.now() + problem.retryAfter * 1000 : 0), [problem]);
  const left = useLeft(due);
  const isWaiting = left > 0;
  useEffect(() => {
    if (due && !isWaiting) retry();
  }, [due, isWaiting]);
  useEffect(() => {
    if (due || !AWAY.has(problem.status)) return;
    let timer = 0;
    let isOver = false;
    // Not all of a lecture hall at once.
    const wait = (/** @type {number} */ ms) => (timer = setTimeout(tried, ms * (1 - Math.random() / 2), ms));
    const tried = async (/** @type {number} */ ms) => {
      await refresh().catch(() => undefined);
      if (!isOver) wait(Math.min(2 * ms, MINUTE_MS));
    };
    wait(SECOND_MS);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [problem]);
  return html`<p class="more"><button type="button" disabled=${isWaiting} onClick=${retry}>${isWaiting ? t("problem.wait", { n: number(left) }) : t("problem.again")}</button></p>`;
}

/** What lies over the screen: what was said, and dialogs. */
function Over() {
  return html`<div class="toast"><p role="status">${said.value?.text}</p>${said.value && html`<${Doors} ...${said.value} />`}</div>${dialog.value}`;
}

/** What one can do about what was said, once the server takes it. @param {{door?: import("./store.js").Door, due: number}} properties */
function Doors({ door, due }) {
  const left = useLeft(due);
  const wait = left > 0 && t("problem.wait", { n: number(left) });
  const button = useRef(/** @type {any} */ (null));
  const act = () => {
    said.value = null;
    door?.act();
  };
  // What had the focus may be gone, as what was deleted; then this will be.
  useEffect(() => {
    if (document.activeElement === document.body) button.current?.focus();
    return () => document.activeElement === button.current && /** @type {any} */ (main.querySelector("h1"))?.focus({ preventScroll: true });
  }, [door]);
  if (door) return html`<button ref=${button} type="button" disabled=${Boolean(wait)} onClick=${act}>${wait || door.label}</button>`;
  return wait && html`<span aria-hidden="true">${wait}</span>`;
}

/** @type {Promise<boolean> | null} */
let asking = null;

onSessionEnd(() => {
  asking ??= import("./components/sign_in.js").then(
    ({ SignIn }) =>
      new Promise((resolve) => {
        // What is on the screen was for somebody who was signed in.
        document.documentElement.dataset.ended = "";
        import("./offline.js").then(({ forget }) => forget());
        const onDone = (/** @type {boolean} */ isSignedIn) => {
          asking = null;
          dialog.value = null;
          resolve(isSignedIn);
          if (isSignedIn) delete document.documentElement.dataset.ended;
          else location.assign(`/login?return_to=${encodeURIComponent(location.pathname + location.search)}`);
        };
        dialog.value = html`<${SignIn} onDone=${onDone} />`;
      }),
  );
  return asking;
});

addEventListener("submit", async (event) => {
  const { target } = event;
  if (!(target instanceof HTMLFormElement && target.action.endsWith("/logout"))) return;
  if (localStorage.getItem(OUTBOX)) {
    event.preventDefault();
    const { Confirm } = await import("./components/dialog.js");
    const onDone = (/** @type {boolean} */ isSure) => {
      dialog.value = null;
      if (!isSure) return;
      localStorage.removeItem(OUTBOX);
      target.requestSubmit();
    };
    dialog.value = html`<${Confirm} title=${t("unsent.leave")} text=${t("unsent.leave-text")} action=${t("shell.sign-out")} onDone=${onDone} />`;
    return;
  }
  // Whoever uses this browser next is somebody else.
  localStorage.clear();
  indexedDB.deleteDatabase("chitlaq");
});

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
render(html`<${Over} />`, /** @type {HTMLElement} */ (document.getElementById("over")));
// Without the session, the server has nothing to show: with a new token it has, and without one it asks to sign in.
if (first.stale) await renewed(performance.timeOrigin).then(() => location.reload(), retry);
// Without a name, drafts, the outbox and where one was are not found; the server waits for none of its parts for long.
else if (!me.value) me.value = await read("/api/users/me").catch(() => null);
let isMounted = !first.stale && (await begin());
if (isMounted) hydrate(html`<${Screen} />`, main);
effect(() => {
  if (shown.value === null || isMounted) return;
  isMounted = true;
  main.replaceChildren();
  render(html`<${Screen} />`, main);
});
if (!first.stale) document.documentElement.dataset.ready = String(performance.now());

effect(() => {
  if (isBusy.value) main.setAttribute("aria-busy", "true");
  else main.removeAttribute("aria-busy");
});
effect(() => {
  const path = shown.value?.path.split("?")[0].replace(/^(\/chat)\/.*/, "$1");
  for (const link of document.querySelectorAll("nav.bar > a")) {
    if (link.getAttribute("href") === path) link.setAttribute("aria-current", "page");
    else if (path) link.removeAttribute("aria-current");
  }
});
for (const [place, waiting, words] of /** @type {[string, {value: number}, string][]} */ ([
  [".to-notifications", unread, "notifications.unread"], [".to-chat", chats, "chat.totals"],
])) {
  effect(() => {
    const [shownNumber, spoken] = document.querySelectorAll(`${place} > .badge, ${place} > .hidden`);
    shownNumber.textContent = badge(waiting.value);
    spoken.textContent = waiting.value ? count(words, waiting.value) : "";
  });
}
effect(() => {
  const news = unread.value + chats.value;
  document.title = news ? `(${badge(news)}) ${called.value}` : called.value;
});
// Some browsers, as Safari, do not say when they are idle.
if ("requestIdleCallback" in window) requestIdleCallback(() => import("./later.js"), { timeout: 2000 });
else setTimeout(() => import("./later.js"), 200);
if (document.querySelector(".banners")) import("./components/banners.js");
if (me.value) remember(MEMBER, me.value.username);
if (localStorage.getItem(OUTBOX)) import("./outbox.js");
setInterval(() => (now.value = Date.now()), MINUTE_MS);
