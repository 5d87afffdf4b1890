/** One conversation; templates/app/conversation.html makes the same nodes. */

import { useEffect, useState } from "../../vendor/hooks.js";
import { count, html, t } from "../base.js";
import { Log } from "../components/message_log.js";
import { face, styled, titleOf, useStyle } from "../components/talks.js";
import { icon } from "../components/parts.js";
import { online, typing, usePresence, useTyping } from "../presence.js";
import { me, say } from "../store.js";

/** Where the other conversations stand beside the one that is open. */
const WIDE = matchMedia("(min-width: 80rem)");

await styled();

/** @param {Record<string, string>} parameters */
const path = ({ conversation }) => `/api/conversations/${encodeURIComponent(conversation)}`;

/** Which messages an address asks for, as `conversation` in the pages of api-gateway: those that are unread. @param {string} [at] */
function place(at = "") {
  if (/^\d{1,18}$/.test(at)) return `&around=${at}`;
  if (!/^\d{4}-\d\d-\d\d(T[\d:.]+Z)?$/.test(at)) return "&unread=true";
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
  useStyle();
  const { conversation } = data;
  const [menu, setMenu] = useState(/** @type {any} */ (null));
  const [beside, setBeside] = useState(/** @type {any} */ (null));
  useEffect(() => {
    if (WIDE.matches) import("../components/beside.js").then(setBeside, () => {});
  }, []);
  const open = async (/** @type {any} */ event) => {
    const at = event.currentTarget;
    try {
      const { TalkMenu } = await import("../components/talk_menu.js");
      setMenu({ TalkMenu, at });
    } catch (problem) {
      say(problem);
    }
  };
  return html`<div class="conversation">
    <header class="talk-head"><a class="icon-link" href="/chat" aria-label=${t("chat.back")}>${icon("arrow-left")}</a>${face(conversation)}<div><h1 tabindex="-1"><bdi>${titleOf(conversation)}</bdi></h1><${State} conversation=${conversation} /></div><button class="icon-link" type="button" aria-haspopup="menu" aria-label=${t("chat.talk-tools")} onClick=${open}>${icon("ellipsis")}</button></header>
    <${Log} path=${path(parameters)} conversation=${conversation} page=${data.messages} at=${parameters.at} change=${change} />
    ${beside && html`<${beside.Beside} current=${conversation.id} />`}
    ${menu && html`<${menu.TalkMenu} conversation=${conversation} at=${menu.at} change=${change} onClose=${() => setMenu(null)} />`}
  </div>`;
}

/** Who types, who is there, or how many take part. @param {{conversation: any}} properties */
function State({ conversation }) {
  const others = conversation.members.filter((/** @type {any} */ who) => who.username !== me.value?.username);
  const isGroup = conversation.kind === "group";
  const isMember = conversation.state === "joined";
  usePresence(isMember && !isGroup ? others.map((/** @type {any} */ who) => who.username) : []);
  useTyping(isMember);
  const names = typing.value.get(conversation.id) ?? [];
  const typists = others.filter((/** @type {any} */ who) => names.includes(who.username));
  let text = isGroup ? count("chat.people", conversation.members.length) : "";
  if (typists.length > 0) text = typists.length === 1 ? t("chat.types", { name: typists[0].display_name }) : t("chat.type", { n: typists.length });
  else if (others.length === 1 && !isGroup && online.value.has(others[0].username)) text = t("chat.online");
  return html`<p class="talk-state">${text}</p>`;
}
