/** A message in its conversation; templates/app/messages.html makes the same nodes. */

import { count, html, number, t, useLeft } from "../base.js";
import { Time, pictures, written } from "./parts.js";

const QUOTED = 140;

/** @param {any} one */
export const nameOf = (one) => one.sender?.display_name ?? t("chat.former");

/** Whether a message is the reader's own: only those carry the sender's name for it. @param {any} one */
export const isOwn = (one) => one.client_id !== undefined;

/** What a message says, in one line. @param {any} one */
export function said(one) {
  if (one.deleted || one.folded) return t(one.deleted ? "chat.gone" : "chat.folded");
  return [...one.text].slice(0, QUOTED).join("") || t("chat.picture");
}

/** @param {any} one */
function content(one) {
  return html`${one.text && html`<div class="bubble text" dir="auto">${written(one.text)}</div>`}${pictures(one.media)}${one.lost_pictures && html`<p class="bubble gone">${count("chat.lost", one.lost_pictures)}</p>`}`;
}

/** What a message answers, as far as it is at hand. @param {{href: string, one: any, onJump?: (event: MouseEvent) => void}} properties */
export function Quoted({ href, one, onJump }) {
  return html`<a class="quoted" href=${href} onClick=${onJump}>${one ? html`<bdi>${isOwn(one) ? t("chat.own") : nameOf(one)}</bdi><span dir="auto">${said(one)}</span>` : html`<span>${t("chat.answered")}</span>`}</a>`;
}

/**
 * @typedef {{onTools: (seq: number, button: Element) => void, onReact: (one: any, emoji: string) => void,
 *   onJump: (seq: number, event: MouseEvent) => void}} Doing
 * @param {{one: any, before: any, quoted: any, path: string, isTarget: boolean, isTabbed: boolean, doing: Doing}} properties
 *   `before` is the message above it, `path` the conversation's page; `isTabbed`, whether the tab key comes to its menu.
 */
export function Message({ one, before, quoted, path, isTarget, isTabbed, doing }) {
  const marked = isTarget ? " target" : "";
  if (one.event) {
    return html`<li class=${`line${marked}`} data-seq=${one.seq} tabindex=${isTarget ? "-1" : undefined}><bdi>${nameOf(one)}</bdi><span>${t(`chat.event.${one.event}`)}</span><bdi>${one.text || one.subject || ""}</bdi></li>`;
  }
  const own = isOwn(one);
  const follows = before && !before.event && before.sender?.username === one.sender?.username;
  const body = one.deleted
    ? html`<p class="bubble gone">${t("chat.gone")}</p>`
    : one.folded
      ? html`<details class="bubble"><summary>${t("chat.folded")}</summary>${content(one)}</details>`
      : content(one);
  const reactions = Object.entries(one.reactions);
  return html`<li class=${`message${own ? " own" : ""}${follows ? " again" : ""}${marked}`} data-seq=${one.seq} tabindex=${isTarget ? "-1" : undefined}>
    <bdi class=${own || follows ? "from hidden" : "from"}>${own ? t("chat.own") : nameOf(one)}</bdi>
    ${one.reply_to && !one.deleted && html`<${Quoted} href=${`${path}?at=${one.reply_to}`} one=${quoted} onJump=${(/** @type {MouseEvent} */ event) => doing.onJump(one.reply_to, event)} />`}
    ${body}
    ${reactions.length > 0 && html`<p class="reactions">${reactions.map(([emoji, reaction]) => html`<button type="button" aria-pressed=${String(/** @type {any} */ (reaction).mine)} onClick=${() => doing.onReact(one, emoji)}>${`${emoji} ${/** @type {any} */ (reaction).count}`}</button>`)}</p>`}
    ${one.edited_at ? html`<p class="when"><${Time} at=${one.sent_at} /><span class="edited">${t("post.edited")}</span></p>` : html`<${Time} at=${one.sent_at} />`}
    ${!one.deleted && html`<button class="tools" type="button" aria-haspopup="menu" aria-label=${t("chat.tools")} tabindex=${isTabbed ? "0" : "-1"} onClick=${(/** @type {any} */ event) => doing.onTools(one.seq, event.currentTarget)}></button>`}
  </li>`;
}

/**
 * A message on its way, or one that did not get there.
 * @param {{one: import("../outbox.js").Item, isLive: boolean, onRetry: () => void, onEdit: () => void, onDiscard: () => void}} properties
 */
export function Waiting({ one, isLive, onRetry, onEdit, onDiscard }) {
  const left = useLeft(one.due ?? 0);
  const doors = one.why || left > 0 || !isLive;
  return html`<li class="message own waiting">
    <bdi class="from hidden">${t("chat.own")}</bdi>
    <div class="bubble text" dir="auto">${one.body.text ? written(one.body.text) : t("chat.picture")}</div>
    <p class=${one.why ? "sent refused" : "sent"}>${one.why ? `${t("chat.failed")} ${one.why}` : left > 0 ? t("chat.limited", { n: number(left) }) : t(isLive ? "chat.sending" : "chat.waits")}</p>
    ${doors && html`<p class="answer">${one.why && html`<button type="button" onClick=${onRetry}>${t("chat.retry")}</button>`}<button class="quiet" type="button" onClick=${onEdit}>${t("chat.edit")}</button><button class="quiet" type="button" onClick=${onDiscard}>${t("chat.delete")}</button></p>`}
  </li>`;
}
