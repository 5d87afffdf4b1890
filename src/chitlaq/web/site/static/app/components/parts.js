/** What screens are made of; templates/app/parts.html makes the same nodes. */

import { pieces } from "../../text.js";
import { files, html, number, t } from "../base.js";
import { now } from "../store.js";

const MONTHS = t("time.months").split(" ");
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const WEEK = 604_800;

/** @param {string} name */
export function icon(name) {
  return html`<svg class="icon" aria-hidden="true" focusable="false"><use href=${`${files}vendor/icons.svg#${name}`}></use></svg>`;
}

/** @param {{username: string, display_name: string, avatar_url: string | null}} who @param {number} [size] */
export function avatar(who, size = 44) {
  if (who.avatar_url) {
    return html`<img class="avatar" src=${who.avatar_url} alt="" width=${size} height=${size} loading="lazy" decoding="async" />`;
  }
  const hue = [...who.username].reduce((sum, one) => sum + (one.codePointAt(0) ?? 0), 0) % 8;
  return html`<span class=${`avatar hue-${hue}`} aria-hidden="true">${[...who.display_name][0]}</span>`;
}

/** A member in a list. @param {any} who */
export function person(who) {
  return html`<a class="told-one" href=${`/@${who.username}`}>${avatar(who)}<div class="body"><p class="sentence"><bdi class="name">${who.display_name}</bdi>${" "}<span class="handle">${`@${who.username}`}</span></p><p class="excerpt" dir="auto">${who.department ? `${who.department}, ${who.university}` : who.university}</p></div></a>`;
}

/** A number that is left out while it is 0. @param {number} n */
export function counted(n) {
  return n ? number(n) : "";
}

/** A text with its tags, mentions and links as links. @param {string} text */
export function written(text) {
  return pieces(text).map((piece) => {
    switch (piece.kind) {
      case "link":
        return html`<a href=${piece.text} rel="nofollow noopener ugc">${piece.text}</a>`;
      case "mention":
        return html`<a href=${`/@${piece.username}`}>${piece.text}</a>`;
      case "tag":
        return html`<a href=${`/tags/${encodeURIComponent(piece.folded)}`}>${piece.text}</a>`;
      default:
        return piece.text;
    }
  });
}

/** How long ago something was. @param {{at: string}} properties */
export function Time({ at }) {
  return html`<time datetime=${at}>${when(at, now.value)}</time>`;
}

/** @param {string} at @param {number} from */
export function when(at, from) {
  const moment = new Date(at);
  const seconds = Math.max(Math.trunc((from - moment.getTime()) / 1000), 0);
  if (seconds < MINUTE) return t("time.now");
  if (seconds < HOUR) return t("time.m", { n: Math.floor(seconds / MINUTE) });
  if (seconds < DAY) return t("time.h", { n: Math.floor(seconds / HOUR) });
  if (seconds < WEEK) return t("time.d", { n: Math.floor(seconds / DAY) });
  const [year, month] = [moment.getUTCFullYear(), MONTHS[moment.getUTCMonth()]];
  const isThisYear = year === new Date(from).getUTCFullYear();
  return t(isThisYear ? "time.day" : "time.date", { day: moment.getUTCDate(), month, year });
}
