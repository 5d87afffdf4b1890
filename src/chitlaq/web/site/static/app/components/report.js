/** Tells the moderators of a post. */

import { useState } from "../../vendor/hooks.js";
import { ask } from "../api.js";
import { html, t } from "../base.js";
import { reason, say } from "../store.js";
import { Dialog } from "./dialog.js";

const REASONS = ["spam", "harassment", "hate", "violence", "private", "other"];

/** @param {{path: string, title: string, onClose: () => void}} properties `path` of what is reported. */
export function Report({ path, title, onClose }) {
  const [why, setWhy] = useState("");
  const [note, setNote] = useState("");
  const [refused, setRefused] = useState("");
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      await ask("PUT", `${path}/report`, { reason: why, note });
      say(t("report.sent"));
      onClose();
    } catch (problem) {
      setRefused(reason(problem));
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    ${refused && html`<p class="refused" role="alert">${refused}</p>`}
    <form onSubmit=${send}>
      <fieldset class="choices"><legend>${t("report.why")}</legend>${REASONS.map((one) => html`<label><input type="radio" name="why" required value=${one} checked=${why === one} onChange=${() => setWhy(one)} />${t(`report.${one}`)}</label>`)}</fieldset>
      <label for="report-note">${t("report.note")}</label>
      <textarea id="report-note" dir="auto" rows="3" maxlength="1000" value=${note} onInput=${(/** @type {any} */ event) => setNote(event.target.value)}></textarea>
      <div class="dialog-foot"><button class="quiet" type="button" onClick=${onClose}>${t("dialog.cancel")}</button><button type="submit">${t("report.send")}</button></div>
    </form>
  <//>`;
}
