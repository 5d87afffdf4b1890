/** Where one writes a message, answers one or changes one; templates/app/conversation.html makes the same nodes. */

import { useEffect, useLayoutEffect, useRef, useState } from "../../vendor/hooks.js";
import { html, t } from "../base.js";
import { me } from "../store.js";
import { useMentions } from "./mentions.js";
import { nameOf, said } from "./message.js";
import { icon } from "./parts.js";

const SAVE_MS = 300;
const TYPING_MS = 3000;

/**
 * @typedef {{reply?: any, edit?: any}} Mode What is answered, or changed.
 * @param {{id: string, members: any[], mode: Mode, onMode: (mode: Mode) => void, onSend: (one: {text: string, reply_to?: number}) => void,
 *   onEdit: (text: string) => Promise<boolean>, onEditLast: () => void, onTyping: () => void, given: {text: string} | null}} properties
 *   `given` is a text to go on with, `members` are whom one can mention.
 */
export function Say({ id, members, mode, onMode, onSend, onEdit, onEditLast, onTyping, given }) {
  const field = useRef(/** @type {HTMLTextAreaElement} */ (/** @type {unknown} */ (null)));
  /** What was typed before the page was ours counts. */
  const [draft, setDraft] = useState(() => /** @type {any} */ (document.getElementById("say"))?.value ?? "");
  const [edited, setEdited] = useState("");
  const typedAt = useRef(0);
  const text = mode.edit ? edited : draft;
  const latest = useRef(draft);
  latest.current = draft;
  // After the first rendering, which is the server's.
  useEffect(() => {
    const kept = localStorage.getItem(place(id)) ?? "";
    setDraft((/** @type {string} */ now) => now || kept);
    const save = () => keep(id, latest.current);
    addEventListener("pagehide", save);
    return () => {
      removeEventListener("pagehide", save);
      save();
    };
  }, []);
  useEffect(() => {
    const saving = setTimeout(() => keep(id, draft), SAVE_MS);
    return () => clearTimeout(saving);
  }, [draft]);
  useEffect(() => {
    if (!given) return;
    setDraft(given.text);
    field.current.focus();
  }, [given]);
  useLayoutEffect(() => {
    if (mode.edit) setEdited(mode.edit.text);
    if (mode.edit || mode.reply) field.current.focus();
  }, [mode.edit?.seq, mode.reply?.seq]);

  const put = (/** @type {string} */ now) => (mode.edit ? setEdited : setDraft)(now);
  const mentions = useMentions({ members, field, onWrite: put });
  const write = (/** @type {any} */ event) => {
    put(event.target.value);
    mentions.look();
    if (mode.edit || Date.now() - typedAt.current < TYPING_MS) return;
    typedAt.current = Date.now();
    onTyping();
  };
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!text.trim()) return;
    if (mode.edit) {
      if (text === mode.edit.text || (await onEdit(text))) onMode({});
      return;
    }
    onSend({ text, ...(mode.reply ? { reply_to: mode.reply.seq } : {}) });
    typedAt.current = 0;
    keep(id, "");
    setDraft("");
    onMode({});
  };
  const press = (/** @type {KeyboardEvent} */ event) => {
    if (mentions.press(event)) return;
    if (isSending(event)) send(event);
    else if (event.key === "Escape" && (mode.edit || mode.reply)) onMode({});
    else if (event.key === "ArrowUp" && !text && !mode.edit) {
      event.preventDefault();
      onEditLast();
    }
  };
  const about = mode.edit ?? mode.reply;
  return html`
    ${about && html`<div class="about"><p><b>${mode.edit ? t("chat.editing") : t("chat.replying", { name: nameOf(about) })}</b><span dir="auto">${said(about)}</span></p><button class="icon-link" type="button" aria-label=${t("dialog.cancel")} onClick=${() => onMode({})}>${icon("x")}</button></div>`}
    <form class="say" onSubmit=${send}>${mentions.list}<label class="hidden" for="say">${t("chat.write")}</label><textarea
      id="say" dir="auto" rows="1" placeholder=${t("chat.write")} value=${text} ref=${field} onInput=${write} onKeyDown=${press} ...${mentions.attributes}
    ></textarea><button type="submit">${t(mode.edit ? "chat.save" : "chat.send")}</button></form>
  `;
}

/** A keyboard on glass has no other key for a new line. @param {KeyboardEvent} event */
function isSending({ key, ctrlKey, metaKey, shiftKey, isComposing }) {
  return key === "Enter" && !isComposing && (ctrlKey || metaKey || (!shiftKey && matchMedia("(pointer: fine)").matches));
}

/** What somebody has begun to write, kept in this browser by whom and to whom. @param {string} id @param {string} text */
function keep(id, text) {
  if (text) localStorage.setItem(place(id), text);
  else localStorage.removeItem(place(id));
}

/** @param {string} id */
const place = (id) => `draft:${me.value?.username ?? ""}:chat:${id}`;
