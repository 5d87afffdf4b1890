/** The posts that quote one; templates/app/quotes.html makes the same nodes. */

import { html, t } from "../base.js";
import { Feed } from "../components/feed.js";

/** @param {Record<string, string>} parameters */
const path = ({ post }) => `/api/posts/${encodeURIComponent(post)}/quotes?limit=20`;

/** @param {Record<string, string>} parameters */
export const reads = (parameters) => ({ posts: path(parameters) });

export const title = () => t("post.quotes");

/** @param {import("../router.js").Shown} properties */
export function View({ parameters, data, change }) {
  return html`
    <h1 class="title" tabindex="-1"><a href=${`/@${parameters.handle}/p/${parameters.post}`}>${t("thread.plain")}</a>${`: ${t("post.quotes")}`}</h1>
    <${Feed} page=${data.posts} path=${path(parameters)} empty=${html`<p class="note">${t("quotes.empty")}</p>`} onMore=${(/** @type {any} */ posts) => change({ posts })} />
  `;
}
