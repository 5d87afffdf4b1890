/**
 * What waits to be sent: posts, messages, and whatever else must arrive once. It is kept in this browser, by member,
 * from the moment it is put here until the server has stored it: a browser that was closed goes on when it is opened.
 *
 * Each thing has an id, which is sent as its Idempotency-Key: what is sent twice arrives once. Things of one queue
 * arrive in the order in which they were put; one tab sends for all.
 */

import { effect, signal } from "../vendor/signals.js";
import { Problem, ask } from "./api.js";
import { isLive } from "./socket.js";
import { MEMBER, OUTBOX, me, reason } from "./store.js";

/**
 * @typedef {{key: string, alt: string, id?: string}} Picture
 *   What was kept under `key` with `keepFile`; `id` when it is uploaded.
 * @typedef {{id: string, queue: string, path: string, body: Record<string, any>, pictures?: Picture[], replaces?: string}} Outgoing
 *   `pictures` become the body's `media_ids`; `replaces` is deleted afterwards: the draft that it was.
 * @typedef {Outgoing & {n: number, member: string, tab: string, at: string, failures: number, why: string}} Item
 *   `why` it was refused: it waits for `retry` or `discard`, while others pass it. Otherwise it is sent by itself.
 */

const DATABASE = "chitlaq";
const ITEMS = "outbox";
const FILES = "files";
const LOCK = "outbox";
const SHORTEST_MS = 1000;
const LONGEST_MS = 60_000;
const MOST_FAILURES = 5;
const UNAUTHORIZED = 401;
/** No connection, a session that is over, limits: waiting helps. */
const PASSING = new Set([0, UNAUTHORIZED, 408, 425, 429]);

/** This page: what was put here says so. */
export const TAB = crypto.randomUUID();
/** What waits, in order, of whoever is signed in. @type {{value: Item[]}} */
export const waiting = signal([]);

/** @type {Set<(item: Item, answer: any) => void>} */
const listeners = new Set();
const tabs = new BroadcastChannel(DATABASE);
/** @type {Promise<IDBDatabase> | null} */
let database = null;
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
  await change(ITEMS, (store) => {
    store.index("id").getKey(outgoing.id).onsuccess = ({ target }) => {
      const item = { ...outgoing, member: name(), tab: TAB, at: new Date().toISOString(), failures: 0, why: "" };
      if (/** @type {IDBRequest} */ (target).result === undefined) store.add(item);
    };
  });
  await tell({ type: "changed" });
  wake();
}

/** Hear what was stored, in whichever tab, until the returned function is called. @param {(item: Item, answer: any) => void} listener */
export function onSent(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Try again at once. @param {Item} item */
export async function retry(item) {
  await change(ITEMS, (store) => store.put({ ...item, failures: 0, why: "" }));
  await tell({ type: "changed" });
  wake();
}

/**
 * Give something up.
 * @param {Item} item
 * @returns {Promise<boolean>} False if it has just arrived.
 */
export async function discard(item) {
  // Not while it is being sent.
  return navigator.locks.request(LOCK, async () => {
    const isThere = (await own()).some(({ id }) => id === item.id);
    await remove(item);
    await tell({ type: "changed" });
    return isThere;
  });
}

/** Keep a file until it is uploaded or left. @param {string} key @param {Blob} file */
export const keepFile = (key, file) => change(FILES, (store) => store.put(file, key));

/** @param {string} key @returns {Promise<Blob | undefined>} */
export const keptFile = (key) => found(FILES, (store) => store.get(key));

/** @param {string} key */
export const leaveFile = (key) => change(FILES, (store) => store.delete(key));

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
  else if (!isSignedOut && waiting.value.some(({ why }) => !why)) {
    retrying = setTimeout(run, pause);
    pause = Math.min(pause * 2, LONGEST_MS);
  }
}

