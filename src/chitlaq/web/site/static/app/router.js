/**
 * Which view an address shows. Links stay links: those to our own views are followed without a new page, all
 * others by the browser. Back shows what was there, where it was.
 */

import { signal } from "../vendor/signals.js";
import { Problem, read } from "./api.js";
import { first, t } from "./base.js";
import { called, learn } from "./store.js";

/**
 * @typedef {{reads: (parameters: Record<string, string>) => Record<string, string>, title: (shown: Shown) => string,
 *   View: (properties: Shown) => any}} ViewModule
 * @typedef {{name: string, parameters: Record<string, string>, data: Record<string, any>, view: ViewModule,
 *   change: (some: Record<string, any>) => void, problem?: unknown, path: string, keptAt?: number}} Shown
 *   `keptAt` is when a screen was read that is shown without a connection.
 */

/**
 * Each view's addresses, and the parameters after `?` that it understands; a view is the module of its name.
 * @type {[string, RegExp, string[]?][]}
 */
const ROUTES = [
  ["home", /^\/home$/],
  ["explore", /^\/explore$/],
  ["search", /^\/search$/, ["q", "type", "sort", "cursor"]],
  ["notifications", /^\/notifications$/, ["filtered", "cursor"]],
  ["compose", /^\/compose$/, ["quote", "draft"]],
  ["bookmarks", /^\/bookmarks$/],
  ["drafts", /^\/drafts$/, ["cursor"]],
  ["chat", /^\/chat$/, ["folder"]],
  ["conversation", /^\/chat\/(?<conversation>[^/]+)$/, ["at"]],
  ["tag", /^\/tags\/(?<tag>[^/]+)$/],
  ["requests", /^\/follow-requests$/, ["cursor"]],
  ["members", /^\/@(?<handle>[^/]+)\/(?<list>followers|following)$/, ["cursor"]],
  ["profile", /^\/@(?<handle>[^/]+)$/],
  ["people", /^\/@(?<handle>[^/]+)\/p\/(?<post>[^/]+)\/(?<kind>likes|reposts)$/, ["cursor"]],
  ["quotes", /^\/@(?<handle>[^/]+)\/p\/(?<post>[^/]+)\/quotes$/],
  ["history", /^\/@(?<handle>[^/]+)\/p\/(?<post>[^/]+)\/history$/],
  ["thread", /^\/@(?<handle>[^/]+)\/p\/(?<post>[^/]+)$/],
];
const BUSY_MS = 200;
const SHELL = "offline";
/** Nobody answered: what was read last may stand in. */
export const AWAY = new Set([0, 502, 503, 504]);
/** How long one waits for an answer before what was read last stands in for it, too. */
const PATIENCE_MS = 3000;
/** What is read again with a connection is shown to whoever has not read on. */
const NEAR_TOP_PX = 200;

/** Happens before another screen is shown, while what is on this one is still where it is. */
export const LEAVING = "leaving";

/** What is on the screen. @type {{value: Shown | null}} */
export const shown = signal(null);
/** Whether the next screen keeps somebody waiting. */
export const isBusy = signal(false);

/** @type {Map<string, {screen: Shown, top: number}>} What history's entries showed. */
const entries = new Map();
let key = "";
let latest = 0;
/** Whether somebody is on the way to another screen. */
let isGoing = false;

/**
 * The view that shows an address, with its parameters.
 * @param {string} address Without its origin.
 * @param {boolean} [isExact] Whether parameters that the view does not understand make it somebody else's.
 */
function match(address, isExact = false) {
  const { pathname, searchParams } = new URL(address, location.href);
  for (const [name, pattern, understood = []] of ROUTES) {
    const found = pattern.exec(pathname);
    if (!found) continue;
    const asked = [...searchParams].filter(([one]) => understood.includes(one));
    if (isExact && asked.length < searchParams.size) return null;
    const named = Object.entries(found.groups ?? {}).map(([one, value]) => [one, decodeURIComponent(value)]);
    return { name, parameters: Object.fromEntries([...named, ...asked]) };
  }
  return null;
}

/** Where we are. */
const here = () => location.pathname + location.search;

/** Go on with what the server rendered; what it had not, is read now. */
export async function begin() {
  history.scrollRestoration = "manual";
  key = history.state?.key ?? crypto.randomUUID();
  history.replaceState({ key }, "");
  addEventListener("popstate", back);
  addEventListener("click", follow);
  addEventListener("pagehide", () => sessionStorage.setItem(key, String(scrollY)));
  const known = match(here());
  // The shell, which stands in for a page without a connection, has no screen.
  if (first.view === SHELL) {
    // The worker has waited already.
    if (known) await show(here(), false, 0);
    else present({ name: SHELL, parameters: {}, data: {}, view: /** @type {any} */ ({}), path: here(), problem: new Problem(0, {}) });
    return false;
  }
  if (known === null || known.name !== first.view) return false;
  const view = await import(`./views/${known.name}.js`);
  const missing = !first.me || Object.keys(view.reads(known.parameters)).some((name) => !first.data[name]);
  if (missing) await show(here(), false);
  else {
    present({ ...known, data: first.data, view, path: here() });
    scrollTo(0, Number(sessionStorage.getItem(key)));
  }
  return !missing;
}

