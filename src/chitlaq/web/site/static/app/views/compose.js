/** A page for writing alone, as phones open it; templates/app/compose.html makes the same nodes. */

import { html, t } from "../base.js";
import { Composer } from "../components/composer.js";
import { addressOf, quotation } from "../components/post.js";
import { go } from "../router.js";

/** @param {Record<string, string>} parameters */
export const reads = ({ quote }) =>
  /** @type {Record<string, string>} */ (quote ? { quoted: `/api/posts/${encodeURIComponent(quote)}` } : {});

export const title = () => t("shell.write");

/** @param {import("../router.js").Shown} properties */
export function View({ parameters, data }) {
  const { draft, quote } = parameters;
  const context = quote ? `quote:${quote}` : draft ? `draft:${draft}` : "home";
  return html`
    <h1 class="title" tabindex="-1">${t("shell.write")}</h1>
    ${data.quoted && quotation(data.quoted)}
    <${Composer} name="compose" context=${context} quoteOf=${quote} saved=${draft} label=${t("composer.new")} onSent=${(/** @type {any} */ post) => go(addressOf(post))} />
    <p class="more"><a href="/drafts">${t("drafts.title")}</a></p>
  `;
}
