/** A page for writing alone, as phones open it; templates/app/compose.html makes the same nodes. */

import { html, t } from "../base.js";
import { Composer } from "../components/composer.js";
import { addressOf } from "../components/post.js";
import { go } from "../router.js";

export const reads = () => ({});

export const title = () => t("shell.write");

export function View() {
  return html`
    <h1 class="title" tabindex="-1">${t("shell.write")}</h1>
    <${Composer} name="compose" context="home" label=${t("composer.new")} onSent=${(/** @type {any} */ post) => go(addressOf(post))} />
  `;
}
