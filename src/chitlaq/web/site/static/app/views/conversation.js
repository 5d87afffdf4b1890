/** One conversation; templates/app/conversation.html makes the same nodes. */

import { html, t } from "../base.js";
import { Log } from "../components/message_log.js";
import { face, styled, titleOf } from "../components/talks.js";
import { icon } from "../components/parts.js";

await styled();

/** @param {Record<string, string>} parameters */
const path = ({ conversation }) => `/api/conversations/${encodeURIComponent(conversation)}`;

/** Which messages an address asks for, as `conversation` in the pages of api-gateway. @param {string} [at] */
function place(at = "") {
  if (/^\d{1,18}$/.test(at)) return `&around=${at}`;
  if (!/^\d{4}-\d\d-\d\d(T[\d:.]+Z)?$/.test(at)) return "";
  return `&at=${encodeURIComponent(at.includes("T") ? at : `${at}T00:00:00Z`)}`;
}

/** @param {Record<string, string>} parameters */
export const reads = (parameters) => ({
  conversation: path(parameters), messages: `${path(parameters)}/messages?limit=50${place(parameters.at)}`,
});

/** @param {import("../router.js").Shown} shown */
export const title = ({ data }) => titleOf(data.conversation);

/** @param {import("../router.js").Shown} properties */
export function View({ parameters, data, change }) {
  const { conversation } = data;
  return html`<div class="conversation">
    <header class="talk-head"><a class="icon-link" href="/chat" aria-label=${t("chat.back")}>${icon("arrow-left")}</a>${face(conversation)}<h1 tabindex="-1"><bdi>${titleOf(conversation)}</bdi></h1></header>
    <${Log} path=${path(parameters)} conversation=${conversation} page=${data.messages} at=${parameters.at} change=${change} />
  </div>`;
}
