/** Changes what a post says; what it said before stays in its history. */

import { useState } from "../../vendor/hooks.js";
import { graphemes } from "../../text.js";
import { ask } from "../api.js";
import { html, number, t } from "../base.js";
import { known, learn, reason } from "../store.js";
import { Completions } from "./completions.js";
import { MOST_TYPED } from "./composer.js";
import { Dialog } from "./dialog.js";

const MAX_GRAPHEMES = 1000;
const AUDIENCES = ["public", "university", "followers", "mentioned", "self"];
const QUOTERS = ["everyone", "followers", "nobody"];

/** @param {{post: any, onClose: () => void}} properties */
export function PostEditor({ post, onClose }) {
  const [text, setText] = useState(post.text);
  const [warning, setWarning] = useState(post.content_warning ?? "");
  const [visibility, setVisibility] = useState(post.visibility);
  const [quoters, setQuoters] = useState(post.quotable_by);
  const [refused, setRefused] = useState("");
  const [isBusy, setBusy] = useState(false);
  const left = MAX_GRAPHEMES - graphemes(text);
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    setRefused("");
    const change = {
      ...(text === post.text ? {} : { text }),
      ...(visibility === post.visibility ? {} : { visibility }),
      ...(quoters === post.quotable_by ? {} : { quotable_by: quoters }),
      ...(warning.trim() === (post.content_warning ?? "") ? {} : { content_warning: warning.trim() || null }),
    };
    try {
      if (Object.keys(change).length > 0) {
        known(post);
        learn(await ask("PATCH", `/api/posts/${post.id}`, change));
      }
      onClose();
    } catch (problem) {
      setRefused(reason(problem));
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${t("post.edit")} onClose=${onClose}>
    ${refused && html`<p class="refused" role="alert">${refused}</p>`}
    <form onSubmit=${save}>
      <label for="edit-text">${t("post.edit-text")}</label>
      <textarea id="edit-text" dir="auto" rows="5" maxlength=${MOST_TYPED} autofocus value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)}></textarea>
      <${Completions} of="edit-text" />
      <label for="edit-warning">${t("composer.warning")}</label>
      <input id="edit-warning" dir="auto" maxlength="200" value=${warning} onInput=${(/** @type {any} */ event) => setWarning(event.target.value)} />
      <label for="edit-audience">${t("composer.audience")}</label>
      <select id="edit-audience" onChange=${(/** @type {any} */ event) => setVisibility(event.target.value)}>${AUDIENCES.map((one) => html`<option value=${one} selected=${one === visibility}>${t(`audience.${one}`)}</option>`)}</select>
      <label for="edit-quoters">${t("composer.quotable")}</label>
      <select id="edit-quoters" onChange=${(/** @type {any} */ event) => setQuoters(event.target.value)}>${QUOTERS.map((one) => html`<option value=${one} selected=${one === quoters}>${t(`quotable.${one}`)}</option>`)}</select>
      <div class="dialog-foot"><span class=${left < 0 ? "left over" : "left"} aria-hidden="true">${left < 100 ? number(left) : null}</span><button class="quiet" type="button" onClick=${onClose}>${t("dialog.cancel")}</button><button type="submit" disabled=${isBusy || left < 0}>${t("post.save")}</button></div>
    </form>
  <//>`;
}
