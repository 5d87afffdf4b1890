/** A browser cuts what is pasted or dropped where its field is full (`maxlength`), and does not say so. */

import { number, t } from "./base.js";
import { say } from "./store.js";

/** @param {EventTarget | null} field @param {DataTransfer | null} given */
function look(field, given) {
  if (!(field instanceof HTMLTextAreaElement || field instanceof HTMLInputElement) || field.maxLength < 0) return;
  const replaced = (field.selectionEnd ?? 0) - (field.selectionStart ?? 0);
  const length = field.value.length - replaced + (given?.getData("text/plain").length ?? 0);
  if (length > field.maxLength) say(t("paste.cut", { n: number(field.maxLength) }));
}

addEventListener("paste", ({ target, clipboardData }) => look(target, clipboardData));
addEventListener("drop", ({ target, dataTransfer }) => look(target, dataTransfer));
