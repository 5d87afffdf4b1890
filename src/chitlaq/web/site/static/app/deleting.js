/** Deletes what can be taken back for a moment: the outbox has it, so it is done also if the page or the browser goes. */

import { send } from "./api.js";
import { t } from "./base.js";
import { discard, onRefused, onSent, put } from "./outbox.js";
import { say, said } from "./store.js";

const GRACE_MS = 8000;

/** What can still be taken back. @type {Set<string>} */
const open = new Set();

/**
 * @param {string} path What is deleted, unless somebody wants it back.
 * @param {{done: string, onUndo: () => void}} then What is said, and what is done if it is taken back or refused.
 */
export async function deleteLater(path, { done, onUndo }) {
  const id = crypto.randomUUID();
  open.add(path);
  const stops = [onSent((item) => item.id === id && end()), onRefused((item) => item.id === id && end() && onUndo())];
  const end = () => {
    for (const stop of stops) stop();
    return open.delete(path);
  };
  await put({ id, queue: path, method: "DELETE", path, body: {}, due: Date.now() + GRACE_MS });
  const undo = async () => {
    if (open.has(path) && (await discard({ id }))) onUndo();
    else say(t("toast.late"));
    end();
  };
  say(done, { label: t("toast.undo"), act: undo, lasts_ms: GRACE_MS });
}

/** Whoever leaves does not come back for it; the outbox asks again, and finds it done. */
function leave() {
  if (document.visibilityState === "visible" && !isLeaving) return;
  for (const path of open) send(path, { method: "DELETE", isLast: true }).catch(() => {});
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
