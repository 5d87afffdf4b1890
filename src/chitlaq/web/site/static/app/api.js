/**
 * The public API, as a page uses it: cookies say who asks, refusals are problem documents (RFC 9457).
 *
 * An access token that has expired is renewed once. If the session is over, whoever is here signs in again in a
 * dialog, and what they were doing goes on.
 */

import { signal } from "../vendor/signals.js";
import { first, remember, t } from "./base.js";

/** A refusal, or no answer at all (`status` 0). */
export class Problem extends Error {
  /** @param {number} status @param {{type?: string, detail?: string, request_id?: string, errors?: Record<string, string>}} body @param {number} retryAfter */
  constructor(status, body, retryAfter = 0) {
    const errors = Object.entries(body.errors ?? {}).map(([name, why]) => [name, sentence(name, why)]);
    super(errors.map(([, said]) => said).join(" ") || (body.detail ?? ""));
    this.status = status;
    this.kind = body.type?.split("/").at(-1) ?? "";
    /** What to say of each field, as a sentence. @type {Record<string, string>} */
    this.errors = Object.fromEntries(errors);
    this.requestId = body.request_id ?? "";
    this.retryAfter = retryAfter;
  }
}

/**
 * What the API says of a field, for a member, who does not know the field's name; `web/site/pages.py` says the same.
 * @param {string} name @param {string} why
 */
function sentence(name, why) {
  if (why.endsWith(".")) return why;
  const key = `refused.${name.replace(/\[[^\]]*\]/g, "").split(".").at(-1)}`;
  return t(key in first.words ? key : "refused.other", { why });
}

const REFRESHED = "refreshed";
/** How long an answer may take: on a bad network there is none after that. */
const LONGEST_MS = 30_000;
/** What changes nothing. */
const READS = new Set(["GET", "HEAD"]);
/** Letters of what outlives its page: browsers allow 64 KiB of it at once. */
const MOST_LASTING = 8000;
const UNAUTHORIZED = 401;

/** Whether the server could be reached when we tried last. */
export const reached = signal(true);

/** @type {() => Promise<boolean>} Lets somebody sign in again; set by main.js. */
let signIn = async () => false;

/** @param {() => Promise<boolean>} dialog */
export function onSessionEnd(dialog) {
  signIn = dialog;
}

/** The session has ended, wherever that was done: sign in again. */
export const ended = () => signIn();

/** @param {string} path */
export const read = (path) => ask("GET", path);

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Record<string, string>} [headers]
 * @returns {Promise<any>} The answer's body; null if it has none.
 */
export async function ask(method, path, body, headers = {}) {
  const sent = { method, body, headers };
  let began = Date.now();
  let answer = await send(path, sent);
  if (answer.status === 401 && (await renewed(began))) {
    began = Date.now();
    answer = await send(path, sent);
  }
  if (answer.status === 401 && (await signIn())) answer = await send(path, sent);
  if (answer.ok) return answer.status === 204 ? null : answer.json().catch(() => null);
  throw await refusal(answer);
}

/** @param {Response} answer */
async function refusal(answer) {
  const body = await answer.json().catch(() => ({}));
  return new Problem(answer.status, body, Number(answer.headers.get("Retry-After")));
}

/**
 * Ask without a second try. A change arrives also if its page goes meanwhile: it is shown before it is stored.
 * @param {string} path @param {{method: string, body?: unknown, headers?: Record<string, string>, signal?: AbortSignal}} asked
 */
export async function send(path, { method, body, headers = {}, signal }) {
  const isForm = body instanceof FormData;
  const isJson = body !== undefined && !isForm;
  const text = isJson ? JSON.stringify(body) : "";
  try {
    const answer = await fetch(path, {
      method,
      keepalive: !READS.has(method) && !isForm && text.length <= MOST_LASTING,
      headers: {
        "Accept-Language": document.documentElement.lang,
        ...(isJson ? { "Content-Type": "application/json" } : {}),
        ...headers,
      },
      body: isJson ? text : isForm ? body : undefined,
      // Files take as long as they take.
      signal: signal ?? (isForm ? undefined : AbortSignal.timeout(LONGEST_MS)),
    });
    reached.value = true;
    return answer;
  } catch {
    if (!signal?.aborted) reached.value = false;
    throw new Problem(0, {});
  }
}

/**
 * Renew the session's tokens, once for all tabs: a refresh token is good for one use.
 * @param {number} since When the request began that was refused: a renewal after that was somebody else's.
 * @returns {Promise<boolean>} False if the session has ended; whoever cannot be asked that now throws.
 */
export function renewed(since) {
  return navigator.locks.request("refresh", async () => {
    const at = Number(localStorage.getItem(REFRESHED));
    // What was renewed later than now was renewed before the clock was set right.
    if (at > since && at <= Date.now()) return true;
    const answer = await send("/api/auth/refresh", { method: "POST", body: {} });
    if (answer.ok) remember(REFRESHED, String(Date.now()));
    else if (answer.status !== UNAUTHORIZED) throw await refusal(answer);
    return answer.ok;
  });
}
