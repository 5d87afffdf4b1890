/** What everything here stands on: what the server sent with the page, its words, and markup. */

import { useEffect, useLayoutEffect, useRef, useState } from "../vendor/hooks.js";
import htm from "../vendor/htm.js";
import { h } from "../vendor/preact.js";

/**
 * @typedef {{username: string, display_name: string, avatar_url: string | null}} Card
 * @typedef {{stale: boolean, view: string, parameters: Record<string, string>, data: Record<string, any>, me: Card | null,
 *   unread: number, chats: number, upload_bytes: number, now: string, words: Record<string, string>}} First
 */

/** The first screen's data, so that it needs no request. @type {First} */
export const first = JSON.parse(document.getElementById("first")?.textContent ?? "{}");

/** Where static files are, by their version. */
export const files = document.documentElement.dataset.static ?? "/static/";

/** Markup as templates of nodes: htm over Preact. Texts in it are texts, whatever they say. */
export const html = htm.bind(h);

/**
 * Keep something small in this browser, or nothing more of it. What a full one does not take stays on the screen.
 * @param {string} key @param {string | null} text
 */
export function remember(key, text) {
  try {
    if (text === null) localStorage.removeItem(key);
    else localStorage.setItem(key, text);
  } catch {
    // Then it is as if it were not written yet.
  }
}

const SAVE_MS = 300;
const language = document.documentElement.lang || "en";
const format = new Intl.NumberFormat(language);

/**
 * A text with its values, as `web/words.py` on the server makes it. A missing one is an error, as on the server.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const text = first.words[key];
  if (text === undefined) throw new Error(`no words for ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** The text for a number of things. @param {string} key @param {number} n */
export function count(key, n) {
  return t(`${key}.${n === 1 ? "one" : "other"}`, { n: number(n) });
}

/** @param {number} n */
export function number(n) {
  return format.format(n);
}

/** The seconds until a moment, while they pass. @param {number} at Milliseconds, of this browser's clock. */
export function useLeft(at) {
  const [, setTick] = useState(0);
  const left = Math.max(Math.ceil((at - Date.now()) / 1000), 0);
  useEffect(() => {
    if (left === 0) return undefined;
    const tick = setTimeout(() => setTick((/** @type {number} */ n) => n + 1), 1000);
    return () => clearTimeout(tick);
  });
  return left;
}

/**
 * Save a value that changes: soon after the first change, however long others follow, and when its part of the page or
 * the page itself goes.
 * @template T
 * @param {T} value @param {(value: T) => void} save
 * @returns {(value: T, isSaved?: boolean) => void} Saves this one at once, which is the value from now on; or takes it
 *   for saved.
 */
export function useSaved(value, save) {
  const { current: one } = useRef({ value, saved: value, waiting: 0, save });
  one.value = value;
  one.save = save;
  const put = (/** @type {T} */ next, isSaved = false) => {
    clearTimeout(one.waiting);
    one.waiting = 0;
    if (next !== one.saved && !isSaved) one.save(next);
    one.value = one.saved = next;
  };
  useEffect(() => {
    if (one.value !== one.saved) one.waiting ||= setTimeout(() => put(one.value), SAVE_MS);
  }, [value]);
  useLayoutEffect(() => {
    const last = () => put(one.value);
    addEventListener("pagehide", last);
    return () => {
      removeEventListener("pagehide", last);
      last();
    };
  }, []);
  return put;
}

/**
 * Go on with what another tab makes of something that is kept in `localStorage` and shown in both, unless this one has
 * made something else of it.
 * @param {string} place @param {(text: string | null) => boolean} isShown Whether this is what is shown here.
 * @param {() => void} adopt
 */
export function useOtherTabs(place, isShown, adopt) {
  const { current: one } = useRef({ isShown, adopt });
  Object.assign(one, { isShown, adopt });
  useEffect(() => {
    const hear = (/** @type {StorageEvent} */ { key, oldValue }) => key === place && one.isShown(oldValue) && one.adopt();
    addEventListener("storage", hear);
    return () => removeEventListener("storage", hear);
  }, [place]);
}
