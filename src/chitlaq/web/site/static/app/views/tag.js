/** The posts with a hashtag; templates/app/tag.html makes the same nodes. */

import { html, t } from "../base.js";
import { Feed } from "../components/feed.js";
import { blank } from "../components/parts.js";

/** @param {Record<string, string>} parameters */
const path = ({ tag }) => `/api/feed/tags/${encodeURIComponent(tag)}?limit=20`;

/** @param {Record<string, string>} parameters */
export const reads = (parameters) => ({ posts: path(parameters) });

/** @param {import("../router.js").Shown} shown */
export const title = ({ parameters }) => `#${parameters.tag}`;

/** @param {import("../router.js").Shown} properties */
export function View({ parameters, data, change }) {
  return html`
    <h1 class="title" tabindex="-1" dir="auto">${`#${parameters.tag}`}</h1>
    <${Feed} page=${data.posts} path=${path(parameters)} empty=${blank(t("tag.empty"), "/compose", t("shell.write"))} onMore=${(/** @type {any} */ posts) => change({ posts })} />
  `;
}
