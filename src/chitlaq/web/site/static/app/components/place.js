/**
 * Where one is in the home feed: kept in this browser, and gone to when the feed is opened anew, also after the browser
 * was closed.
 *
 * The place is an item and how far from the top it was; what is newer than what was seen then stays behind the button.
 * A place that cannot be read is tried again, and stays kept. Whoever reads on meanwhile is not moved: a button leads there.
 */

import { useLayoutEffect, useRef, useState } from "../../vendor/hooks.js";
import { Problem, read } from "../api.js";
import { html, number, remember, t, useLeft } from "../base.js";
import { LEAVING } from "../router.js";
import { learn, placeKey, say } from "../store.js";

export const PATH = "/api/feed/home";
export const PAGE = 20;
/** How many posts are read at once to find the place, and how often: whoever missed more than that begins with the latest. */
const MOST = 100;
const MOST_PAGES = 5;
const SAVE_MS = 400;
const SHORTEST_MS = 1000;
const LONGEST_MS = 60_000;
const NEAR_TOP_PX = 300;
const TWO_WEEKS_MS = 14 * 86_400_000;
/** What only somebody does who reads. */
const MOVES = ["wheel", "touchmove", "keydown", "pointerdown"];
/** Refusals that end: too slow, too early, too often. */
const PASSING = new Set([0, 408, 425, 429]);
const FAULT = 500;

/** What stands for an item of the feed in `after`. @param {any} one @returns {string} */
export const idOf = (one) => one.reposted_by?.id ?? one.id;

/** Whether this is where one is: until then, it is where one was before. */
export let isSettled = false;
/** Where one was, as long as nothing has led there. @type {Place | null} */
let unreached = null;

/**
 * @typedef {{id: string, post: string, offset: number, top: string, cursor: string | null, at: number}} Place
 * @typedef {{page: any, at: number, cursor: string}} Found A part of the feed, the place in it, and what led to it.
 */

/**
 * Leads to where one was, and says so if that is not possible yet.
 * @param {{now: {page: any}, change: (page: any) => void, onNewer: (newer: any) => void}} properties `now` is the feed
 *   as it is shown; `onNewer` gets what is to wait.
 */
export function Place({ now, change, onNewer }) {
  /** @type {[{isRefused: boolean, due: number} | null, (state: any) => void]} */
  const [missing, setMissing] = useState(() => (isSettled && unreached ? { isRefused: false, due: 0 } : null));
  const left = useLeft(missing?.due ?? 0);
  const go = useRef(() => {});
  // Ends with the nodes: an effect ends later, when the next screen is scrolled already.
  useLayoutEffect(() => kept(now), []);
  // Before the first look: what is newer is put behind the button.
  useLayoutEffect(() => {
    if (!isSettled) unreached ??= placeOf();
    const place = unreached;
    if (place === null) {
      isSettled = true;
      return undefined;
    }
    let isGone = false;
    let isBusy = false;
    let failures = 0;
    let due = 0;
    let timer = 0;
    const settle = () => {
      isSettled = true;
      clearTimeout(timer);
    };
    const arrive = () => {
      settle();
      unreached = null;
      setMissing(null);
    };
    const look = async (/** @type {boolean} */ isWanted) => {
      if (isBusy || (isSettled && !isWanted)) return;
      isBusy = true;
      clearTimeout(timer);
      try {
        const found = await around(place, now.page);
        if (isGone) return;
        if (found && isSettled && !isWanted) setMissing({ isRefused: false, due: 0 });
        else {
          arrive();
          if (found) show(found, place, now.page, change, onNewer);
        }
      } catch (problem) {
        if (isGone) return;
        if (!isPassing(problem)) {
          arrive();
          say(problem);
          return;
        }
        const asked_ms = /** @type {Problem} */ (problem).retryAfter * 1000;
        const wait_ms = Math.max(asked_ms, Math.min(SHORTEST_MS * 2 ** failures, LONGEST_MS));
        failures += 1;
        due = asked_ms && Date.now() + asked_ms;
        setMissing({ isRefused: true, due });
        if (!isSettled) timer = setTimeout(look, wait_ms);
      } finally {
        isBusy = false;
      }
    };
    const hurry = () => Date.now() >= due && look(false);
    go.current = () => look(true);
    addEventListener("online", hurry);
    for (const move of MOVES) addEventListener(move, settle, { passive: true });
    look(false);
    return () => {
      isGone = true;
      clearTimeout(timer);
      removeEventListener("online", hurry);
      for (const move of MOVES) removeEventListener(move, settle);
    };
  }, []);
  if (missing === null) return null;
  const button = html`<button type="button" disabled=${left > 0} onClick=${() => go.current()}>${t(missing.isRefused ? "problem.again" : "feed.back")}${left > 0 && html`<span aria-hidden="true">${t("unsent.in", { n: number(left) })}</span>`}</button>`;
  return missing.isRefused ? html`<div class="unreached"><p>${t("feed.unreached")}</p>${button}</div>` : button;
}

