/** Posts that are written and not yet stored: what becomes of each, and what can be done. */

import { html, number, t, useLeft } from "../base.js";
import { discard, retry, waiting } from "../outbox.js";
import { say } from "../store.js";

/**
 * @param {{queue: string, onEdit: (item: import("../outbox.js").Item) => void}} properties
 *   `onEdit` gets what was given up to be written anew.
 */
export function Unsent({ queue, onEdit }) {
  const items = waiting.value.filter((one) => one.queue === queue);
  if (items.length === 0) return null;
  return html`<ul class="unsent" aria-label=${t("unsent.title")}>${items.map((one) => html`<${Row} key=${one.id} one=${one} onEdit=${onEdit} />`)}</ul>`;
}

/** @param {{one: import("../outbox.js").Item, onEdit: (item: any) => void}} properties */
function Row({ one, onEdit }) {
  const isRefused = one.why !== "";
  const left = useLeft(one.due ?? 0);
  const state = left > 0 ? "unsent.limited" : navigator.onLine ? "unsent.sending" : "unsent.offline";
  const giveUp = async (/** @type {boolean} */ isEdited) => {
    if (!(await discard(one, isEdited))) say(t("composer.sent"));
    else if (isEdited) onEdit(one);
  };
  return html`
    <li>
      <div class="text" dir="auto">${one.body.text || t("unsent.pictures")}</div>
      <p class=${isRefused ? "refused" : "unsent-state"}><span role="status">${isRefused ? t("unsent.failed", { why: one.why }) : t(state)}</span>${!isRefused && left > 0 && html`${" "}<span aria-hidden="true">${t("unsent.in", { n: number(left) })}</span>`}</p>
      ${(isRefused || left > 0 || !navigator.onLine) && html`<p class="unsent-doors">
        ${isRefused && html`<button type="button" class="quiet" onClick=${() => retry(one)}>${t("unsent.retry")}</button>`}
        <button type="button" class="quiet" onClick=${() => giveUp(true)}>${t("unsent.edit")}</button>
        <button type="button" class="quiet" onClick=${() => giveUp(false)}>${t("unsent.delete")}</button>
      </p>`}
    </li>
  `;
}
