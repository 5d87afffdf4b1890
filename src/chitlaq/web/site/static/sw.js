/**
 * The service worker: the application opens without a connection, and pushes are shown. The server puts `build`
 * before this.
 *
 * It keeps the static files of its version, all of them, so that a page never gets some of one version and some of
 * another; and reads the shell, a page without a screen, which pages put beside them (`offline.js`). What members
 * read is none of its business: pages keep that, and remove it.
 */

const FILES = "files-";
/** How long a page may take on a bad network before the shell stands in for it. */
const PATIENCE_MS = 5000;
const UNAUTHORIZED = 401;
const AWAY = new Set([502, 503, 504]);
/** What is not for the shell: answers of programs, and the operators' pages. */
const OTHERS = /^\/(?:api|ops)\//;

const worker = /** @type {any} */ (self);
/** @type {{version: string, files: string[], words: Record<string, string>}} */
const build = worker.build;
const own = FILES + build.version;

worker.addEventListener("install", (/** @type {any} */ event) => event.waitUntil(install()));
worker.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(activate()));
worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (origin !== worker.location.origin || request.method !== "GET") return;
  if (request.mode === "navigate" && !OTHERS.test(pathname)) event.respondWith(page(event));
  else if (pathname.startsWith("/static/")) event.respondWith(file(request));
});

async function install() {
  const cache = await caches.open(own);
  await Promise.all(
    build.files.map(async (name) => {
      const answer = await fetch(name);
      // In the midst of an upgrade there may be another version's: try again with the next page.
      if (!answer.ok || answer.headers.get("Cache-Control") === "no-store") throw new Error(`no ${name} of this version`);
      await cache.put(name, answer);
    }),
  );
  await worker.skipWaiting();
}

/** Leave what no page needs: those of the version before may still be open. */
async function activate() {
  const versions = (await caches.keys()).filter((name) => name.startsWith(FILES) && name !== own);
  await Promise.all(versions.slice(0, -1).map((name) => caches.delete(name)));
  await worker.registration.navigationPreload?.enable();
  await worker.clients.claim();
  for (const one of await worker.clients.matchAll()) one.postMessage({ version: build.version });
}

/** Without making a cache where there is none: after signing out, there shall be none. */
const keptShell = () => caches.match("/shell", { cacheName: own });

/** A page from the server; the shell if there is no answer. @param {any} event */
async function page(event) {
  const asked = answered(event);
  const shell = await keptShell();
  if (shell === undefined) return asked;
  event.waitUntil(asked.catch(() => undefined));
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  const answer = await Promise.race([asked.catch(() => undefined), late]);
  return answer === undefined || AWAY.has(answer.status) ? shell : answer;
}

/** @param {any} event @returns {Promise<Response>} */
async function answered(event) {
  return (await event.preloadResponse) ?? fetch(event.request);
}

/** A file of any version that is kept. @param {Request} request */
async function file(request) {
  return (await caches.match(request, { ignoreVary: true })) ?? fetch(request);
}

// A push says that there is something, and nothing of what: it is shown on locked screens, too.
worker.addEventListener("push", (/** @type {any} */ event) => event.waitUntil(tell()));
worker.addEventListener("pushsubscriptionchange", (/** @type {any} */ event) => event.waitUntil(renew(event)));
worker.addEventListener("notificationclick", (/** @type {any} */ event) => {
  event.notification.close();
  event.waitUntil(visit("/notifications"));
});

async function tell() {
  const shell = await keptShell();
  const language = shell?.headers.get("Content-Language") ?? worker.navigator.language.slice(0, 2);
  await worker.registration.showNotification("ChitLaq", {
    body: build.words[language] ?? build.words.en,
    lang: language,
    icon: `/static/${build.version}/icons/app-192.png`,
    tag: "told",
  });
}

/** Another subscription takes the place of one that the browser gave up. @param {any} event */
async function renew({ oldSubscription, newSubscription }) {
  const next = newSubscription ?? (oldSubscription && (await worker.registration.pushManager.subscribe(oldSubscription.options)));
  // Whoever switched pushes off here meanwhile has none.
  if (!next) return;
  if ((await post("/api/notifications/push", next)).status !== UNAUTHORIZED) return;
  const { ok } = await worker.navigator.locks.request("refresh", () => post("/api/auth/refresh", {}));
  if (ok) await post("/api/notifications/push", next);
}

/** @param {string} path @param {unknown} body */
function post(path, body) {
  return fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** @param {string} path */
async function visit(path) {
  const [first] = await worker.clients.matchAll({ type: "window" });
  if (first === undefined) return worker.clients.openWindow(path);
  await first.focus();
  return first.navigate(path);
}
