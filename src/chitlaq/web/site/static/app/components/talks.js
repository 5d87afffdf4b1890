/** Conversations in a list; templates/app/talks.html makes the same nodes. */

import { useLayoutEffect } from "../../vendor/hooks.js";
import { ask } from "../api.js";
import { count, files, html, number, t } from "../base.js";
import { online, typing } from "../presence.js";
import { me, say } from "../store.js";
import { isOwn, nameOf, said } from "./message.js";
import { Time, avatar, icon } from "./parts.js";

const STYLE = `${files}chat.css`;

/** @returns {HTMLLinkElement | null} */
const style = () => document.querySelector(`link[href="${STYLE}"]`);

/** Load the chat's own style, for those who come from another screen. */
export function styled() {
  if (style()) return Promise.resolve();
  return new Promise((resolve) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: STYLE, media: "not all" });
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
}

/** Apply that style while a screen is there: what it says of a class is not meant for other screens. */
export function useStyle() {
  useLayoutEffect(() => {
    const link = style();
    if (!link) return;
    link.media = "all";
    return () => {
      link.media = "not all";
    };
  }, []);
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
  return by + said(last);
}

/** A conversation in a list. @param {{one: any, isCurrent?: boolean, onAnswer?: (isAccepted: boolean) => void}} properties */
export function Row({ one, isCurrent, onAnswer }) {
  const isOnline = one.kind === "direct" && others(one).some((/** @type {any} */ who) => online.value.has(who.username));
  const typists = typing.value.get(one.id) ?? [];
  const last = typists.length > 0 ? t("chat.typing") : one.last && line(one.last, one.kind === "group");
  const inside = html`${face(one)}${isOnline && html`<span class="online"><span class="hidden">${t("chat.online")}</span></span>`}<bdi class="talk-name">${titleOf(one)}${one.pinned && icon("pin")}${one.muted_until && icon("volume-x")}</bdi><${Time} at=${one.last_at} /><span class="talk-last" dir="auto">${last}</span>${one.unread > 0 && html`<span class="unread"><span aria-hidden="true">${number(one.unread)}</span><span class="hidden">${count("chat.unread", one.unread)}</span></span>`}`;
  return html`<li>${one.state === "invited"
    ? html`<div class="talk">${inside}</div>`
    : html`<a class=${one.unread ? "talk new" : "talk"} href=${`/chat/${one.id}`} aria-current=${isCurrent ? "page" : undefined}>${inside}</a>`}${onAnswer && html`<${Answer} one=${one} onDone=${onAnswer} />`}</li>`;
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
