/** One's bookmarks; templates/app/bookmarks.html makes the same nodes. */

import { html, t } from "../base.js";
import { Feed } from "../components/feed.js";
import { blank } from "../components/parts.js";

const PATH = "/api/users/me/bookmarks?limit=20";

export const reads = () => ({ posts: PATH });

export const title = () => t("bookmarks.title");

/** @param {import("../router.js").Shown} properties */
export function View({ data, change }) {
  return html`
    <h1 class="title" tabindex="-1">${t("bookmarks.title")}</h1>
    <${Feed} page=${data.posts} path=${PATH} empty=${blank(t("bookmarks.empty"), "/explore", t("shell.explore"))} onMore=${(/** @type {any} */ posts) => change({ posts })} />
  `;
}
