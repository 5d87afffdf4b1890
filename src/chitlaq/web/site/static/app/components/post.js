/** A post; templates/app/post.html makes the same nodes: a test compares them. */

import { count, html, number, t } from "../base.js";
import { known, toggle } from "../store.js";
import { Time, avatar, counted, icon, written } from "./parts.js";

const FOLDED_LINES = 12;
const FOLDED_LENGTH = 800;

/**
 * @param {{post: any, position?: number, size?: number, isMain?: boolean}} properties
 */
export function PostCard({ post: given, position = 0, size = 0, isMain = false }) {
  const post = known(given).value;
  const sharer = given.reposted_by;
  const key = sharer ? sharer.id : post.id;
  const href = addressOf(post);
  /** @param {"like" | "repost" | "bookmark"} action */
  const act = (action) => () => toggle(post, action);
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
        </footer>
      </div>
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
    ${post.edited_at && html`<span class="edited">${t("post.edited")}</span>`}
    ${post.visibility !== "public" && html`<span class="audience">${icon("lock")}<span class="hidden">${t(`audience.${post.visibility}`)}</span></span>`}
  `;
}

/** @param {any} post @param {string} key @param {string} href @param {boolean} isMain */
function content(post, key, href, isMain) {
  const isFolded = !isMain && isLong(post.text);
  return html`
    ${post.text && html`<div class=${isFolded ? "text folded" : "text"} dir="auto" id=${`${key}-text`}>${written(post.text)}</div>`}
    ${post.text && isFolded && html`<p class="read-on"><a href=${href}>${t("post.read-on")}</a></p>`}
    ${post.media.length > 0 && html`<div class=${`media of-${post.media.length}`}>${post.media.map(picture)}</div>`}
    ${post.poll && html`<ul class="poll">${post.poll.options.map(option)}</ul><p class="poll-state">${count("poll.voters", post.poll.voters)}</p>`}
  `;
}

/** @param {any} one */
function picture(one) {
  return html`<a href=${one.url}><img src=${one.url} alt=${one.alt} width=${one.width} height=${one.height} loading="lazy" decoding="async" /></a>`;
}

/** @param {any} one */
function option(one) {
  return html`<li><span dir="auto">${one.text}</span><span class="votes">${one.votes === null ? "" : number(one.votes)}</span></li>`;
}

/** @param {any} post */
function quote(post) {
  const quoted = post.quote;
  if (!quoted) {
    return (post.quote_of || post.quote_detached) && html`<p class="gone">${t("post.quote-gone")}</p>`;
  }
  return html`<blockquote class="quote"><header class="head">${author(quoted, "")}</header>${
    quoted.content_warning
      ? html`<p class="warning" dir="auto">${quoted.content_warning}</p>`
      : html`<div class="text" dir="auto">${written(quoted.text)}</div>`
  }</blockquote>`;
}

/** Whether a list shows only the beginning of a text. @param {string} text */
function isLong(text) {
  return [...text].length > FOLDED_LENGTH || text.split("\n").length > FOLDED_LINES;
}
