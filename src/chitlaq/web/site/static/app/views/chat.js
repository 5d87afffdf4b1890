/** All conversations; templates/app/chat.html makes the same nodes. */

import { useState } from "../../vendor/hooks.js";
import { html, t } from "../base.js";
import { icon } from "../components/parts.js";
import * as list from "../components/talk_list.js";
import { styled, useStyle } from "../components/talks.js";
import { say } from "../store.js";

await styled();

/** @param {Record<string, string>} parameters */
export const reads = ({ folder }) => list.reads(folder);

/** @param {{parameters: Record<string, string>}} shown */
export const title = ({ parameters }) => t(parameters.folder === "archived" ? "chat.archived" : "shell.chat");

/** @param {import("../router.js").Shown} properties */
export function View({ parameters, data, change }) {
  useStyle();
  const { folder } = parameters;
  const isArchive = folder === "archived";
  return html`
    <div class="title-row">${isArchive && html`<a class="icon-link" href="/chat" aria-label=${t("chat.back")}>${icon("arrow-left")}</a>`}<h1 class="title" tabindex="-1">${title({ parameters })}</h1>${!isArchive && html`<${Begin} />`}</div>
    <${list.TalkList} folder=${folder} data=${data} change=${(/** @type {any} */ some) => change(typeof some === "function" ? some(data) : some)} />
    ${!isArchive && html`<p class="more"><a href="/chat?folder=archived">${t("chat.archived")}</a></p>`}
  `;
}

/** Begins a conversation. */
function Begin() {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const begin = () => import("../components/new_talk.js").then(setFound, say);
  return html`<button type="button" onClick=${begin}>${icon("plus")}${t("chat.begin")}</button>${found && html`<${found.NewTalk} onClose=${() => setFound(null)} />`}`;
}
