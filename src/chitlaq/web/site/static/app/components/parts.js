/** What screens are made of; templates/app/parts.html makes the same nodes. */

import { pieces } from "../../text.js";
import { files, html, number, t } from "../base.js";
import { now } from "../store.js";

const MONTHS = t("time.months").split(" ");
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const WEEK = 604_800;
/** How often a picture is asked for again, and after how long for the first time. */
const MOST_TRIES = 5;
const SHORTEST_MS = 1000;
/** About how wide the sizes of a picture are. */
const WIDTHS = { small: 480, medium: 1080, large: 2048 };

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

/** The pictures of a post or a message. @param {any[]} media */
export function pictures(media) {
  return media.length > 0 && html`<div class=${`media of-${media.length}`}>${media.map((one, place) => picture(one, () => enlarge(media, place)))}</div>`;
}

/** @param {any} one @param {() => void} open */
function picture(one, open) {
  const source = (/** @type {string} */ size) => one.url.replace(/large$/, size);
  const sizes = Object.entries(WIDTHS).map(([size, width]) => `${source(size)} ${width}w`).join(", ");
  const click = (/** @type {MouseEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open();
  };
  return html`<a href=${one.url} onClick=${click}>${one.still_url
    ? html`<picture><source media="(prefers-reduced-motion: reduce)" srcset=${one.still_url} /><img src=${one.url} alt=${one.alt || t("pictures.nameless")} width=${one.width} height=${one.height} loading="lazy" decoding="async" ref=${lost} onError=${missed} onLoad=${made} /></picture>`
    : html`<img src=${source("medium")} srcset=${sizes} sizes="(min-width: 40rem) 36rem, 80vw" alt=${one.alt || t("pictures.nameless")} width=${one.width} height=${one.height} loading="lazy" decoding="async" ref=${lost} onError=${missed} onLoad=${made} />`}</a>`;
}

/** What failed before this page was ours has said so to nobody. @param {HTMLImageElement | null} image */
function lost(image) {
  if (image?.complete && image.naturalWidth === 0) again(image);
}

const missed = (/** @type {any} */ { currentTarget }) => again(currentTarget);

/** @param {any} event */
const made = ({ currentTarget: image }) => delete image.dataset.awaited;

/**
 * A picture that was just sent is still being made: its place is kept, and it is asked for again, some times.
 * @param {HTMLImageElement} image
 */
function again(image) {
  const tries = Number(image.dataset.tries ?? 0);
  if (tries === MOST_TRIES) {
    delete image.dataset.awaited;
    return;
  }
  Object.assign(image.dataset, { tries: tries + 1, awaited: "" });
  setTimeout(() => {
    image.removeAttribute("srcset");
    image.src = `${image.src.split("#")[0]}#${tries}`;
  }, SHORTEST_MS * 2 ** tries);
}

/** @param {any[]} media @param {number} place */
async function enlarge(media, place) {
  const { enlarged } = await import("./lightbox.js");
  enlarged(media, place);
}

/** That there is nothing, and what one can do about it. @param {string} text @param {string} href @param {string} label */
export function blank(text, href, label) {
  return html`<p class="note">${text}</p><p class="more"><a class="button quiet" href=${href}>${label}</a></p>`;
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
