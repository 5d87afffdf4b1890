/** Conversations and their messages; templates/app/talks.html makes the same nodes. */

import { ask } from "../api.js";
import { count, files, html, number, t } from "../base.js";
import { me, say } from "../store.js";
import { Time, avatar, icon, written } from "./parts.js";

const LINE = 140;

/** Load the chat's own style, for those who come from another screen. */
export function styled() {
  const href = `${files}chat.css`;
  if (document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((resolve) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
}

/** @param {any} one */
const others = (one) => one.members.filter((/** @type {any} */ who) => who.username !== me.value?.username);

/** What a conversation is called. @param {any} one @returns {string} */
export function titleOf(one) {
  return one.name || others(one).map((/** @type {any} */ who) => who.display_name).join(", ") || t("chat.nobody");
}

/** @param {any} one */
export function face(one) {
  const [other] = others(one);
  if (one.kind === "direct" && other) return avatar(other);
  return one.picture
    ? html`<img class="avatar" src=${one.picture.url} alt="" width="44" height="44" loading="lazy" decoding="async" />`
    : html`<span class="avatar hue-7" aria-hidden="true">${icon("users")}</span>`;
}

/** What was said last, in one line. @param {any} last @param {boolean} isGroup */
function line(last, isGroup) {
  if (last.event) return `${nameOf(last)} ${t(`chat.event.${last.event}`)} ${last.text || last.subject || ""}`;
  const by = isOwn(last) ? `${t("chat.own")}: ` : isGroup ? `${nameOf(last)}: ` : "";
  if (last.deleted || last.folded) return by + t(last.deleted ? "chat.gone" : "chat.folded");
  return by + ([...last.text].slice(0, LINE).join("") || t("chat.picture"));
}

/** A conversation in a list. @param {{one: any, onAnswer?: () => void}} properties */
export function Row({ one, onAnswer }) {
  const inside = html`${face(one)}<bdi class="talk-name">${titleOf(one)}</bdi><${Time} at=${one.last_at} /><span class="talk-last" dir="auto">${one.last && line(one.last, one.kind === "group")}</span>${one.unread > 0 && html`<span class="unread"><span aria-hidden="true">${number(one.unread)}</span><span class="hidden">${count("chat.unread", one.unread)}</span></span>`}`;
  return html`<li>${one.state === "invited"
    ? html`<div class="talk">${inside}</div>`
    : html`<a class=${one.unread ? "talk new" : "talk"} href=${`/chat/${one.id}`}>${inside}</a>`}${onAnswer && html`<${Answer} one=${one} onDone=${onAnswer} />`}</li>`;
}

/** Accept a request or an invitation, or decline it. @param {{one: any, onDone: (isAccepted: boolean) => void}} properties */
export function Answer({ one, onDone }) {
  const answer = async (/** @type {boolean} */ isAccepted) => {
    try {
      await ask(isAccepted ? "PUT" : "DELETE", `/api/conversations/${one.id}/members/${me.value?.username}`);
      onDone(isAccepted);
    } catch (problem) {
      say(problem);
    }
  };
  return html`<p class="answer"><button type="button" onClick=${() => answer(true)}>${t("chat.accept")}</button><button class="quiet" type="button" onClick=${() => answer(false)}>${t("chat.decline")}</button></p>`;
}

/** @param {any} one */
const nameOf = (one) => one.sender?.display_name ?? t("chat.former");

/** @param {any} one */
function content(one) {
  return html`${one.text && html`<div class="bubble text" dir="auto">${written(one.text)}</div>`}${one.media.length > 0 && html`<div class=${`media of-${one.media.length}`}>${one.media.map((/** @type {any} */ picture) => html`<a href=${picture.url}><img src=${picture.url} alt=${picture.alt} width=${picture.width} height=${picture.height} loading="lazy" decoding="async" /></a>`)}</div>`}${one.lost_pictures && html`<p class="bubble gone">${count("chat.lost", one.lost_pictures)}</p>`}`;
}

/** Whether a message is the reader's own: only those carry the sender's name for it. @param {any} one */
export const isOwn = (one) => one.client_id !== undefined;

/** @param {{one: any, before: any}} properties `before` is the message above it. */
export function Message({ one, before }) {
  if (one.event) {
    return html`<li class="line" data-seq=${one.seq}><bdi>${nameOf(one)}</bdi><span>${t(`chat.event.${one.event}`)}</span><bdi>${one.text || one.subject || ""}</bdi></li>`;
  }
  const own = isOwn(one);
  const follows = before && !before.event && before.sender?.username === one.sender?.username;
  const body = one.deleted
    ? html`<p class="bubble gone">${t("chat.gone")}</p>`
    : one.folded
      ? html`<details class="bubble"><summary>${t("chat.folded")}</summary>${content(one)}</details>`
      : content(one);
  const reactions = Object.entries(one.reactions);
  return html`<li class=${`message${own ? " own" : ""}${follows ? " again" : ""}`} data-seq=${one.seq}>
    <bdi class=${own || follows ? "from hidden" : "from"}>${own ? t("chat.own") : nameOf(one)}</bdi>
    ${body}
    ${reactions.length > 0 && html`<p class="reactions">${reactions.map(([emoji, reaction]) => html`<span>${`${emoji} ${/** @type {any} */ (reaction).count}`}</span>`)}</p>`}
    <${Time} at=${one.sent_at} />${one.edited_at && html`<span class="edited">${t("post.edited")}</span>`}
  </li>`;
}

/**
 * A message on its way, or one that did not get there.
 * @param {{one: {text: string, why: string}, onRetry: () => void, onDiscard: () => void}} properties
 */
export function Waiting({ one, onRetry, onDiscard }) {
  return html`<li class="message own waiting">
    <bdi class="from hidden">${t("chat.own")}</bdi>
    <div class="bubble text" dir="auto">${written(one.text)}</div>
    ${one.why
      ? html`<p class="sent refused">${`${t("chat.failed")} ${one.why}`}</p><p class="answer"><button type="button" onClick=${onRetry}>${t("chat.retry")}</button><button class="quiet" type="button" onClick=${onDiscard}>${t("chat.discard")}</button></p>`
      : html`<p class="sent">${t("chat.sending")}</p>`}
  </li>`;
}
