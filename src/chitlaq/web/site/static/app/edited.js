/**
 * What was written anew after a failure that may have been none: the version before has perhaps arrived, under the same
 * key. Then it becomes what is meant now, and there is one.
 */

import { Problem, ask } from "./api.js";

const CONFLICT = 409;
/** What no edit changes. */
const FIXED = ["poll", "media_ids", "reply_to", "quote_of"];

/**
 * @param {import("./outbox.js").Item} item
 * @param {any} body What is meant now.
 * @returns {Promise<any>} What is stored; null if nothing is, and the item needs another id.
 */
export async function corrected(item, body) {
  const found = await stored(item, body);
  if (found === null || found.isMeant) return found?.one ?? null;
  const path = `${item.path}/${found.one.seq ?? found.one.id}`;
  if (found.versions.some((version) => FIXED.every((name) => JSON.stringify(version[name]) === JSON.stringify(body[name])))) {
    return ask("PATCH", path, changeOf(body));
  }
  await ask("DELETE", path);
  return null;
}

/**
 * Store it, or find what was stored before, if it is still there. Of a post the server says that it was another; a
 * message comes as it was.
 * @param {import("./outbox.js").Item} item @param {any} body
 * @returns {Promise<{one: any, isMeant: boolean, versions: any[]} | null>} `versions` are those that it may be.
 */
async function stored({ id, path, before = [] }, body) {
  let refused;
  for (const version of [body, ...before]) {
    try {
      const one = await ask("POST", path, version, { "Idempotency-Key": id });
      const isSame = one.text === (body.text ?? "") && one.media.length === (body.media_ids?.length ?? 0);
      if (body.client_id) return { one, isMeant: isSame, versions: before };
      return { one, isMeant: version === body, versions: [version] };
    } catch (problem) {
      if (!(problem instanceof Problem && problem.status === CONFLICT && "Idempotency-Key" in problem.errors)) throw problem;
      refused = problem;
    }
  }
  // The key was used with one of these versions, so its post is deleted.
  if (before.length > 0) return null;
  throw refused;
}

/** @param {any} body */
function changeOf({ text = "", visibility, content_warning = null, quotable_by = "everyone", client_id }) {
  return client_id ? { text } : { text, visibility, content_warning, quotable_by };
}
