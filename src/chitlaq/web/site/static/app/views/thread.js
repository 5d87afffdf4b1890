/** A post with what it answers and what answers it; templates/app/thread.html makes the same nodes. */

import { count, html, t } from "../base.js";
import { Composer } from "../components/composer.js";
import { PostCard } from "../components/post.js";
import { known } from "../store.js";

const LEVELS = 3;

/** @param {Record<string, string>} parameters */
export const reads = ({ post }) => ({ thread: `/api/posts/${encodeURIComponent(post)}/thread?limit=20` });

/** @param {import("../router.js").Shown} shown */
export const title = ({ data }) => {
  const { post } = data.thread;
  return post ? t("thread.title", { name: post.author.display_name }) : t("thread.plain");
};

/** @param {import("../router.js").Shown} properties */
export function View({ data, change }) {
  const { thread } = data;
  const answered = (/** @type {any} */ post) => {
    const one = known(thread.post);
    one.value = { ...one.value, replies: one.value.replies + 1 };
    const reply = { id: post.id, deleted: false, post, replies: [], next_cursor: null };
    change({ thread: { ...thread, replies: [...thread.replies, reply] } });
  };
  return html`
    <h1 class="title" tabindex="-1">${t("thread.plain")}</h1>
    <div class="thread">
      ${thread.ancestors.map((/** @type {any} */ one) => html`<div class="ancestor" key=${one.id}>${place(one)}</div>`)}
      ${place(thread, true)}
    </div>
    <${Composer} name="reply" context=${`reply:${thread.id}`} label=${t("composer.reply")} replyTo=${thread.id} onSent=${answered} />
    <ol class="replies" aria-label=${t("thread.replies")}>${thread.replies.map((/** @type {any} */ one) => branch(one, 1))}</ol>
  `;
}

/** @param {any} one @param {boolean} [isMain] */
function place(one, isMain = false) {
  return one.post
    ? html`<${PostCard} post=${one.post} isMain=${isMain} />`
    : html`<p class="gone">${t("thread.gone")}</p>`;
}

/** @param {any} one @param {number} level @returns {any} */
function branch(one, level) {
  const more = level < LEVELS && one.replies.length > 0
    ? html`<ol class="replies">${one.replies.map((/** @type {any} */ reply) => branch(reply, level + 1))}</ol>`
    : one.post?.replies > 0 && html`<p class="read-on"><a href=${`/@${one.post.author.username}/p/${one.id}`}>${count("thread.on", one.post.replies)}</a></p>`;
  return html`<li key=${one.id}>${place(one)}${more}</li>`;
}
