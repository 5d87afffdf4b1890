/** A post with what it answers and what answers it; templates/app/thread.html makes the same nodes. */

import { useState } from "../../vendor/hooks.js";
import { read } from "../api.js";
import { count, html, t } from "../base.js";
import { Composer } from "../components/composer.js";
import { PostCard } from "../components/post.js";
import { known, learn, say } from "../store.js";

const LEVELS = 3;

/** @param {Record<string, string>} parameters */
const path = ({ post }) => `/api/posts/${encodeURIComponent(post)}/thread?limit=20`;

/** @param {Record<string, string>} parameters */
export const reads = (parameters) => ({ thread: path(parameters) });

/** @param {import("../router.js").Shown} shown */
export const title = ({ data }) => {
  const { post } = data.thread;
  return post ? t("thread.title", { name: post.author.display_name }) : t("thread.plain");
};

/** @param {import("../router.js").Shown} properties */
export function View({ parameters, data, change }) {
  const { thread } = data;
  const [isBusy, setBusy] = useState(false);
  const more = async () => {
    setBusy(true);
    try {
      const next = learn(await read(`${path(parameters)}&cursor=${encodeURIComponent(thread.next_cursor)}`));
      const shown = new Set(thread.replies.map((/** @type {any} */ one) => one.id));
      const replies = next.replies.filter((/** @type {any} */ one) => !shown.has(one.id));
      change({ thread: { ...thread, replies: [...thread.replies, ...replies], next_cursor: next.next_cursor } });
    } catch (problem) {
      say(problem);
    }
    setBusy(false);
  };
  const answered = (/** @type {any} */ post) => {
    // An earlier version of it may be there already.
    if (thread.replies.some((/** @type {any} */ one) => one.id === post.id)) return void learn(post);
    const one = known(thread.post);
    one.value = { ...one.value, replies: one.value.replies + 1 };
    const reply = { id: post.id, deleted: false, post, replies: [], next_cursor: null };
    change({ thread: { ...thread, replies: [...thread.replies, reply] } });
  };
  return html`
    <h1 class="title" tabindex="-1">${t("thread.plain")}</h1>
    ${thread.has_earlier && html`<p class="read-on earlier"><a href=${threadOf(thread.ancestors[0])}>${t("thread.earlier")}</a></p>`}
    <div class="thread">
      ${thread.ancestors.map((/** @type {any} */ one) => html`<div class="ancestor" key=${one.id}>${place(one)}</div>`)}
      ${place(thread, true)}
    </div>
    <${Composer} name="reply" context=${`reply:${thread.id}`} label=${t("composer.reply")} replyTo=${thread.id} onSent=${answered} />
    <ol class="replies" aria-label=${t("thread.replies")}>${thread.replies.map((/** @type {any} */ one) => branch(one, 1))}</ol>
    ${thread.next_cursor && html`<p class="more"><button class="quiet" type="button" disabled=${isBusy} onClick=${more}>${t("list.more")}</button></p>`}
  `;
}

/** The page of a place in a thread; whose it was is not told of what is gone. @param {any} one */
const threadOf = (one) => `/@${one.post?.author.username ?? "-"}/p/${one.id}`;

/** @param {any} one @param {boolean} [isMain] */
function place(one, isMain = false) {
  return one.post
    ? html`<${PostCard} post=${one.post} isMain=${isMain} />`
    : html`<p class="gone">${t("thread.gone")}</p>`;
}

/** @param {any} one @param {number} level @returns {any} */
function branch(one, level) {
  const isDeep = level >= LEVELS || one.replies.length === 0;
  const inner = !isDeep && html`<ol class="replies">${one.replies.map((/** @type {any} */ reply) => branch(reply, level + 1))}</ol>`;
  const rest = isDeep ? (one.post?.replies ?? 0) : one.next_cursor ? Math.max((one.post?.replies ?? 0) - one.replies.length, 1) : 0;
  const on = rest > 0 && html`<p class="read-on"><a href=${threadOf(one)}>${count("thread.on", rest)}</a></p>`;
  return html`<li key=${one.id}>${place(one)}${inner}${on}</li>`;
}
