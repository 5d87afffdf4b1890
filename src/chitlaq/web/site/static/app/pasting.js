/**
 * A browser cuts what is pasted or dropped where its field is full (`maxlength`), and does not say so. It also makes a
 * node of each line before it cuts: some megabytes of short lines stop the page for seconds. So much is cut here.
 */

import { number, t } from "./base.js";
import { say } from "./store.js";

/** Letters that a browser cuts without being missed; what it has pasted itself, it can undo. */
const MOST_NATIVE = 200_000;

/** @param {ClipboardEvent | DragEvent} event @param {DataTransfer | null} given */
function cut(event, given) {
  const field = event.target;
  if (!(field instanceof HTMLTextAreaElement || field instanceof HTMLInputElement) || field.maxLength < 0) return;
  const text = given?.getData("text/plain") ?? "";
  const replaced = (field.selectionEnd ?? 0) - (field.selectionStart ?? 0);
  const room = field.maxLength - field.value.length + replaced;
  if (text.length <= room) return;
  say(t("paste.cut", { n: number(field.maxLength) }));
  // What is dropped goes where the browser alone knows.
  if (event.type !== "paste" || text.length <= MOST_NATIVE) return;
  event.preventDefault();
  // A pair of halves stays one, and an end of line is one letter.
  const fitting = text.replaceAll("\r\n", "\n").slice(0, Math.max(room, 0)).replace(/[\ud800-\udbff]$/, "");
  field.setRangeText(fitting, field.selectionStart ?? 0, field.selectionEnd ?? 0, "end");
  field.dispatchEvent(new InputEvent("input", { bubbles: true }));
}

addEventListener("paste", (event) => cut(event, event.clipboardData));
addEventListener("drop", (event) => cut(event, event.dataTransfer));
