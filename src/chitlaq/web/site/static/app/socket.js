/**
 * The live connection (docs/websocket.md): one for this page, signed in by the cookie. It comes back by itself, and
 * then asks for what was missed; HTTP works without it.
 */

import { signal } from "../vendor/signals.js";
import { ended, renewed } from "./api.js";

/** @typedef {{type: string} & Record<string, any>} Frame */

const BEAT_MS = 25_000;
const SILENCE_MS = 10_000;
const LONGEST_MS = 30_000;
const EXPIRES_EARLY_MS = 30_000;
const SHORTEST_RENEWAL_MS = 20_000;
const UNAUTHORIZED = 401;
const POLICY_VIOLATION = 1008;

/** Whether frames come and go. */
export const isLive = signal(false);

/** @type {Set<(frame: Frame) => void>} */
const listeners = new Set();
/** The latest number seen of each conversation that is shown. @type {Map<string, number>} */
const seen = new Map();
/** @type {WebSocket | null} */
let socket = null;
let beganAt = 0;
let failures = 0;
let retrying = 0;
let beating = 0;
let dying = 0;
let renewing = 0;

/** Hear what arrives, until the returned function is called. @param {(frame: Frame) => void} listener */
export function listen(listener) {
  listeners.add(listener);
  connect();
  return () => listeners.delete(listener);
}

/** Ask for all of a conversation after a number, now and after each interruption. @param {string} id @param {number} seq */
export function follow(id, seq) {
  seen.set(id, seq);
  if (isLive.value) resume({ [id]: seq });
}

/** Note the latest number that is shown. @param {string} id @param {number} seq */
export function note(id, seq) {
  if (seq > (seen.get(id) ?? -1)) seen.set(id, seq);
}

/** @param {string} id */
export function leave(id) {
  seen.delete(id);
}

/** @param {Record<string, number>} conversations */
function resume(conversations) {
  if (Object.keys(conversations).length > 0) put({ type: "resume", conversations });
}

/** Send a frame, if there is a connection. @param {Frame} frame */
export function put(frame) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
}

function connect() {
  clearTimeout(retrying);
  if (socket !== null || listeners.size === 0) return;
  beganAt = Date.now();
  const one = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket = one;
  one.addEventListener("message", ({ data }) => one === socket && receive(JSON.parse(data)));
  one.addEventListener("close", ({ code }) => one === socket && lost(code));
  expectSigns();
}

/** Whatever arrives is a sign of life; without one, even after a ping, the connection is dead. */
function expectSigns() {
  clearTimeout(beating);
  clearTimeout(dying);
  const wait = isLive.value ? BEAT_MS : 0;
  beating = setTimeout(() => put({ type: "ping" }), wait);
  dying = setTimeout(() => lost(0), wait + SILENCE_MS);
}

/** @param {Frame} frame */
function receive(frame) {
  if (frame.type === "signed_in") {
    failures = 0;
    isLive.value = true;
    const left = frame.expires_at * 1000 - Date.now() - EXPIRES_EARLY_MS;
    clearTimeout(renewing);
    renewing = setTimeout(renew, Math.max(left, SHORTEST_RENEWAL_MS));
    resume(Object.fromEntries(seen));
  } else if (frame.type === "reconnect") {
    lost(0, frame.within_seconds * 1000 * Math.random());
    return;
  } else if (frame.type === "error" && frame.status === UNAUTHORIZED) {
    renew();
    return;
  }
  // A socket that is not signed in answers pings, too.
  if (isLive.value) expectSigns();
  for (const listener of [...listeners]) listener(frame);
}

/** Get a new token, and connect with it. If the session has ended, so does what this page is for. */
async function renew() {
  const isRenewed = await renewed(beganAt).catch(() => null);
  const isSignedIn = isRenewed === false ? await ended() : isRenewed === true;
  lost(0, isSignedIn ? 0 : undefined);
}

/** Connect again, later each time and never all at the same moment. @param {number} code @param {number} [wait] */
function lost(code, wait) {
  const one = socket;
  socket = null;
  isLive.value = false;
  for (const timer of [beating, dying, renewing, retrying]) clearTimeout(timer);
  one?.close();
  failures += 1;
  if (code === POLICY_VIOLATION && failures === 1) {
    renew();
    return;
  }
  const longest = Math.min(1000 * 2 ** (failures - 1), LONGEST_MS);
  retrying = setTimeout(connect, wait ?? longest * (0.5 + Math.random() / 2));
}

function hurry() {
  if (socket === null && document.visibilityState === "visible") connect();
}
addEventListener("online", hurry);
document.addEventListener("visibilitychange", hurry);
