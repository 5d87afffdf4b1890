/** A post; templates/app/post.html makes the same nodes: a test compares them. */

import { useState } from "../../vendor/hooks.js";
import { ask, read } from "../api.js";
import { count, html, number, t } from "../base.js";
import { known, learn, now, say, toggle } from "../store.js";
import { Time, avatar, counted, icon, pictures, written } from "./parts.js";

const FOLDED_LINES = 12;
const FOLDED_LENGTH = 800;
const HOUR = 3600;
const DAY = 86_400;
const CONFLICT = 409;

/**
 * @param {{post: any, position?: number, size?: number, isMain?: boolean}} properties
 */
export function PostCard({ post: given, position = 0, size = 0, isMain = false }) {
  const post = known(given).value;
  const [menu, setMenu] = useState(/** @type {any} */ (null));
  const sharer = given.reposted_by;
  const key = sharer ? sharer.id : post.id;
  const href = addressOf(post);
  /** @param {"like" | "repost" | "bookmark"} action */
  const act = (action) => () => toggle(post, action);
  const more = (/** @type {any} */ { currentTarget }) =>
    import("./post_menu.js").then(({ PostMenu }) => setMenu({ PostMenu, at: currentTarget }), say);
  if (post.isGone) return html`<p class="gone" data-id=${post.id}>${t("post.deleted")}</p>`;
  return html`
    <article
      class=${isMain ? "post main" : "post"}
      data-id=${post.id}
      tabindex="-1"
      aria-labelledby=${`${key}-author ${key}-text ${key}-time`}
      aria-posinset=${position || undefined}
      aria-setsize=${position ? size : undefined}
    >
      ${sharer && html`<p class="context">${icon("repeat-2")}<a href=${`/@${sharer.username}`}><bdi>${sharer.display_name}</bdi></a><span>${t("post.reposted")}</span></p>`}
      <a class="face" href=${`/@${post.author.username}`} tabindex="-1" aria-hidden="true">${avatar(post.author)}</a>
      <div class="body">
        <header class="head">${author(post, key)}</header>
        ${post.content_warning
          ? html`<details class="warning"><summary dir="auto">${post.content_warning}</summary>${content(post, key, href, isMain)}</details>`
          : content(post, key, href, isMain)}
        ${quote(post)}
        <footer class="actions">
          <a class="action reply" href=${href}>${icon("message-circle")}<span aria-hidden="true">${counted(post.replies)}</span><span class="hidden">${count("post.replies", post.replies)}</span></a>
          <button class="action repost" type="button" aria-pressed=${String(post.reposted)} onClick=${act("repost")}>${icon("repeat-2")}<span aria-hidden="true">${counted(post.reposts)}</span><span class="hidden">${count("post.reposts", post.reposts)}</span></button>
          <button class="action like" type="button" aria-pressed=${String(post.liked)} onClick=${act("like")}>${icon("heart")}<span aria-hidden="true">${counted(post.likes)}</span><span class="hidden">${count("post.likes", post.likes)}</span></button>
          <button class="action bookmark" type="button" aria-pressed=${String(post.bookmarked)} onClick=${act("bookmark")}>${icon("bookmark")}<span class="hidden">${t("post.bookmark")}</span></button>
          <button class="action more-of" type="button" aria-haspopup="menu" onClick=${more}>${icon("ellipsis")}<span class="hidden">${t("post.more")}</span></button>
        </footer>
      </div>
      ${menu && html`<${menu.PostMenu} post=${post} at=${menu.at} onClose=${() => setMenu(null)} />`}
    </article>
  `;
}

/** The address of a post's page. @param {any} post */
export function addressOf(post) {
  return `/@${post.author.username}/p/${post.id}`;
}

/** Who wrote a post, and when. @param {any} post @param {string} key */
export function author(post, key) {
  return html`
    <a class="author" href=${`/@${post.author.username}`} id=${key ? `${key}-author` : undefined}><bdi class="name">${post.author.display_name}</bdi><span class="handle">${`@${post.author.username}`}</span></a>
    <a class="time" href=${addressOf(post)} id=${key ? `${key}-time` : undefined}><${Time} at=${post.created_at} /></a>
    ${post.edited_at && html`<a class="edited" href=${`${addressOf(post)}/history`}>${t("post.edited")}</a>`}
    ${post.visibility !== "public" && html`<span class="audience">${icon("lock")}<span class="hidden">${t(`audience.${post.visibility}`)}</span></span>`}
  `;
}

