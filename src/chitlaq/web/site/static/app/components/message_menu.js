/** What one can do with a message: answer, react, change, copy, keep for later, delete. */

import { useEffect, useRef, useState } from "../../vendor/hooks.js";
import { read } from "../api.js";
import { html, t } from "../base.js";
import { say } from "../store.js";
import { Dialog } from "./dialog.js";
import { Menu } from "./menu.js";
import { isOwn } from "./message.js";
import { Time } from "./parts.js";

const EMOJI = ["👍", "❤️", "😂", "😮", "😢", "🎉"];
const EDITABLE_MS = 24 * 60 * 60 * 1000;

const deleting = () => import("../deleting.js");

/**
 * @param {{one: any, at: Element, conversation: any, onClose: () => void, onReply: () => void, onEdit: () => void,
 *   onReact: (emoji: string) => void, onUnread: () => void, onChanged: (message: any) => void}} properties
 *   `one` is the message, `at` the button of its menu.
 */
export function MessageMenu({ one, at, conversation, onClose, onReply, onEdit, onReact, onUnread, onChanged }) {
  /** What was chosen and asks for more. */
  const next = useRef("");
  const [step, setStep] = useState("");
  const path = `/api/conversations/${conversation.id}/messages/${one.seq}`;
  // Who deletes it sees it go at once.
  useEffect(() => {
    deleting().catch(() => {});
  }, []);
  const hide = () => onChanged({ ...one, deleted: true, text: "", media: [], reactions: {} });
  const show = () => onChanged(one);
  const remove = () => deleting().then(({ deleteLater }) => deleteLater(path, { done: t("chat.deleted"), hide, show })).catch(say);
  if (step === "history") return html`<${History} path=${path} now=${one.text} onClose=${onClose} />`;
  if (step === "emoji") return html`<${Emoji} onClose=${onClose} onReact=${onReact} />`;
  const isMember = conversation.state === "joined";
  const isAdmin = conversation.kind === "group" && conversation.role !== "member";
  const isEditable = isOwn(one) && Date.now() - Date.parse(one.sent_at) < EDITABLE_MS;
  const then = (/** @type {string} */ name) => () => {
    next.current = name;
    setStep(name);
  };
  const entries = [
    isMember && { label: t("chat.reply"), act: onReply },
    isMember && { label: t("chat.react"), act: then("emoji") },
    one.text && { label: t("chat.copy"), act: () => copy(one.text) },
    { label: t("chat.copy-link"), act: () => copy(`${location.origin}/chat/${conversation.id}?at=${one.seq}`) },
    isMember && { label: t("chat.unread-from"), act: onUnread },
    isMember && isEditable && { label: t("chat.edit"), act: onEdit },
    one.edited_at && { label: t("chat.history"), act: then("history") },
    isMember && (isOwn(one) || isAdmin) && { label: t("chat.delete"), act: remove, isDanger: true },
  ].filter(Boolean);
  const isMine = (/** @type {string} */ emoji) => Boolean(one.reactions[emoji]?.mine);
  return html`<${Menu}
    at=${at} label=${t("chat.tools")} entries=${entries} onClose=${() => next.current || onClose()}
    top=${isMember && EMOJI.map((emoji) => html`<button class="emoji" type="button" role="menuitemcheckbox" aria-checked=${String(isMine(emoji))} aria-label=${t("chat.react-with", { emoji })} tabindex="-1" onClick=${() => onReact(emoji)}>${emoji}</button>`)}
  />`;
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say(t("chat.copied"));
  } catch {
    say(t("chat.not-copied"));
  }
}

/** What a message said before. @param {{path: string, now: string, onClose: () => void}} properties */
function History({ path, now, onClose }) {
  const [edits, setEdits] = useState(/** @type {any[]} */ ([]));
  useEffect(() => {
    read(`${path}/history`).then(setEdits, (problem) => {
      say(problem);
      onClose();
    });
  }, []);
  return html`<${Dialog} title=${t("chat.history")} onClose=${onClose}>
    <ol class="versions">${edits.map((/** @type {any} */ one) => html`<li><p dir="auto" class="text">${one.text}</p><p class="handle">${t("chat.until")} <${Time} at=${one.replaced_at} /></p></li>`)}<li><p dir="auto" class="text">${now}</p><p class="handle">${t("chat.says-now")}</p></li></ol>
    <div class="dialog-foot"><button type="button" onClick=${onClose}>${t("dialog.close")}</button></div>
  <//>`;
}

/** Any emoji, from the keyboard of whoever reacts. @param {{onClose: () => void, onReact: (emoji: string) => void}} properties */
function Emoji({ onClose, onReact }) {
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    const emoji = event.target.elements.emoji.value.trim();
    if (emoji) onReact(emoji);
    onClose();
  };
  return html`<${Dialog} title=${t("chat.react")} onClose=${onClose}>
    <form onSubmit=${submit}><label for="emoji">${t("chat.emoji")}</label><input id="emoji" name="emoji" maxlength="32" autocomplete="off" autofocus required />
      <div class="dialog-foot"><button class="quiet" type="button" onClick=${onClose}>${t("dialog.cancel")}</button><button type="submit">${t("chat.react")}</button></div></form>
  <//>`;
}