async function sendAll() {
  /** Queues whose first has to wait. */
  const stopped = new Set();
  // Whoever signed in since, in another tab, is somebody else.
  while (localStorage.getItem(MEMBER) === name()) {
    const item = (await own()).find(({ queue, why }) => !why && !stopped.has(queue));
    if (item === undefined) return;
    try {
      await deliver(item);
    } catch (problem) {
      const status = problem instanceof Problem ? problem.status : -1;
      const isPassing = PASSING.has(status);
      isSignedOut = status === UNAUTHORIZED;
      const failures = item.failures + (isPassing ? 0 : 1);
      const waits = isPassing || (status >= 500 && failures < MOST_FAILURES);
      if (waits) stopped.add(item.queue);
      if (problem instanceof Problem && problem.retryAfter) pause = Math.max(pause, problem.retryAfter * 1000);
      await change(ITEMS, (store) => store.put({ ...item, failures, why: waits ? "" : reason(problem) }));
      await tell({ type: "changed" });
      if (status === -1) console.error(problem);
    }
  }
}

/** @param {Item} item */
async function deliver(item) {
  const { pictures = [], replaces } = item;
  for (const picture of pictures) {
    await uploaded(picture);
    await change(ITEMS, (store) => store.put(item));
  }
  const body = pictures.length > 0 ? { ...item.body, media_ids: pictures.map(({ id }) => id) } : item.body;
  const answer = await ask("POST", item.path, body, { "Idempotency-Key": item.id });
  if (replaces) await ask("DELETE", replaces).catch(unlessPassing);
  await remove(item);
  pause = SHORTEST_MS;
  await tell({ type: "sent", item, answer });
}

/** Upload a kept picture, once, and describe it; it has its id then. @param {Picture} picture */
export async function uploaded(picture) {
  if (!picture.id) {
    const form = new FormData();
    form.append("file", /** @type {Blob} */ (await keptFile(picture.key)));
    picture.id = /** @type {string} */ ((await ask("POST", "/api/media", form, { "Idempotency-Key": picture.key })).id);
  }
  if (picture.alt) await ask("PATCH", `/api/media/${picture.id}`, { alt: picture.alt });
}

/** What is gone already is as it shall be. @param {unknown} problem */
function unlessPassing(problem) {
  if (!(problem instanceof Problem) || PASSING.has(problem.status)) throw problem;
}

/** @param {Item} item */
async function remove(item) {
  await change(ITEMS, (store) => store.delete(item.n));
  for (const { key } of item.pictures ?? []) await leaveFile(key);
}

/** What waits, of whoever is signed in. @returns {Promise<Item[]>} */
const own = () => found(ITEMS, (store) => store.index("member").getAll(name()));

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
    if (items.length > 0) localStorage.setItem(OUTBOX, "1");
    else localStorage.removeItem(OUTBOX);
  }
  if (event.type === "sent") for (const listener of [...listeners]) listener(event.item, event.answer);
}

function open() {
  database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      const items = request.result.createObjectStore(ITEMS, { keyPath: "n", autoIncrement: true });
      items.createIndex("id", "id", { unique: true });
      items.createIndex("member", "member");
      request.result.createObjectStore(FILES);
    };
    request.onsuccess = () => {
      // Whoever signs out deletes it.
      request.result.onversionchange = () => {
        request.result.close();
        database = null;
      };
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  });
  return database;
}

/** @param {string} name @param {(store: IDBObjectStore) => void} act @returns {Promise<void>} */
async function change(name, act) {
  const all = await open();
  return new Promise((resolve, reject) => {
    const transaction = all.transaction(name, "readwrite", { durability: "strict" });
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
    act(transaction.objectStore(name));
  });
}

/** @param {string} name @param {(store: IDBObjectStore) => IDBRequest} ask @returns {Promise<any>} */
async function found(name, ask) {
  const all = await open();
  return new Promise((resolve, reject) => {
    const request = ask(all.transaction(name).objectStore(name));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

tabs.addEventListener("message", ({ data }) => hear(data));
addEventListener("online", wake);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wake());
effect(() => {
  if (isLive.value) wake();
});
await tell({ type: "changed" });
wake();
