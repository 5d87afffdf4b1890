/** Home: what those whom one follows write; templates/app/home.html makes the same nodes. */

import { html, t } from "../base.js";
import { Composer } from "../components/composer.js";
import { Feed } from "../components/feed.js";

export const reads = () => ({ posts: "/api/feed/home?limit=20" });

export const title = () => t("shell.home");

/** @param {import("../router.js").Shown} properties */
export function View({ data, change }) {
  const { posts } = data;
  return html`
    <h1 class="title" tabindex="-1">${t("shell.home")}</h1>
    <${Composer} name="home" label=${t("composer.new")} onSent=${(/** @type {any} */ post) => change({ posts: { ...posts, items: [post, ...posts.items] } })} />
    <${Feed} page=${posts} path="/api/feed/home?limit=20" empty=${t("home.empty")} onMore=${(/** @type {any} */ page) => change({ posts: page })} />
  `;
}
