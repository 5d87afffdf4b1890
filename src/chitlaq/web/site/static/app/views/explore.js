/** Explore: what many care for; templates/app/explore.html makes the same nodes. */

import { html, t } from "../base.js";
import { Feed } from "../components/feed.js";
import { blank } from "../components/parts.js";

const PATH = "/api/feed/explore?limit=20";

export const reads = () => ({ posts: PATH, trending: "/api/feed/trending" });

export const title = () => t("shell.explore");

/** @param {import("../router.js").Shown} properties */
export function View({ data, change }) {
  const tags = data.trending.items;
  return html`
    <h1 class="title" tabindex="-1">${t("shell.explore")}</h1>
    ${tags.length > 0 && html`<ul class="tags" aria-label=${t("explore.trending")}>${tags.map((/** @type {any} */ one) => html`<li><a href=${`/tags/${encodeURIComponent(one.tag)}`}>${`#${one.tag}`}</a></li>`)}</ul>`}
    <${Feed} page=${data.posts} path=${PATH} empty=${blank(t("explore.empty"), "/compose", t("shell.write"))} onMore=${(/** @type {any} */ posts) => change({ posts })} />
  `;
}
