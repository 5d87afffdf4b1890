/** Where one writes a message, answers one or changes one; templates/app/conversation.html makes the same nodes. */

import { useEffect, useLayoutEffect, useRef, useState } from "../../vendor/hooks.js";
import { html, remember, t, useOtherTabs, useSaved } from "../base.js";
import { me, say } from "../store.js";
import { Completions } from "./completions.js";
import { nameOf, said } from "./message.js";
import { icon } from "./parts.js";

const TYPING_MS = 3000;
/** Letters that the field takes, as in composer.js: a message may have 16,000 characters of two. */
const MOST_TYPED = 32_000;
/** @type {Draft} */
const EMPTY = { text: "", pictures: [] };

/**
 * @typedef {import("../outbox.js").Picture} Picture
 * @typedef {{text: string, pictures: Picture[], id?: string, before?: Record<string, any>[]}} Draft
 *   `id` is of what was sent without an answer, and is written anew; `before` is what may have arrived under it.
 * @typedef {{reply?: any, edit?: any}} Mode What is answered, or changed.
 * @param {{id: string, members: any[], mode: Mode, onMode: (mode: Mode) => void, onEdit: (text: string) => Promise<boolean>,
 *   onSend: (one: {text: string, reply_to?: number}, draft: Draft) => Promise<boolean>, onEditLast: () => void,
 *   onTyping: () => void, given: Draft | null}} properties `given` is what to go on with,
 *   `members` are whom one can mention; `onSend` gives whether the outbox has it.
 */
