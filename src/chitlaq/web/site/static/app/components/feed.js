/** A list of posts that can be read on; templates/app/feed.html makes the same nodes. */

import { useEffect, useRef, useState } from "../../vendor/hooks.js";
import { read } from "../api.js";
import { html, t } from "../base.js";
import { learn, say } from "../store.js";
import { PostCard } from "./post.js";

/** How far before its end a list goes on by itself. */
const AHEAD = "600px";

/**
 * @param {{page: any, path: string, empty: string, onMore: (page: any) => void, Gap?: any}} properties
 *   `path` continues with a cursor; `onMore` gets the whole list, with what was read; `Gap` shows what is missing.
 */
export function Feed({ page, path, empty, onMore, Gap }) {
  const [isBusy, setBusy] = useState(false);
  const end = useRef(/** @type {any} */ (null));
  // What waits sees the latest rendering.
  const now = useRef(/** @type {any} */ ({}));
  useEffect(() => {
    if (end.current === null || document.documentElement.dataset.scrolling === "off") return undefined;
    const watch = new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && now.current.more(), { rootMargin: AHEAD });
    watch.observe(end.current);
    return () => watch.disconnect();
  }, [page.next_cursor]);
  if (page.items.length === 0) return empty;
  const size = page.next_cursor === null ? page.items.length : -1;
  const more = async () => {
    if (isBusy) return;
    setBusy(true);
    try {
      const cursor = page.next_cursor;
      const next = learn(await read(`${path}${path.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(cursor)}`));
      const items = next.items.map((/** @type {any} */ one, /** @type {number} */ place) => (place ? one : { ...one, from: cursor }));
      // Meanwhile something may have been written, or all of it read anew.
      const { page: latest } = now.current;
      if (latest.next_cursor === cursor) onMore({ ...next, items: [...latest.items, ...items] });
    } catch (problem) {
      say(problem);
    }
    setBusy(false);
  };
  now.current = { page, more };
  return html`
    <div class="feed" role="feed" aria-label=${t("list.posts")} aria-busy=${isBusy || undefined}>
      ${page.items.map((/** @type {any} */ post, /** @type {number} */ place) => post.gap
        ? html`<${Gap} key=${post.id} gap=${post} page=${page} onMore=${onMore} />`
        : html`<${PostCard} key=${post.reposted_by?.id ?? post.id} post=${post} position=${place + 1} size=${size} />`)}
    </div>
    ${page.next_cursor && html`<p class="more" ref=${end}><button class="quiet" type="button" disabled=${isBusy} onClick=${more}>${t("list.more")}</button></p>`}
  `;
}