/** Show an address as a link does. @param {string} path */
export async function go(path) {
  const url = new URL(path, location.href);
  if (url.hash || match(url.pathname + url.search, true) === null) return location.assign(url);
  if (shown.value) entries.set(key, { screen: shown.value, top: scrollY });
  await show(url.pathname + url.search, true);
}

/** @param {string} path @param {boolean} isNew @param {number} [patience_ms] */
async function show(path, isNew, patience_ms = PATIENCE_MS) {
  const known = match(path);
  if (known === null) return location.replace(path);
  const turn = ++latest;
  isGoing = true;
  const waiting = setTimeout(() => (isBusy.value = true), BUSY_MS);
  const screen = await load(known, path, patience_ms, (late) => {
    if (turn === latest && !late.problem && scrollY < NEAR_TOP_PX) present(late);
  }).finally(() => {
    if (turn === latest) isGoing = false;
  });
  clearTimeout(waiting);
  if (turn !== latest) return;
  isBusy.value = false;
  if (isNew) {
    key = crypto.randomUUID();
    history.pushState({ key }, "", path);
  }
  const isFirst = shown.value === null;
  present(screen);
  scrollTo(0, 0);
  if (!isFirst) requestAnimationFrame(headingFocuser());
}

/** Tells those who do not see it that there is another screen, unless somebody is already in it. */
function headingFocuser() {
  const before = document.activeElement;
  return () => {
    const now = document.activeElement;
    if (now !== before && now !== document.body) return;
    /** @type {HTMLElement | null} */
    const heading = document.querySelector("main h1");
    heading?.focus({ preventScroll: true });
  };
}

/** @typedef {Omit<Shown, "change">} Loaded */

/**
 * @param {{name: string, parameters: Record<string, string>}} known @param {string} path
 * @param {number} [patience_ms] After which what was read last stands in; without it, only when nobody answers.
 * @param {(late: Loaded) => void} [onLate] Gets the answer that comes after that.
 * @returns {Promise<Loaded>}
 */
async function load(known, path, patience_ms = Infinity, onLate = () => {}) {
  const view = await import(`./views/${known.name}.js`);
  const screen = { ...known, data: {}, view, path };
  const answered = answer(screen);
  if (await isLate(answered, patience_ms)) {
    const kept = await stored(screen);
    if (kept) {
      // After that is shown.
      answered.then((late) => setTimeout(onLate, 0, late));
      return kept;
    }
  }
  const found = await answered;
  const isAway = found.problem instanceof Problem && AWAY.has(found.problem.status);
  return (isAway && (await stored(screen))) || found;
}

/** @param {Promise<unknown>} answered @param {number} patience_ms @returns {Promise<boolean>} */
function isLate(answered, patience_ms) {
  if (patience_ms === Infinity) return Promise.resolve(false);
  const late = new Promise((resolve) => setTimeout(resolve, patience_ms, true));
  return Promise.race([answered.then(() => false), late]);
}

/** A screen with what the server says. @param {Loaded} screen @returns {Promise<Loaded>} */
async function answer(screen) {
  const wanted = Object.entries(screen.view.reads(screen.parameters));
  try {
    const parts = await Promise.all(wanted.map(async ([name, from]) => [name, learn(await read(from))]));
    return { ...screen, data: Object.fromEntries(parts) };
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    return { ...screen, problem };
  }
}

/** A screen with what was read last, if that was kept. @param {Loaded} screen @returns {Promise<Loaded | undefined>} */
async function stored(screen) {
  const { kept } = await import("./offline.js");
  const found = await kept(screen.path);
  return found && { ...screen, data: found.data, keptAt: found.at };
}

/** Try again what was refused. */
export function retry() {
  return show(here(), false);
}

/** Read again what is shown, and stay where we are; whoever is on the way to another screen gets there. */
export async function refresh() {
  const known = match(here());
  if (known === null || isGoing) return;
  const turn = ++latest;
  const screen = await load(known, here());
  if (turn === latest && !screen.problem) present(screen);
}

/** @param {Omit<Shown, "change">} screen */
function present(screen) {
  dispatchEvent(new Event(LEAVING));
  const change = (/** @type {Record<string, any>} */ some) => {
    const current = shown.value;
    if (current?.path === screen.path) shown.value = { ...current, data: { ...current.data, ...some } };
  };
  shown.value = { ...screen, change };
  const problem = /** @type {any} */ (screen.problem);
  const name = problem ? t(problem.status === 404 ? "nothing.title" : "problem.title") : screen.view.title(shown.value);
  called.value = `${name} – ChitLaq`;
}

async function back() {
  // A link to a place in the page, as those that skip, leads to the same screen, and gives the focus to that place.
  if (history.state === null) history.replaceState({ key }, "");
  if (history.state.key === key) return;
  if (shown.value) entries.set(key, { screen: shown.value, top: scrollY });
  ({ key } = history.state);
  const entry = entries.get(key);
  if (entry === undefined) return show(here(), false);
  latest++;
  isGoing = false;
  isBusy.value = false;
  present(entry.screen);
  const focusHeading = headingFocuser();
  requestAnimationFrame(() => {
    scrollTo(0, entry.top);
    focusHeading();
  });
}

/** @param {MouseEvent} event */
function follow(event) {
  const link = /** @type {Element} */ (event.target).closest?.("a[href]");
  if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button !== 0) return;
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || link.target || link.download) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || url.hash || match(url.pathname + url.search, true) === null) return;
  event.preventDefault();
  go(url.pathname + url.search);
}
