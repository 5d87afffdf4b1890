/** The rest of a list: a link to its next page, which a click adds to this one. */

import { useState } from "../../vendor/hooks.js";
import { read } from "../api.js";
import { html, t } from "../base.js";
import { learn, say } from "../store.js";

/**
 * @param {{page: any, path: string, address: string, onMore: (page: any) => void}} properties
 *   `path` of the API and `address` of the page go on with a cursor; `onMore` gets the whole list.
 */
export function More({ page, path, address, onMore }) {
  const [isBusy, setBusy] = useState(false);
  if (page.next_cursor === null) return null;
  const cursor = encodeURIComponent(page.next_cursor);
  const more = async (/** @type {MouseEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    try {
      const next = learn(await read(`${path}&cursor=${cursor}`));
      onMore({ ...next, items: [...page.items, ...next.items] });
    } catch (problem) {
      say(problem);
    }
    setBusy(false);
  };
  return html`<p class="more"><a class="button quiet" href=${`${address}cursor=${cursor}`} aria-busy=${isBusy || undefined} onClick=${more}>${t("list.more")}</a></p>`;
}
