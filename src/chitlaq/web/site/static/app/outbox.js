/**
 * What waits to be sent: posts, messages, and whatever else must arrive once. It is kept in this browser, by member,
 * from the moment it is put here until the server has stored it: a browser that was closed goes on when it is opened.
 *
 * Each thing has an id, which is sent as its Idempotency-Key: what is sent twice arrives once. Things of one queue
 * arrive in the order in which they were put; one tab sends for all.
 */

import { effect, signal } from "../vendor/signals.js";
import { Problem, ask } from "./api.js";
import { remember } from "./base.js";
import { corrected } from "./edited.js";
import * as kept from "./kept.js";
import { isLive } from "./socket.js";
import { MEMBER, OUTBOX, me, reason, say } from "./store.js";

/**
 * @typedef {{key: string, alt: string, id?: string}} Picture
 *   What was kept under `key` with `keepFile`; `id` when it is uploaded.
 * @typedef {{id: string, queue: string, path: string, body: Record<string, any>, pictures?: Picture[], replaces?: string,
 *   before?: Record<string, any>[], method?: "DELETE", due?: number}} Outgoing
 *   `method` is POST otherwise; nothing is sent before `due`, which the server may have asked for;
 *   `pictures` become the body's `media_ids`; `replaces` is deleted afterwards: the draft that it was; `before` are the
 *   bodies that were sent under this id without an answer: see `versions`.
 * @typedef {Outgoing & {n: number, member: string, tab: string, at: string, failures: number, why: string}} Item
 *   `why` it was refused: it waits for `retry` or `discard`, while others pass it. Otherwise it is sent by itself.
 */

const LOCK = "outbox";
const SHORTEST_MS = 1000;
const LONGEST_MS = 60_000;
const MOST_FAILURES = 5;
const UNAUTHORIZED = 401;
/** No connection, a session that is over, limits: waiting helps. */
const PASSING = new Set([0, UNAUTHORIZED, 408, 425, 429]);
const GONE = new Set([404, 410]);

/** This page: what was put here says so. */
export const TAB = crypto.randomUUID();
/** What waits, in order, of whoever is signed in. @type {{value: Item[]}} */
export const waiting = signal([]);

/** @type {Set<(item: Item, answer: any) => void>} */
const listeners = new Set();
/** @type {Set<(item: Item) => void>} */
const refusals = new Set();
const tabs = new BroadcastChannel(kept.DATABASE);
let looks = 0;
let isSending = false;
let isAskedAgain = false;
let retrying = 0;
let pause = SHORTEST_MS;
/** Whoever was asked to sign in again is not asked by a clock. */
let isSignedOut = false;

/**
 * Take something to be sent. When this is done it is kept, and sending has begun.
 * @param {Outgoing} outgoing What has the id of one that waits is that one.
 */
export async function put(outgoing) {
  await kept.add({ ...outgoing, member: name(), tab: TAB, at: new Date().toISOString(), failures: 0, why: "" });
  await tell({ type: "changed" });
  wake();
}

