/** Where a post is written; templates/app/composer.html makes the same nodes. */

import { useEffect, useRef, useState } from "../../vendor/hooks.js";
import { graphemes } from "../../text.js";
import { html, number, remember, t, useOtherTabs, useSaved } from "../base.js";
import { OUTBOX, me, reason, say } from "../store.js";
import { icon } from "./parts.js";

const MAX_GRAPHEMES = 1000;
/** Letters that a field takes: a browser that lays out some megabytes, and counts them, stands still. */
export const MOST_TYPED = 20_000;
const AUDIENCES = ["public", "university", "followers", "mentioned", "self"];
/** What can be added, and its icon. */
const EXTRAS = { pictures: "image-plus", poll: "list-ordered", warning: "eye-off", more: "ellipsis" };

/**
 * What somebody has begun to write, kept in this browser by whom and for what. Its key goes with it: a post that is
 * sent twice under one key is one post.
 * @typedef {{text: string, visibility: string, key: string, pictures?: import("../outbox.js").Picture[],
 *   poll?: {options: string[], expires_in_seconds: number, multiple: boolean} | null, content_warning?: string | null,
 *   quotable_by?: string, reply_to?: string | null, quote_of?: string | null, before?: Record<string, any>[]}} Draft
 *   `before` is what may have arrived under its key already.
 * @typedef {(some: Partial<Draft> | ((current: Draft) => Partial<Draft>)) => void} Change
 */

/**
 * @param {{name: string, label: string, context?: string, replyTo?: string, quoteOf?: string, saved?: string, onSent: (post: any) => void}} properties
 *   `name` is of its elements, `context` of its draft; `saved` is the draft at the server that it goes on with.
 */
export function Composer({ name, label, context = name, replyTo, quoteOf, saved, onSent }) {
  // What was typed before the page was ours counts.
  const [draft, setDraft] = useState(() => ({ ...empty(), key: "", text: typed(name) }));
  const [refused, setRefused] = useState("");
  /** What is loaded when it is needed: the outbox with what waits in it, and what can be added to a text. */
  const [parts, setParts] = useState(/** @type {any} */ (null));
  const [opened, setOpened] = useState(/** @type {string[]} */ ([]));
  const save = useSaved(draft, (/** @type {Draft} */ one) => one.key && keep(context, one));
  const sent = useRef(onSent);
  sent.current = onSent;
  const needed = async () => {
    const [outbox, { Unsent }, { Extras, Missing, unfinished }, { Completions }] = await Promise.all([
      import("../outbox.js"), import("./unsent.js"), import("./extras.js"), import("./completions.js"),
    ]);
    const all = { outbox, Unsent, Extras, Missing, unfinished, Completions };
    setParts(all);
    return all;
  };
  // After the first rendering, which is the server's.
  useEffect(() => {
    const before = kept(context);
    setDraft((/** @type {Draft} */ current) => ({ ...before, text: current.text || before.text }));
    if (localStorage.getItem(OUTBOX) || hasExtras(before)) needed();
  }, [context]);
  useEffect(
    () =>
      parts?.outbox.onSent((/** @type {any} */ item, /** @type {any} */ post) => {
        if (item.queue !== context) return;
        say(t("composer.sent"));
        // The feed does not move for what was written elsewhere.
        if (item.tab === parts.outbox.TAB) sent.current(post);
      }),
    [parts, context],
  );
  /** @type {Change} */
  const change = (some) => setDraft((/** @type {Draft} */ current) => ({ ...current, ...(typeof some === "function" ? some(current) : some) }));
  const latest = useRef(draft);
  latest.current = draft;
  /** What was sent is no draft any more; what was written meanwhile is the next. */
  const clear = () => {
    const { text } = latest.current;
    const next = { ...empty(), visibility: draft.visibility, text: text.startsWith(draft.text) ? text.slice(draft.text.length) : text };
    save(next);
    setDraft(next);
    setOpened([]);
  };
  // What is sent from another tab is no draft in this one.
  useOtherTabs(place(context), (text) => text === textOf(latest.current), () => {
    const next = kept(context);
    save(next, true);
    setDraft(next);
    if (hasExtras(next)) needed();
  });
  const left = MAX_GRAPHEMES - (draft.text ? graphemes(draft.text) : 0);
  const isEmpty = !draft.text.trim() && !draft.pictures?.length;
  const send = async (/** @type {Event} */ event, isSure = false) => {
    event.preventDefault();
    if (left < 0) return;
    if (isEmpty) return void setRefused(t("composer.empty"));
    setRefused("");
    save(draft);
    try {
      const { outbox, unfinished } = parts ?? (await needed());
      const why = unfinished(draft, isSure);
      if (why) return void setRefused(why);
      await outbox.put({
        id: draft.key, queue: context, path: "/api/posts", body: bodyOf(draft, replyTo, quoteOf), pictures: draft.pictures, before: draft.before,
        ...(saved ? { replaces: `/api/users/me/drafts/${saved}` } : {}),
      });
      clear();
    } catch (error) {
      setRefused(reason(error, "problem.kept"));
    }
  };
  const edit = (/** @type {import("../outbox.js").Item} */ item) =>
    change(({ text }) => {
      const { id, body, pictures } = item;
      return { ...body, pictures, key: id, before: parts.outbox.versions(item), text: [body.text, text].filter(Boolean).join("\n\n") };
    });
  const open = async (/** @type {string} */ extra) => {
    await needed();
    setOpened(opened.includes(extra) ? opened.filter((one) => one !== extra) : [...opened, extra]);
    if (extra === "poll") change({ poll: draft.poll ? null : { options: ["", ""], expires_in_seconds: 86_400, multiple: false } });
    if (extra === "warning") change({ content_warning: draft.content_warning === null ? "" : null });
  };
  const isOpen = (/** @type {string} */ extra) =>
    ({ poll: Boolean(draft.poll), warning: typeof draft.content_warning === "string", pictures: Boolean(draft.pictures?.length) })[extra] ?? opened.includes(extra);
  return html`
    <form class="composer" id=${`composer-${name}`} method="dialog" onSubmit=${send} onFocusIn=${() => parts ?? needed().catch(() => {})}>
      <label class="hidden" for=${`text-${name}`}>${label}</label>
      <textarea
        id=${`text-${name}`} name="text" dir="auto" rows="3" maxlength=${MOST_TYPED} placeholder=${label} value=${draft.text}
        onInput=${(/** @type {any} */ event) => change({ text: event.target.value })}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && send(event)}
      ></textarea>
      ${parts && html`<${parts.Completions} of=${`text-${name}`} /><${parts.Extras} name=${name} draft=${draft} change=${change} opened=${opened} saved=${saved} body=${() => bodyOf(draft, replyTo, quoteOf)} onKept=${clear} onRefused=${setRefused} />`}
      ${refused && html`<div class="refused" role="alert">${refused}${parts && html`<${parts.Missing} name=${name} draft=${draft} why=${refused} onAnyway=${(/** @type {Event} */ event) => send(event, true)} />`}</div>`}
      <div class="composer-foot">
        <div class="composer-tools">${Object.entries(EXTRAS).map(([extra, sign]) => html`<button type="button" class="icon-link" aria-label=${t(`composer.${extra}`)} aria-pressed=${String(isOpen(extra))} onClick=${() => open(extra)}>${icon(sign)}</button>`)}</div>
        <label class="hidden" for=${`audience-${name}`}>${t("composer.audience")}</label>
        <select id=${`audience-${name}`} name="visibility" onChange=${(/** @type {any} */ event) => change({ visibility: event.target.value })}>
          ${AUDIENCES.map((one) => html`<option value=${one} selected=${draft.key ? one === draft.visibility : undefined}>${t(`audience.${one}`)}</option>`)}
        </select>
        <span class=${left < 0 ? "left over" : "left"} aria-hidden="true">${left < 100 ? number(left) : null}</span>
        <button type="submit" disabled=${left < 0 || undefined}>${t("composer.send")}</button>
      </div>
    </form>
    ${parts && html`<${parts.Unsent} queue=${context} onEdit=${edit} />`}
  `;
}

