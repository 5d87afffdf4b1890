/** A list of posts that can be read on; templates/app/feed.html makes the same nodes. */

import { useState } from "../../vendor/hooks.js";
import { read } from "../api.js";
import { html, t } from "../base.js";
import { learn, say } from "../store.js";
import { PostCard } from "./post.js";

/**
 * @param {{page: any, path: string, empty: string, onMore: (page: any) => void, Gap?: any}} properties
 *   `path` continues with a cursor; `onMore` gets the whole list, with what was read; `Gap` shows what is missing.
 */
export function Feed({ page, path, empty, onMore, Gap }) {
  const [isBusy, setBusy] = useState(false);
  if (page.items.length === 0) return empty;
  const size = page.next_cursor === null ? page.items.length : -1;
  const more = async () => {
    setBusy(true);
    try {
      const cursor = page.next_cursor;
      const next = learn(await read(`${path}${path.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(cursor)}`));
      const items = next.items.map((/** @type {any} */ one, /** @type {number} */ place) => (place ? one : { ...one, from: cursor }));
      onMore({ ...next, items: [...page.items, ...items] });
    } catch (problem) {
      say(problem);
    }
    setBusy(false);
  };
  return html`
    <div class="feed" role="feed" aria-label=${t("list.posts")} aria-busy=${isBusy || undefined}>
      ${page.items.map((/** @type {any} */ post, /** @type {number} */ place) => post.gap
        ? html`<${Gap} key=${post.id} gap=${post} page=${page} onMore=${onMore} />`
        : html`<${PostCard} key=${post.reposted_by?.id ?? post.id} post=${post} position=${place + 1} size=${size} />`)}
    </div>
    ${page.next_cursor && html`<p class="more"><button class="quiet" type="button" disabled=${isBusy} onClick=${more}>${t("list.more")}</button></p>`}
  `;
}
