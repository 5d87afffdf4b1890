/** Begins a conversation with one member, or a group with several. */

import { useState } from "../../vendor/hooks.js";
import { ask } from "../api.js";
import { html, t } from "../base.js";
import { go } from "../router.js";
import { reason } from "../store.js";
import { Dialog } from "./dialog.js";
import { People } from "./people.js";

/** @param {{onClose: () => void}} properties */
export function NewTalk({ onClose }) {
  const [members, setMembers] = useState(/** @type {any[]} */ ([]));
  const [isGroup, setGroup] = useState(false);
  const [refused, setRefused] = useState("");
  const isOne = members.length === 1 && !isGroup;
  const begin = async (/** @type {any} */ event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    const settings = isOne
      ? { kind: "direct" }
      : { kind: "group", name: String(fields.get("name")).trim(), is_history_visible: fields.has("history") };
    try {
      const { id } = await ask("POST", "/api/conversations", { ...settings, members: members.map((/** @type {any} */ one) => one.username) });
      onClose();
      await go(`/chat/${id}`);
    } catch (problem) {
      setRefused(reason(problem));
    }
  };
  return html`<${Dialog} title=${t("chat.begin")} onClose=${onClose}>
    <form onSubmit=${begin}>
      <${People} chosen=${members} onChange=${setMembers} />
      ${members.length === 1 && html`<label class="check"><input type="checkbox" checked=${isGroup} onChange=${(/** @type {any} */ event) => setGroup(event.target.checked)} />${t("chat.as-group")}</label>`}
      ${members.length > 0 && !isOne && html`<label for="group-name">${t("chat.group-name")}</label><input id="group-name" name="name" dir="auto" maxlength="80" required autocomplete="off" />
        <label class="check"><input type="checkbox" name="history" />${t("chat.history-visible")}</label>`}
      ${refused && html`<p class="refused" role="alert">${refused}</p>`}
      <div class="dialog-foot"><button class="quiet" type="button" onClick=${onClose}>${t("dialog.cancel")}</button><button type="submit" disabled=${members.length === 0}>${t("chat.begin-it")}</button></div>
    </form>
  <//>`;
}
