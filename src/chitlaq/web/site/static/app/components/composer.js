/** Where a post is written; templates/app/composer.html makes the same nodes. */

import { useEffect, useRef, useState } from "../../vendor/hooks.js";
import { graphemes } from "../../text.js";
import { html, number, t } from "../base.js";
import { OUTBOX, me, reason, say } from "../store.js";

const MAX_GRAPHEMES = 1000;
const SAVE_MS = 300;
const AUDIENCES = ["public", "university", "followers", "self"];

/**
 * @param {{name: string, label: string, context?: string, replyTo?: string, onSent: (post: any) => void}} properties
 *   `name` is of its elements, `context` of its draft.
 */
export function Composer({ name, label, context = name, replyTo, onSent }) {
  // What was typed before the page was ours counts.
  const [draft, setDraft] = useState(() => ({ text: typed(name), visibility: "public", key: "" }));
  const [isBusy, setBusy] = useState(false);
  const [refused, setRefused] = useState("");
  const sent = useRef(onSent);
  sent.current = onSent;
  /** @type {[any, (unsent: any) => void]} */
  const [unsent, setUnsent] = useState(null);
  /** The outbox, from when it is needed on. */
  const needed = async () => {
    const [outbox, { Unsent }] = await Promise.all([import("../outbox.js"), import("./unsent.js")]);
    setUnsent(() => Unsent);
    return outbox;
  };
  useEffect(() => {
    if (localStorage.getItem(OUTBOX)) needed();
  }, []);
  useEffect(() => {
    if (unsent === null) return undefined;
    let stop = () => {};
    needed().then(({ TAB, onSent: listen }) => {
      stop = listen((item, post) => {
        if (item.queue !== context) return;
        say(t("composer.sent"));
        // The feed does not move for what was written elsewhere.
        if (item.tab === TAB) sent.current(post);
      });
    });
    return () => stop();
  }, [unsent, context]);
  // After the first rendering, which is the server's.
  useEffect(() => {
    const before = kept(context);
    setDraft((/** @type {Draft} */ current) => ({ ...before, text: current.text || before.text }));
  }, [context]);
  useEffect(() => {
    if (!draft.key) return undefined;
    const saving = setTimeout(() => keep(context, draft), SAVE_MS);
    const save = () => keep(context, draft);
    addEventListener("pagehide", save);
    return () => {
      clearTimeout(saving);
      removeEventListener("pagehide", save);
    };
  }, [context, draft]);
  const change = (/** @type {Partial<Draft>} */ some) => setDraft((/** @type {Draft} */ current) => ({ ...current, ...some }));
  const left = MAX_GRAPHEMES - (draft.text ? graphemes(draft.text) : 0);
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (isBusy || left < 0 || !draft.text.trim()) return;
    setBusy(true);
    setRefused("");
    keep(context, draft);
    const { text, visibility, key } = draft;
    try {
      const { put } = await needed();
      const body = { text, visibility, ...(replyTo ? { reply_to: replyTo } : {}) };
      await put({ id: key, queue: context, path: "/api/posts", body });
      keep(context, { ...draft, text: "" });
      setDraft({ text: "", visibility, key: crypto.randomUUID() });
    } catch (error) {
      setRefused(reason(error));
    }
    setBusy(false);
  };
  const edit = (/** @type {import("../outbox.js").Item} */ { id, body }) => change({ text: body.text, visibility: body.visibility, key: id });
  return html`
    <form class="composer" id=${`composer-${name}`} onSubmit=${send} onFocusIn=${() => unsent ?? needed().catch(() => {})}>
      <label class="hidden" for=${`text-${name}`}>${label}</label>
      <textarea
        id=${`text-${name}`} name="text" dir="auto" rows="3" placeholder=${label} value=${draft.text}
        onInput=${(/** @type {any} */ event) => change({ text: event.target.value })}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && send(event)}
      ></textarea>
      ${refused && html`<p class="refused" role="alert">${refused}</p>`}
      <div class="composer-foot">
        <label class="hidden" for=${`audience-${name}`}>${t("composer.audience")}</label>
        <select id=${`audience-${name}`} name="visibility" onChange=${(/** @type {any} */ event) => change({ visibility: event.target.value })}>
          ${AUDIENCES.map((one) => html`<option value=${one} selected=${draft.key ? one === draft.visibility : undefined}>${t(`audience.${one}`)}</option>`)}
        </select>
        <span class=${left < 0 ? "left over" : "left"} aria-hidden="true">${left < 100 ? number(left) : null}</span>
        <button type="submit" disabled=${isBusy || left < 0 || undefined}>${t("composer.send")}</button>
      </div>
    </form>
    ${unsent && html`<${unsent} queue=${context} onEdit=${edit} />`}
  `;
}

/** @param {string} name */
function typed(name) {
  const field = document.getElementById(`text-${name}`);
  return field instanceof HTMLTextAreaElement ? field.value : "";
}

/**
 * What somebody has begun to write, kept in this browser by whom and for what. Its key goes with it: a post that is
 * sent twice under one key is one post.
 * @typedef {{text: string, visibility: string, key: string}} Draft
 */

/** @param {string} context @returns {Draft} */
function kept(context) {
  try {
    const found = JSON.parse(localStorage.getItem(place(context)) ?? "");
    if (found && typeof found.text === "string") return found;
  } catch {
    // None, or none of ours.
  }
  return { text: "", visibility: "public", key: crypto.randomUUID() };
}

/** @param {string} context @param {Draft} draft */
function keep(context, draft) {
  if (draft.text === "") localStorage.removeItem(place(context));
  else localStorage.setItem(place(context), JSON.stringify(draft));
}

/** @param {string} context */
function place(context) {
  return `draft:${me.value?.username ?? ""}:${context}`;
}
