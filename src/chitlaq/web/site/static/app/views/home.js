/** Home: what those whom one follows write; templates/app/home.html makes the same nodes. */

import { useEffect, useState } from "../../vendor/hooks.js";
import { html, t } from "../base.js";
import { Composer } from "../components/composer.js";
import { Feed } from "../components/feed.js";
import { blank } from "../components/parts.js";
import { learn, placeKey } from "../store.js";

const FIRST_MS = 500;

export const reads = () => ({ posts: "/api/feed/home?limit=20" });

export const title = () => t("shell.home");

/** @param {import("../router.js").Shown} properties */
export function View({ data, change }) {
  const { posts } = data;
  // After the first screen, which is the server's.
  const [fresh, setFresh] = useState(/** @type {any} */ (null));
  useEffect(() => {
    const wait = localStorage.getItem(placeKey()) === null ? FIRST_MS : 0;
    const loading = setTimeout(() => import("../components/fresh.js").then(setFresh), wait);
    return () => clearTimeout(loading);
  }, []);
  const written = (/** @type {any} */ post) => {
    // An earlier version of it may be there already.
    const others = posts.items.filter((/** @type {any} */ one) => one.reposted_by || one.id !== post.id);
    change({ posts: { ...posts, items: [{ ...learn(post), isNew: true }, ...others] } });
  };
  const renew = (/** @type {any} */ page) => change({ posts: page });
  return html`
    <h1 class="title" tabindex="-1">${t("shell.home")}</h1>
    <${Composer} name="home" label=${t("composer.new")} onSent=${written} />
    ${fresh && html`<${fresh.Fresh} page=${posts} change=${renew} />`}
    <${Feed} page=${posts} path="/api/feed/home?limit=20" empty=${blank(t("home.empty"), "/explore", t("shell.explore"))} Gap=${fresh?.Gap} onMore=${renew} />
  `;
}
