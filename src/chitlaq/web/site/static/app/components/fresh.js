/**
 * The home feed as it goes on: new posts wait until somebody wants them, and where one was is kept.
 *
 * The place is an item and how far from the top it was. After a reload, what is newer than what was seen then stays
 * behind the button, also after the browser was closed: the feed never moves by itself.
 */

import { useEffect, useLayoutEffect, useRef, useState } from "../../vendor/hooks.js";
import { read } from "../api.js";
import { count, html, t } from "../base.js";
import { learn, placeKey, say } from "../store.js";

const PATH = "/api/feed/home";
const LOOK_MS = 60_000;
const SAVE_MS = 400;
const MOST = 100;
const PAGE = 20;
const NEAR_TOP_PX = 300;
const TWO_WEEKS_MS = 14 * 86_400_000;

/** What stands for an item of the feed in `after`. @param {any} one @returns {string} */
export const idOf = (one) => one.reposted_by?.id ?? one.id;

/** @param {{page: any, change: (page: any) => void}} properties */
export function Fresh({ page, change }) {
  const [newer, setNewer] = useState(/** @type {{items: any[], next_cursor: string | null}} */ ({ items: [], next_cursor: null }));
  const now = useRef(/** @type {any} */ ({}));
  now.current.page = page;
  now.current.newer = newer;

  const look = async () => {
    if (document.visibilityState !== "visible") return;
    // What was just written here stands above what others wrote before.
    const top = now.current.page.items.find((/** @type {any} */ one) => !one.isNew && !one.gap);
    try {
      const found = await read(`${PATH}?limit=${PAGE}${top ? `&after=${idOf(top)}` : ""}`);
      // Meanwhile the list may begin with another post: it was newer than what was asked for, or is older.
      if (!isSettled || (top && !now.current.page.items.includes(top))) return;
      const shown = new Set(now.current.page.items.map(idOf));
      setNewer({ ...found, items: found.items.filter((/** @type {any} */ one) => !shown.has(idOf(one))) });
    } catch {
      // There is nothing new without a connection.
    }
  };
  useEffect(() => {
    const clock = setInterval(look, LOOK_MS);
    document.addEventListener("visibilitychange", look);
    addEventListener("online", look);
    return () => {
      clearInterval(clock);
      document.removeEventListener("visibilitychange", look);
      removeEventListener("online", look);
    };
  }, []);
  useEffect(() => kept(now.current), []);
  // Where one was, once: before that is shown, what is newer is put behind the button.
  useLayoutEffect(() => {
    if (isRestored) return;
    isRestored = true;
    const place = placeOf();
    const settle = () => (isSettled = true);
    if (place) restore(place, now.current.page, change, setNewer).then(settle, settle);
    else settle();
  }, []);

  const show = () => {
    const { newer: waiting, page: shown } = now.current;
    if (waiting.items.length === 0) return;
    learn(waiting.items);
    const gap = waiting.next_cursor && shown.items[0] ? [{ id: `gap-${waiting.next_cursor}`, gap: waiting.next_cursor, after: idOf(shown.items[0]) }] : [];
    change({ ...shown, items: [...waiting.items, ...gap, ...shown.items] });
    setNewer({ items: [], next_cursor: null });
    scrollTo({ top: 0 });
    requestAnimationFrame(() => /** @type {any} */ (document.querySelector(".feed > .post"))?.focus({ preventScroll: true }));
  };
  const n = newer.items.length;
  return html`<div class="pill" role="status">${n > 0 && html`<button type="button" onClick=${show}>${newer.next_cursor ? t("feed.new-more", { n }) : count("feed.new", n)}</button>`}</div>`;
}

/** What is missing between two parts of the feed. @param {{gap: any, page: any, onMore: (page: any) => void}} properties */
export function Gap({ gap, page, onMore }) {
  const [isBusy, setBusy] = useState(false);
  const load = async () => {
    setBusy(true);
    try {
      const found = learn(await read(`${PATH}?limit=${PAGE}&after=${gap.after}&cursor=${encodeURIComponent(gap.gap)}`));
      const rest = found.next_cursor ? [{ id: `gap-${found.next_cursor}`, gap: found.next_cursor, after: gap.after }] : [];
      onMore({ ...page, items: page.items.flatMap((/** @type {any} */ one) => (one.id === gap.id ? [...found.items, ...rest] : [one])) });
    } catch (problem) {
      say(problem);
    }
    setBusy(false);
  };
  return html`<article class="gap" tabindex="-1" aria-label=${t("feed.missing")}><button class="quiet" type="button" disabled=${isBusy} onClick=${load}>${t("feed.missing")}</button></article>`;
}

let isRestored = false;
/** Whether this is where one is: until then, it is where one was before. */
let isSettled = false;

/** @typedef {{id: string, post: string, offset: number, top: string, cursor: string | null, at: number}} Place */

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
    const { items } = now.page;
    if (!row || scrollY < NEAR_TOP_PX) return void localStorage.removeItem(placeKey());
    const place = rows.indexOf(row);
    const real = items.filter((/** @type {any} */ one) => !one.gap);
    /** @type {Place} */
    const kept = {
      id: idOf(real[place]), post: real[place].id, offset: Math.round(row.getBoundingClientRect().top), top: idOf(real[0]),
      cursor: real.slice(0, place + 1).findLast((/** @type {any} */ one) => one.from)?.from ?? null, at: Date.now(),
    };
    localStorage.setItem(placeKey(), JSON.stringify(kept));
  };
  const moved = () => (waiting ||= setTimeout(save, SAVE_MS));
  // Who has not moved is where they were.
  const left = () => waiting && save();
  // Who comes back is where they were with the next frame.
  const begin = requestAnimationFrame(() => {
    addEventListener("scroll", moved, { passive: true });
    addEventListener("pagehide", left);
  });
  return () => {
    cancelAnimationFrame(begin);
    clearTimeout(waiting);
    removeEventListener("scroll", moved);
    removeEventListener("pagehide", left);
  };
}

/**
 * Show what was seen, as far as it is still there, and go where one was.
 * @param {Place} place @param {any} page @param {(page: any) => void} change @param {(newer: any) => void} wait
 */
async function restore(place, page, change, wait) {
  const has = (/** @type {any} */ one) => one.items.some((/** @type {any} */ item) => idOf(item) === place.id);
  let found = page;
  let cursor;
  if (!has(found)) found = await read(`${PATH}?limit=${MOST}`);
  if (!has(found) && place.cursor) {
    cursor = place.cursor;
    found = await read(`${PATH}?limit=${PAGE}&cursor=${encodeURIComponent(cursor)}`);
  }
  if (!has(found)) return;
  learn(found);
  const first = Math.max(found.items.findIndex((/** @type {any} */ one) => idOf(one) === place.top), 0);
  const [head, ...rest] = found.items.slice(first);
  // Deep in the feed, what is above is missing, and read when it is wanted.
  if (cursor) wait({ items: page.items.filter((/** @type {any} */ one) => idOf(one) > idOf(head)), next_cursor: page.next_cursor });
  else wait({ items: found.items.slice(0, first), next_cursor: null });
  change({ ...found, items: [cursor ? { ...head, from: cursor } : head, ...rest] });
  requestAnimationFrame(() => {
    const row = document.querySelector(`.feed > [data-id="${CSS.escape(place.post)}"]`);
    if (row) scrollBy(0, row.getBoundingClientRect().top - place.offset);
  });
}
