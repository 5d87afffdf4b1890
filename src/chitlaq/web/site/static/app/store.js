/** What this page knows, as signals: whoever shows it is told when it changes. */

import { signal } from "../vendor/signals.js";
import { Problem, ask } from "./api.js";
import { first, number, t } from "./base.js";

const MOST_COUNTED = 99;
const SAID_MS = 6000;

/** In `localStorage`: whether something waits in the outbox, and who signed in here last. */
export const OUTBOX = "outbox";
export const MEMBER = "member";

/** @typedef {{value: any}} Known A signal. */

/** Who is signed in. */
export const me = signal(first.me);
/** In `localStorage`: where one was in the home feed. */
export const placeKey = () => `place:${me.value?.username ?? ""}`;
/** What times are counted from: the server's clock until the page is ours, so that both write the same. */
export const now = signal(Date.parse(first.now));
/** How many notifications are unread. */
export const unread = signal(first.unread);
/** In how many conversations something is unread, or asked. */
export const chats = signal(first.chats);
/** What the screen is called. */
export const called = signal(document.title);
/**
 * What is said at the edge of the screen for a moment: `door` is what one can do about it, `due` when, by this clock.
 * @typedef {{label: string, act: () => void, lasts_ms?: number}} Door
 * @type {{value: {text: string, door?: Door, due: number} | null}}
 */
export const said = signal(null);

/** @type {Map<string, Known>} */
const posts = new Map();

/** The one post of this id, however often it is on the screen. @param {any} post @returns {Known} */
export function known(post) {
  let found = posts.get(post.id);
  if (found === undefined) posts.set(post.id, (found = signal(post)));
  return found;
}

/** Take in what was just read: it is newer than what was known. @param {any} value @returns {any} */
export function learn(value) {
  if (Array.isArray(value)) value.forEach(learn);
  else if (value !== null && typeof value === "object") {
    // Excerpts of posts are none.
    if ("author" in value && "media" in value) {
      const found = posts.get(value.id);
      // What is being deleted is still there.
      if (found) found.value = found.value.isGone ? { ...value, isGone: true } : value;
    } else Object.values(value).forEach(learn);
  }
  return value;
}

/** @type {Record<string, string>} What an action is called, and which number of the post it changes. */
const NUMBERS = { like: "likes", repost: "reposts", bookmark: "" };
/** @type {Record<string, string>} */
const FLAGS = { like: "liked", repost: "reposted", bookmark: "bookmarked" };

/**
 * Do or undo something with a post: shown at once, and taken back if it is refused.
 * @param {any} post
 * @param {"like" | "repost" | "bookmark"} action
 */
export async function toggle(post, action) {
  const one = known(post);
  const isDone = one.value[FLAGS[action]];
  one.value = toggled(one.value, action, !isDone);
  try {
    await ask(isDone ? "DELETE" : "PUT", `/api/posts/${post.id}/${action}`);
  } catch (problem) {
    one.value = toggled(one.value, action, isDone);
    say(problem, { label: t("problem.again"), act: () => toggle(one.value, action) });
  }
}

/** @param {any} post @param {string} action @param {boolean} isDone */
function toggled(post, action, isDone) {
  const number = NUMBERS[action];
  const changed = { ...post, [FLAGS[action]]: isDone };
  if (number) changed[number] = post[number] + (isDone ? 1 : -1);
  return changed;
}

/** A number beside an icon. @param {number} n */
export function badge(n) {
  return n > MOST_COUNTED ? `${MOST_COUNTED}+` : n ? number(n) : "";
}

let silence = 0;

/**
 * Say something for a moment; of a refusal, why, and until when the server asks to wait.
 * @param {unknown} what @param {Door} [door]
 */
export function say(what, door) {
  const wait_ms = what instanceof Problem ? what.retryAfter * 1000 : 0;
  said.value = { text: what instanceof Error ? reason(what) : String(what), door, due: Date.now() + wait_ms };
  clearTimeout(silence);
  silence = setTimeout(() => (said.value = null), wait_ms + (door?.lasts_ms ?? SAID_MS));
}

/**
 * Why something was refused, in the words of who refused it.
 * @param {unknown} error
 * @param {string} [kept] What becomes of what was written, if there is no connection: the key of its words.
 */
export function reason(error, kept) {
  const isOffline = error instanceof Problem ? error.status === 0 : !navigator.onLine;
  if (isOffline) return kept ? `${t("problem.offline")} ${t(kept)}` : t("problem.offline");
  if (!(error instanceof Problem)) return t("problem.fault");
  return error.message || t("problem.away");
}