/** Hear what was stored, in whichever tab, until the returned function is called. @param {(item: Item, answer: any) => void} listener */
export function onSent(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Hear of what is refused and given up by itself: deletions. @param {(item: Item) => void} listener */
export function onRefused(listener) {
  refusals.add(listener);
  return () => refusals.delete(listener);
}

/** Try again at once. @param {Item} item */
export async function retry(item) {
  await kept.save({ ...item, failures: 0, why: "", due: 0 });
  await tell({ type: "changed" });
  wake();
}

/**
 * Give something up.
 * @param {{id: string}} given
 * @param {boolean} [keepsFiles] For whoever writes it anew.
 * @returns {Promise<boolean>} False if it has just arrived.
 */
export async function discard(given, keepsFiles = false) {
  // Not while it is being sent.
  return navigator.locks.request(LOCK, async () => {
    const item = (await own()).find(({ id }) => id === given.id);
    if (item === undefined) return false;
    await remove(item, keepsFiles);
    await tell({ type: "changed" });
    return true;
  });
}

/**
 * What may be stored under an item's id already, for whoever writes it anew under the same: `before` of the next.
 * @param {Item} item
 */
export function versions({ body, pictures = [], before = [] }) {
  // With a picture that is not uploaded it was never sent.
  return pictures.every(({ id }) => id) ? [...before, withPictures(body, pictures)] : before;
}

/** @param {Record<string, any>} body @param {Picture[]} pictures */
const withPictures = (body, pictures) => (pictures.length > 0 ? { ...body, media_ids: pictures.map(({ id }) => id) } : body);

/** Begin again with what waits, without a pause. */
function wake() {
  pause = SHORTEST_MS;
  isSignedOut = false;
  run();
}

async function run() {
  clearTimeout(retrying);
  isAskedAgain = isSending;
  if (isSending) return;
  isSending = true;
  try {
    await navigator.locks.request(LOCK, sendAll);
  } finally {
    isSending = false;
  }
  if (isAskedAgain) run();
  else if (!isSignedOut) again();
}

/** Try again after a pause that grows, or when the server has said. */
function again() {
  const queues = new Set();
  const firsts = waiting.value.filter(({ why, queue }) => !why && !queues.has(queue) && queues.add(queue));
  if (firsts.length === 0) return;
  const waits = firsts.map(({ due = 0 }) => due - Date.now());
  if (waits.some((ms) => ms <= 0)) {
    retrying = setTimeout(run, Math.min(pause, ...waits.filter((ms) => ms > 0)));
    pause = Math.min(pause * 2, LONGEST_MS);
  } else retrying = setTimeout(run, Math.min(...waits));
}

async function sendAll() {
  /** Queues whose first has to wait. */
  const stopped = new Set();
  // Whoever signed in since, in another tab, is somebody else.
  while (localStorage.getItem(MEMBER) === name()) {
    const item = (await own()).find(({ queue, why }) => !why && !stopped.has(queue));
    if (item === undefined) return;
    if ((item.due ?? 0) > Date.now()) {
      stopped.add(item.queue);
      continue;
    }
    try {
      await deliver(item);
    } catch (problem) {
      const status = problem instanceof Problem ? problem.status : -1;
      const isPassing = PASSING.has(status);
      isSignedOut = status === UNAUTHORIZED;
      const failures = item.failures + (isPassing ? 0 : 1);
      const waits = isPassing || (status >= 500 && failures < MOST_FAILURES);
      if (waits) stopped.add(item.queue);
      const due = problem instanceof Problem && problem.retryAfter ? Date.now() + problem.retryAfter * 1000 : 0;
      if (item.method && !waits) await giveUp(item, problem);
      else {
        await kept.save({ ...item, failures, why: waits ? "" : reason(problem), due });
        await tell({ type: "changed" });
      }
      if (status === -1) console.error(problem);
    }
  }
}

/** Nobody writes a deletion anew: what was to go stays. @param {Item} item @param {unknown} problem */
async function giveUp(item, problem) {
  await remove(item);
  await tell({ type: "refused", item });
  say(problem);
}

/** @param {Item} item */
async function deliver(item) {
  if (item.method) {
    await ask(item.method, item.path).catch(unlessGone);
    await remove(item);
    return tell({ type: "sent", item });
  }
  const { pictures = [], replaces } = item;
  for (const picture of pictures) {
    await uploaded(picture);
    await kept.save(item);
  }
  const body = withPictures(item.body, pictures);
  const answer = item.before?.length ? await corrected(item, body) : await ask("POST", item.path, body, { "Idempotency-Key": item.id });
  if (answer === null) return anew(item);
  if (replaces) await ask("DELETE", replaces).catch(unlessGone);
  await remove(item);
  pause = SHORTEST_MS;
  await tell({ type: "sent", item, answer });
}

/** Send what has nothing stored any more under an id that nothing was sent under. @param {Item} item */
async function anew(item) {
  const id = crypto.randomUUID();
  const body = "client_id" in item.body ? { ...item.body, client_id: id } : item.body;
  await kept.save({ ...item, id, body, before: [] });
}

/** Upload a kept picture, once, and describe it; it has its id then. @param {Picture} picture */
export async function uploaded(picture) {
  if (!picture.id) {
    const form = new FormData();
    form.append("file", /** @type {Blob} */ (await kept.file(picture.key)));
    picture.id = /** @type {string} */ ((await ask("POST", "/api/media", form, { "Idempotency-Key": picture.key })).id);
  }
  if (picture.alt) await ask("PATCH", `/api/media/${picture.id}`, { alt: picture.alt });
}

/** What is gone already is as it shall be. @param {unknown} problem */
function unlessGone(problem) {
  if (!(problem instanceof Problem && GONE.has(problem.status))) throw problem;
}

/** @param {Item} item @param {boolean} [keepsFiles] */
async function remove(item, keepsFiles = false) {
  await kept.remove(item.n);
  if (keepsFiles) return;
  for (const { key } of item.pictures ?? []) await kept.leaveFile(key);
}

/** What waits, of whoever is signed in. @returns {Promise<Item[]>} */
const own = () => kept.all(name());

const name = () => me.value?.username ?? "";

/** @param {any} event */
async function tell(event) {
  tabs.postMessage(event);
  await hear(event);
}

/** @param {any} event */
async function hear(event) {
  const look = ++looks;
  const items = await own();
  if (look === looks) {
    waiting.value = items;
    // main.js looks for it: who has nothing to send does not load this module.
    remember(OUTBOX, items.length > 0 ? "1" : null);
  }
  if (event.type === "refused") for (const listener of [...refusals]) listener(event.item);
  if (event.type === "sent") for (const listener of [...listeners]) listener(event.item, event.answer);
}

tabs.addEventListener("message", ({ data }) => hear(data));
addEventListener("online", wake);
addEventListener("focus", wake);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wake());
effect(() => {
  if (isLive.value) wake();
});
await tell({ type: "changed" });
wake();