/** @param {any} post @param {string} key @param {string} href @param {boolean} isMain */
function content(post, key, href, isMain) {
  const isFolded = !isMain && isLong(post.text);
  return html`
    ${post.text && html`<div class=${isFolded ? "text folded" : "text"} dir="auto" id=${`${key}-text`}>${written(post.text)}</div>`}
    ${post.text && isFolded && html`<p class="read-on"><a href=${href}>${t("post.read-on")}</a></p>`}
    ${pictures(post.media)}
    ${post.poll && html`<${Poll} post=${post} />`}
  `;
}

/** @param {any} post */
function quote(post) {
  const quoted = post.quote;
  if (!quoted) {
    return (post.quote_of || post.quote_detached) && html`<p class="gone">${t("post.quote-gone")}</p>`;
  }
  return quotation(quoted);
}

/** A post inside another. @param {any} quoted */
export function quotation(quoted) {
  return html`<blockquote class="quote"><header class="head">${author(quoted, "")}</header>${
    quoted.content_warning
      ? html`<p class="warning" dir="auto">${quoted.content_warning}</p>`
      : html`<div class="text" dir="auto">${written(quoted.text)}</div>`
  }${(quoted.media.length > 0 || quoted.poll) && html`<p class="poll-state">${quoted.media.length > 0 && html`<span>${count("pictures.number", quoted.media.length)}</span>`}${quoted.poll && html`<span>${t("composer.poll")}</span>`}</p>`}</blockquote>`;
}

/** A poll: what can be chosen, until one has voted or it is over; then what was chosen. @param {{post: any}} properties */
function Poll({ post }) {
  const { poll } = post;
  const { options } = poll;
  const isOpen = !poll.ended && options[0].votes === null;
  const [isBusy, setBusy] = useState(false);
  const vote = async (/** @type {any} */ event) => {
    event.preventDefault();
    // What was chosen before the page was ours counts.
    const chosen = new FormData(event.target).getAll("choice").map(Number);
    if (isBusy || chosen.length === 0) return;
    setBusy(true);
    try {
      const voted = await ask("PUT", `/api/posts/${post.id}/vote`, { choices: chosen });
      known(post).value = { ...known(post).value, poll: voted.poll };
    } catch (problem) {
      say(problem);
      // It has ended meanwhile, or was voted in elsewhere: that is shown.
      if (/** @type {any} */ (problem).status === CONFLICT) learn(await read(`/api/posts/${post.id}`).catch(() => null));
    }
    setBusy(false);
  };
  const state = html`<p class="poll-state"><span>${count("poll.voters", poll.voters)}</span>${poll.ended ? html`<span>${t("poll.ended")}</span>` : html`<time datetime=${poll.expires_at}>${left(poll.expires_at, now.value)}</time>`}</p>`;
  if (isOpen) {
    return html`
      <form class="poll" method="dialog" onSubmit=${vote}>
        ${options.map((/** @type {any} */ one, /** @type {number} */ place) => html`<label><input type=${poll.multiple ? "checkbox" : "radio"} name="choice" value=${place} /><span dir="auto">${one.text}</span></label>`)}
        <button class="quiet" type="submit">${t("poll.vote")}</button>
      </form>
      ${state}
    `;
  }
  return html`
    <ul class="poll">${options.map((/** @type {any} */ one, /** @type {number} */ place) => html`<li><span class="poll-text"><span dir="auto">${one.text}</span>${poll.voted?.includes(place) && html`${icon("check")}<span class="hidden">${t("poll.own")}</span>`}</span>${one.votes !== null && html`<span class="votes">${number(one.votes)}</span><progress max=${Math.max(poll.voters, 1)} value=${one.votes} aria-hidden="true"></progress>`}</li>`)}</ul>
    ${state}
  `;
}

/** How long a poll goes on, rounded up. @param {string} at @param {number} from */
function left(at, from) {
  const seconds = Math.max(Math.ceil((Date.parse(at) - from) / 1000), 0);
  if (seconds < HOUR) return t("poll.left", { time: t("time.m", { n: Math.ceil(seconds / 60) }) });
  if (seconds < DAY) return t("poll.left", { time: t("time.h", { n: Math.ceil(seconds / HOUR) }) });
  return t("poll.left", { time: t("time.d", { n: Math.ceil(seconds / DAY) }) });
}

/** Whether a list shows only the beginning of a text. @param {string} text */
function isLong(text) {
  return [...text].length > FOLDED_LENGTH || text.split("\n").length > FOLDED_LINES;
}
