/** What a post said before; templates/app/history.html makes the same nodes. */

import { html, t } from "../base.js";
import { Time, written } from "../components/parts.js";

/** @param {Record<string, string>} parameters */
export const reads = ({ post }) => ({ history: `/api/posts/${encodeURIComponent(post)}/history` });

export const title = () => t("post.history");

/** @param {import("../router.js").Shown} properties */
export function View({ parameters, data }) {
  return html`
    <h1 class="title" tabindex="-1"><a href=${`/@${parameters.handle}/p/${parameters.post}`}>${t("thread.plain")}</a>${`: ${t("post.history")}`}</h1>
    ${data.history.length > 0
      ? html`<ol class="edits" aria-label=${t("post.history")}>${data.history.map((/** @type {any} */ one) => html`<li key=${one.replaced_at}><p class="edit-at">${t("history.until")}${" "}<${Time} at=${one.replaced_at} /></p>${one.content_warning && html`<p class="warning" dir="auto">${one.content_warning}</p>`}<div class="text" dir="auto">${written(one.text)}</div></li>`)}</ol>`
      : html`<p class="note">${t("history.empty")}</p>`}
  `;
}
