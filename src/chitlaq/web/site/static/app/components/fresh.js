/** The home feed as it goes on: new posts wait until somebody wants them. It never moves by itself. */

import { useEffect, useRef, useState } from "../../vendor/hooks.js";
import { read } from "../api.js";
import { count, html, t } from "../base.js";
import { learn, say } from "../store.js";
import { PAGE, PATH, Place, idOf, isSettled } from "./place.js";

const LOOK_MS = 60_000;
/** Whether the feed was shown before in this page. */
let isBack = false;

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
    if (isBack) look();
    isBack = true;
    const clock = setInterval(look, LOOK_MS);
    document.addEventListener("visibilitychange", look);
    addEventListener("online", look);
    return () => {
      clearInterval(clock);
      document.removeEventListener("visibilitychange", look);
      removeEventListener("online", look);
    };
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
  return html`<div class="pill" role="status">${n > 0 && html`<button type="button" onClick=${show}>${newer.next_cursor ? t("feed.new-more", { n }) : count("feed.new", n)}</button>`}<${Place} now=${now.current} change=${change} onNewer=${setNewer} /></div>`;
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