/** @param {unknown} problem */
const isPassing = (problem) => problem instanceof Problem && (PASSING.has(problem.status) || problem.status >= FAULT);

/** @returns {Place | null} */
function placeOf() {
  try {
    const place = JSON.parse(localStorage.getItem(placeKey()) ?? "");
    return Date.now() - place.at < TWO_WEEKS_MS ? place : null;
  } catch {
    return null;
  }
}

/** Keep where one is, until the returned function is called. @param {any} now */
function kept(now) {
  let waiting = 0;
  const save = () => {
    waiting = 0;
    if (!isSettled) return;
    const rows = [...document.querySelectorAll(".feed > [data-id]")];
    const row = rows.find((one) => one.getBoundingClientRect().bottom > 0);
    if (!row) return;
    if (scrollY < NEAR_TOP_PX) {
      if (unreached === null) localStorage.removeItem(placeKey());
      return;
    }
    const { items } = now.page;
    const place = rows.indexOf(row);
    const real = items.filter((/** @type {any} */ one) => !one.gap);
    /** @type {Place} */
    const kept = {
      id: idOf(real[place]), post: real[place].id, offset: Math.round(row.getBoundingClientRect().top), top: idOf(real[0]),
      cursor: real.slice(0, place + 1).findLast((/** @type {any} */ one) => one.from)?.from ?? null, at: Date.now(),
    };
    remember(placeKey(), JSON.stringify(kept));
  };
  const moved = () => (waiting ||= setTimeout(save, SAVE_MS));
  // Who has not moved is where they were.
  const left = () => {
    if (!waiting) return;
    clearTimeout(waiting);
    save();
  };
  // Who comes back is where they were with the next frame.
  const begin = requestAnimationFrame(() => {
    addEventListener("scroll", moved, { passive: true });
    addEventListener("pagehide", left);
    addEventListener(LEAVING, left);
  });
  return () => {
    cancelAnimationFrame(begin);
    clearTimeout(waiting);
    removeEventListener("scroll", moved);
    removeEventListener("pagehide", left);
    removeEventListener(LEAVING, left);
  };
}

/**
 * Find a place in the feed; the next older item takes the place of one that is gone.
 * @param {Place} place @param {any} page What is shown. @returns {Promise<Found | null>}
 */
async function around(place, page) {
  const seek = (/** @type {any} */ part, /** @type {string} */ cursor = "") => {
    const at = part.items.findIndex((/** @type {any} */ one) => idOf(one) <= place.id);
    return at < 0 ? null : { page: part, at, cursor };
  };
  let newest = page;
  for (let n = 0; ; n++) {
    const found = seek(newest);
    if (found || !newest.next_cursor || n === MOST_PAGES) return found;
    if (n === 1 && place.cursor) return seek(await read(`${PATH}?limit=${PAGE}&cursor=${encodeURIComponent(place.cursor)}`), place.cursor);
    const next = await read(`${PATH}?limit=${MOST}&cursor=${encodeURIComponent(newest.next_cursor)}`);
    newest = { ...next, items: [...newest.items, ...next.items] };
  }
}

/**
 * Show what was seen, as far as it is still there, and go where one was.
 * @param {Found} found @param {Place} place @param {any} shown @param {(page: any) => void} change @param {(newer: any) => void} onNewer
 */
function show({ page, at, cursor }, place, shown, change, onNewer) {
  learn(page);
  const { id } = page.items[at];
  const first = page.items.findIndex((/** @type {any} */ one) => idOf(one) <= place.top);
  const [head, ...rest] = page.items.slice(first);
  // Deep in the feed, what is above is missing, and read when it is wanted.
  if (cursor) onNewer({ items: shown.items.filter((/** @type {any} */ one) => idOf(one) > idOf(head)), next_cursor: shown.next_cursor });
  else onNewer({ items: page.items.slice(0, first), next_cursor: null });
  change({ ...page, items: [cursor ? { ...head, from: cursor } : head, ...rest] });
  requestAnimationFrame(() => {
    const row = document.querySelector(`.feed > [data-id="${CSS.escape(id)}"]`);
    if (row) scrollBy(0, row.getBoundingClientRect().top - place.offset);
  });
}
