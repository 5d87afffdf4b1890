/** Deletes what can be taken back for a moment: the outbox has it, so it is done also if the page or the browser goes. */

import { send } from "./api.js";
import { t } from "./base.js";
import { discard, onRefused, onSent, put } from "./outbox.js";
import { say, said } from "./store.js";

const GRACE_MS = 8000;

/** What can still be taken back, and is deleted when the page goes. @type {Set<string>} */
const open = new Set();

/**
 * Show something as deleted, and delete it: both or neither, whenever the page goes.
 * @param {string} path What is deleted, unless somebody wants it back.
 * @param {{done: string, hide: () => void, show: () => void}} then What is said; how it goes from the screen, and comes
 *   back if it is taken back or refused.
 */
export async function deleteLater(path, { done, hide, show }) {
  if (open.has(path)) return;
  const id = crypto.randomUUID();
  open.add(path);
  hide();
  const stops = [onSent((item) => item.id === id && end()), onRefused((item) => item.id === id && (end(), show()))];
  const end = () => {
    for (const stop of stops) stop();
    return open.delete(path);
  };
  try {
    await put({ id, queue: path, method: "DELETE", path, body: {}, due: Date.now() + GRACE_MS });
  } catch (problem) {
    // This browser keeps nothing. Who has left meanwhile has had it deleted.
    if (end()) show();
    return say(problem);
  }
  const undo = async () => {
    // Who leaves from now on keeps it.
    const isOpen = end();
    if (isOpen && (await discard({ id }))) show();
    else say(t("toast.late"));
  };
  say(done, { label: t("toast.undo"), act: undo, lasts_ms: GRACE_MS });
}

/** Whoever leaves does not come back for it; the outbox asks again, and finds it done. */
function leave() {
  if (document.visibilityState === "visible" && !isLeaving) return;
  for (const path of open) send(path, { method: "DELETE" }).catch(() => {});
  if (open.size > 0) said.value = null;
  open.clear();
}

let isLeaving = false;
addEventListener("pagehide", () => {
  isLeaving = true;
  leave();
});
addEventListener("pageshow", () => (isLeaving = false));
document.addEventListener("visibilitychange", leave);
