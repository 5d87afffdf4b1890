/** What one can do with a conversation: find a day, mute, pin, archive, and what a group is. */

import { useRef, useState } from "../../vendor/hooks.js";
import { ask } from "../api.js";
import { html, t } from "../base.js";
import { go } from "../router.js";
import { me, say } from "../store.js";
import { Confirm, Dialog } from "./dialog.js";
import { Group } from "./group.js";
import { Menu } from "./menu.js";

const HOUR_MS = 3_600_000;
/** For how many hours a conversation is muted; 0: for good. */
const HOURS = [1, 8, 168, 0];
const FOR_GOOD = "9999-01-01T00:00:00Z";

/** @param {{conversation: any, at: Element, onClose: () => void, change: (some: any) => void}} properties */
export function TalkMenu({ conversation, at, onClose, change }) {
  /** What was chosen and asks for more. */
  const next = useRef("");
  const [step, setStep] = useState("");
  const path = `/api/conversations/${conversation.id}`;
  const isGroup = conversation.kind === "group";
  const isMuted = Date.parse(conversation.muted_until ?? 0) > Date.now();
  const set = async (/** @type {any} */ wanted) => {
    onClose();
    try {
      change({ conversation: await ask("PATCH", path, wanted) });
      if (wanted.archived) await go("/chat");
    } catch (problem) {
      say(problem);
    }
  };
  const leave = async () => {
    onClose();
    try {
      await ask("DELETE", `${path}/members/${me.value?.username}`);
      await go("/chat");
    } catch (problem) {
      say(problem);
    }
  };
  switch (step) {
    case "date":
      return html`<${Day} conversation=${conversation} onClose=${onClose} />`;
    case "mute":
      return html`<${Dialog} title=${t("chat.mute")} onClose=${onClose}>
        <div class="choices">${HOURS.map((hours) => html`<button class="quiet" type="button" onClick=${() => set({ muted_until: hours ? new Date(Date.now() + hours * HOUR_MS).toISOString() : FOR_GOOD })}>${t(`chat.mute.${hours}`)}</button>`)}</div>
        <div class="dialog-foot"><button class="quiet" type="button" onClick=${onClose}>${t("dialog.cancel")}</button></div>
      <//>`;
    case "group":
      return html`<${Group} conversation=${conversation} change=${change} onClose=${onClose} />`;
    case "leave":
      return html`<${Confirm} title=${t("chat.leave-title")} text=${t("chat.leave-text")} action=${t("chat.leave")} onDone=${(/** @type {boolean} */ isSure) => (isSure ? leave() : onClose())} />`;
    default:
  }
  const [other] = conversation.members.filter((/** @type {any} */ who) => who.username !== me.value?.username);
  const isMember = conversation.state === "joined";
  const visit = () => {
    onClose();
    go(`/@${other.username}`);
  };
  const then = (/** @type {string} */ name) => () => {
    next.current = name;
    setStep(name);
  };
  const entries = [
    isGroup && { label: t("chat.group"), act: then("group") },
    !isGroup && other && { label: t("chat.profile"), act: visit },
    { label: t("chat.to-date"), act: then("date") },
    isMember && { label: t(isMuted ? "chat.unmute" : "chat.mute"), act: () => (isMuted ? set({ muted_until: null }) : then("mute")()) },
    isMember && { label: t(conversation.pinned ? "chat.unpin" : "chat.pin"), act: () => set({ pinned: !conversation.pinned }) },
    isMember && { label: t(conversation.archived ? "chat.unarchive" : "chat.archive"), act: () => set({ archived: !conversation.archived }) },
    isGroup && isMember && { label: t("chat.leave"), act: then("leave"), isDanger: true },
  ].filter(Boolean);
  return html`<${Menu} at=${at} label=${t("chat.talk-tools")} entries=${entries} onClose=${() => next.current || onClose()} />`;
}

/** Opens the messages of a day, as the reader's clock has it. @param {{conversation: any, onClose: () => void}} properties */
function Day({ conversation, onClose }) {
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    const moment = new Date(`${event.target.elements.day.value}T00:00:00`);
    onClose();
    go(`/chat/${conversation.id}?at=${moment.toISOString()}`);
  };
  return html`<${Dialog} title=${t("chat.to-date")} onClose=${onClose}>
    <form onSubmit=${submit}><label for="day">${t("chat.day")}</label><input id="day" name="day" type="date" required autofocus min=${day(new Date(conversation.created_at))} max=${day(new Date())} />
      <div class="dialog-foot"><button class="quiet" type="button" onClick=${onClose}>${t("dialog.cancel")}</button><button type="submit">${t("chat.show-day")}</button></div></form>
  <//>`;
}

/** A day as fields of dates have it. @param {Date} moment */
function day(moment) {
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
}