export function Say({ id, members, mode, onMode, onSend, onEdit, onEditLast, onTyping, given }) {
  const field = useRef(/** @type {HTMLTextAreaElement} */ (/** @type {unknown} */ (null)));
  /** What was typed before the page was ours counts. @type {[Draft, (change: any) => void]} */
  const [draft, setDraft] = useState(() => ({ text: /** @type {any} */ (document.getElementById("say"))?.value ?? "", pictures: [] }));
  const [edited, setEdited] = useState("");
  /** How pictures are chosen, loaded with the first. */
  const [choosing, setChoosing] = useState(/** @type {any} */ (null));
  const [doubt, setDoubt] = useState({ why: "", isAsked: false });
  const typedAt = useRef(0);
  const text = mode.edit ? edited : draft.text;
  const { pictures } = draft;
  const latest = useRef(draft);
  latest.current = draft;
  /** What is sent and not in the outbox yet, which may still be loaded: who comes back finds it as a draft. */
  const handed = useRef(/** @type {Draft[]} */ ([]));
  const save = useSaved(draft, (one) => keep(id, joined([...handed.current, one])));
  const change = (/** @type {Partial<Draft>} */ some) => setDraft((/** @type {Draft} */ now) => ({ ...now, ...some }));
  const choose = () => import("./pictures.js").then(setChoosing, say);
  // After the first rendering, which is the server's.
  useEffect(() => {
    const kept = keptDraft(id);
    setDraft((/** @type {Draft} */ now) => ({ ...kept, text: now.text || kept.text }));
    if (kept.pictures.length > 0) choose();
  }, []);
  // What is sent from another tab is no draft in this one.
  useOtherTabs(place(id), (kept) => kept === textOf(draft), () => {
    const next = keptDraft(id);
    save(next, true);
    setDraft(next);
    if (next.pictures.length > 0) choose();
  });
  useEffect(() => {
    if (!given) return;
    setDraft(given);
    if (given.pictures.length > 0) choose();
    field.current.focus();
  }, [given]);
  useLayoutEffect(() => {
    if (mode.edit) setEdited(mode.edit.text);
    if (mode.edit || mode.reply) field.current.focus();
  }, [mode.edit?.seq, mode.reply?.seq]);

  const put = (/** @type {string} */ now) => (mode.edit ? setEdited(now) : change({ text: now }));
  const write = (/** @type {any} */ event) => {
    put(event.target.value);
    if (mode.edit || Date.now() - typedAt.current < TYPING_MS) return;
    typedAt.current = Date.now();
    onTyping();
  };
  const send = async (/** @type {Event} */ event, isSure = false) => {
    event.preventDefault();
    // Of pictures one need not say anything.
    if (!text.trim() && (mode.edit?.media ?? pictures).length === 0) return say(t("chat.nothing"));
    if (mode.edit) {
      if (text === mode.edit.text || (await onEdit(text))) onMode({});
      return;
    }
    const failure = choosing?.failure(pictures) ?? "";
    const missing = isSure ? "" : (choosing?.undescribed(pictures) ?? "");
    setDoubt({ why: failure || missing, isAsked: !failure });
    if (failure || missing) return;
    choosing?.handOver(pictures);
    const sent = { ...draft, id: draft.id ?? crypto.randomUUID() };
    handed.current.push(sent);
    typedAt.current = 0;
    const next = { ...EMPTY };
    save(next);
    setDraft(next);
    setChoosing(null);
    onMode({});
    const isKept = await onSend({ text, ...(mode.reply ? { reply_to: mode.reply.seq } : {}) }, sent);
    handed.current = handed.current.filter((one) => one !== sent);
    if (isKept) keep(id, joined([...handed.current, latest.current]));
    else {
      setDraft((/** @type {Draft} */ now) => joined([sent, now]));
      if (pictures.length > 0) choose();
    }
  };
  const describe = () => /** @type {any} */ (document.querySelector(".attached .undescribed"))?.focus();
  const press = (/** @type {KeyboardEvent} */ event) => {
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
    ${choosing && !mode.edit && html`<div class="attached"><${choosing.Pictures} name="say" pictures=${pictures} isOpen=${true} change=${(/** @type {(some: Picture[]) => Picture[]} */ update) => setDraft((/** @type {Draft} */ now) => ({ ...now, pictures: update(now.pictures) }))} />
      ${doubt.why && html`<p class="refused" role="alert">${doubt.why}</p>`}${doubt.why && doubt.isAsked && html`<p class="option-doors"><button class="quiet" type="button" onClick=${describe}>${t("pictures.describe")}</button><button class="quiet" type="button" onClick=${(/** @type {Event} */ event) => send(event, true)}>${t("chat.send-anyway")}</button></p>`}</div>`}
    <form class="say" method="dialog" onSubmit=${send}><${Completions} of="say" members=${members} /><label class="hidden" for="say">${t("chat.write")}</label><button class="icon-link" type="button" aria-label=${t("chat.attach")} disabled=${Boolean(mode.edit)} onClick=${choose}>${icon("image-plus")}</button><textarea
      id="say" dir="auto" rows="1" maxlength=${MOST_TYPED} placeholder=${t("chat.write")} value=${text} ref=${field} onInput=${write} onKeyDown=${press}
    ></textarea><button type="submit" onMouseDown=${stay}>${t(mode.edit ? "chat.save" : "chat.send")}</button></form>
  `;
}

/** Leave the focus in the field, and with it the keyboard on glass: who sends goes on writing. @param {Event} event */
const stay = (event) => event.preventDefault();

/** A keyboard on glass has no other key for a new line. @param {KeyboardEvent} event */
function isSending({ key, ctrlKey, metaKey, shiftKey, isComposing }) {
  return key === "Enter" && !isComposing && (ctrlKey || metaKey || (!shiftKey && matchMedia("(pointer: fine)").matches));
}

/** Several drafts as one. @param {Draft[]} all @returns {Draft} */
function joined(all) {
  const written = all.filter(({ text, pictures }) => text || pictures.length > 0);
  if (written.length < 2) return written[0] ?? EMPTY;
  return { text: written.map(({ text }) => text).join("\n\n"), pictures: written.flatMap(({ pictures }) => pictures) };
}

/** A draft as it is kept. @param {Draft} draft */
const textOf = (draft) => (draft.text || draft.pictures.length > 0 ? JSON.stringify(draft) : null);

/** What somebody has begun to write, kept in this browser by whom and to whom. @param {string} id @param {Draft} draft */
const keep = (id, draft) => remember(place(id), textOf(draft));

/** @param {string} id @returns {Draft} */
function keptDraft(id) {
  try {
    return { ...EMPTY, ...JSON.parse(localStorage.getItem(place(id)) ?? "{}") };
  } catch {
    return EMPTY;
  }
}

/** @param {string} id */
const place = (id) => `draft:${me.value?.username ?? ""}:chat:${id}`;