/** What a draft says to the API. @param {Draft} draft @param {string} [replyTo] @param {string} [quoteOf] */
function bodyOf({ text, visibility, poll, content_warning, quotable_by, reply_to, quote_of }, replyTo, quoteOf) {
  const all = {
    text, visibility, poll, quotable_by, content_warning: content_warning?.trim(),
    reply_to: replyTo ?? reply_to, quote_of: quoteOf ?? quote_of,
  };
  return Object.fromEntries(Object.entries(all).filter(([, one]) => one));
}

/** @param {string} name */
function typed(name) {
  const field = document.getElementById(`text-${name}`);
  return field instanceof HTMLTextAreaElement ? field.value : "";
}

/** @returns {Draft} */
const empty = () => ({ text: "", visibility: "public", key: crypto.randomUUID(), pictures: [], poll: null, content_warning: null });

/** @param {Draft} draft */
const hasExtras = ({ pictures, poll, content_warning }) => Boolean(pictures?.length || poll || content_warning);

/** @param {string} context @returns {Draft} */
function kept(context) {
  try {
    const found = JSON.parse(localStorage.getItem(place(context)) ?? "");
    if (found && typeof found.text === "string") return { ...empty(), ...found };
  } catch {
    // None, or none of ours.
  }
  return empty();
}

/** A draft as it is kept: not at all as long as nothing is written. @param {Draft} draft */
const textOf = (draft) => (draft.text === "" && !hasExtras(draft) ? null : JSON.stringify(draft));

/** @param {string} context @param {Draft} draft */
export const keep = (context, draft) => remember(place(context), textOf(draft));

/** @param {string} context */
function place(context) {
  return `draft:${me.value?.username ?? ""}:${context}`;
}
