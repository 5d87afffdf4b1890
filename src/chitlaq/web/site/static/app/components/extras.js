/** What is added to a text: pictures, a poll, a warning; who may quote it; keeping it, and publishing it later. */

import { useState } from "../../vendor/hooks.js";
import { Problem, ask } from "../api.js";
import { count, html, t } from "../base.js";
import { uploaded } from "../outbox.js";
import { reason, say } from "../store.js";
import { icon } from "./parts.js";
import { Pictures, failure, handOver, undescribed } from "./pictures.js";

const MOST_OPTIONS = 4;
const DURATIONS = [300, 3600, 21_600, 86_400, 259_200, 604_800];
const QUOTERS = ["everyone", "followers", "nobody"];
const MINUTE_MS = 60_000;

/**
 * @typedef {import("./composer.js").Draft} Draft
 * @typedef {import("./composer.js").Change} Change
 */

/**
 * @param {{name: string, draft: Draft, change: Change, opened: string[], saved?: string,
 *   body: () => any, onKept: () => void, onRefused: (why: string) => void}} properties
 *   `onKept` is called when the draft is at the server, and `onRefused` if it is not.
 */
export function Extras({ name, draft, change, opened, saved, body, onKept, onRefused }) {
  const { pictures = [], poll, content_warning } = draft;
  return html`
    ${typeof content_warning === "string" && html`<p class="extra"><label for=${`warning-${name}`}>${t("composer.warning")}</label><input id=${`warning-${name}`} dir="auto" maxlength="200" value=${content_warning} placeholder=${t("composer.warning-hint")} onInput=${(/** @type {any} */ event) => change({ content_warning: event.target.value })} /></p>`}
    <${Pictures} name=${name} pictures=${pictures} isOpen=${opened.includes("pictures")} change=${(/** @type {any} */ update) => change((current) => ({ pictures: update(current.pictures ?? []) }))} />
    ${poll && html`<${PollEditor} name=${name} poll=${poll} change=${(/** @type {any} */ some) => change({ poll: { ...poll, ...some } })} />`}
    ${opened.includes("more") && html`<${More} name=${name} draft=${draft} change=${change} saved=${saved} body=${body} onKept=${onKept} onRefused=${onRefused} />`}
  `;
}

/** @param {{name: string, poll: any, change: (some: any) => void}} properties */
function PollEditor({ name, poll, change }) {
  const { options } = poll;
  const write = (/** @type {number} */ place, /** @type {string} */ text) =>
    change({ options: options.map((/** @type {string} */ one, /** @type {number} */ other) => (other === place ? text : one)) });
  return html`
    <fieldset class="extra poll-editor">
      <legend>${t("composer.poll")}</legend>
      ${options.map((/** @type {string} */ one, /** @type {number} */ place) => html`<div class="poll-option"><input dir="auto" maxlength="100" aria-label=${t("poll.option", { n: place + 1 })} placeholder=${t("poll.option", { n: place + 1 })} value=${one} onInput=${(/** @type {any} */ event) => write(place, event.target.value)} />${options.length > 2 && html`<button class="icon-link" type="button" aria-label=${t("poll.remove", { n: place + 1 })} onClick=${() => change({ options: options.filter((/** @type {string} */ _, /** @type {number} */ other) => other !== place) })}>${icon("x")}</button>`}</div>`)}
      ${options.length < MOST_OPTIONS && html`<button class="quiet" type="button" onClick=${() => change({ options: [...options, ""] })}>${icon("plus")}${t("poll.add")}</button>`}
      <p><label for=${`ends-${name}`}>${t("poll.ends")}</label><select id=${`ends-${name}`} onChange=${(/** @type {any} */ event) => change({ expires_in_seconds: Number(event.target.value) })}>${DURATIONS.map((one) => html`<option value=${one} selected=${one === poll.expires_in_seconds}>${duration(one)}</option>`)}</select></p>
      <label class="check"><input type="checkbox" checked=${poll.multiple} onChange=${(/** @type {any} */ event) => change({ multiple: event.target.checked })} />${t("poll.multiple")}</label>
    </fieldset>
  `;
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < 3600) return count("poll.minutes", seconds / 60);
  return seconds < 86_400 ? count("poll.hours", seconds / 3600) : count("poll.days", seconds / 86_400);
}

/** @param {{name: string, draft: Draft, change: Change, saved?: string, body: () => any, onKept: () => void, onRefused: (why: string) => void}} properties */
function More({ name, draft, change, saved, body, onKept, onRefused }) {
  const [isBusy, setBusy] = useState(false);
  const [at, setAt] = useState("");
  const keep = async (/** @type {string | null} */ moment) => {
    setBusy(true);
    try {
      const pictures = draft.pictures ?? [];
      handOver(pictures);
      for (const picture of pictures) await uploaded(picture);
      const post = { ...body(), ...(pictures.length > 0 ? { media_ids: pictures.map(({ id }) => id) } : {}) };
      const scheduled_at = moment && new Date(moment).toISOString();
      if (saved) await ask("PATCH", `/api/users/me/drafts/${saved}`, { post, scheduled_at });
      else await add({ post, scheduled_at }, draft.key);
      say(t(moment ? "drafts.scheduled" : "drafts.kept"));
      onKept();
    } catch (problem) {
      onRefused(reason(problem, "problem.kept"));
    }
    setBusy(false);
  };
  return html`
    <div class="extra options">
      <p><label for=${`quoters-${name}`}>${t("composer.quotable")}</label><select id=${`quoters-${name}`} onChange=${(/** @type {any} */ event) => change({ quotable_by: event.target.value })}>${QUOTERS.map((one) => html`<option value=${one} selected=${one === (draft.quotable_by ?? "everyone")}>${t(`quotable.${one}`)}</option>`)}</select></p>
      <p><label for=${`at-${name}`}>${t("composer.later")}</label><input id=${`at-${name}`} type="datetime-local" min=${local(Date.now() + MINUTE_MS)} value=${at} onInput=${(/** @type {any} */ event) => setAt(event.target.value)} /></p>
      <p class="option-doors">
        <button class="quiet" type="button" disabled=${isBusy || !at} onClick=${() => keep(at)}>${icon("clock")}${t("composer.schedule")}</button>
        <button class="quiet" type="button" disabled=${isBusy} onClick=${() => keep(null)}>${t("composer.keep")}</button>
        <a href="/drafts">${t("drafts.title")}</a>
      </p>
    </div>
  `;
}

/**
 * Keep a draft at the server: once, also if the answer to what was asked before was lost.
 * @param {any} body @param {string} key
 * @returns {Promise<any>}
 */
async function add(body, key) {
  try {
    return await ask("POST", "/api/users/me/drafts", body, { "Idempotency-Key": key });
  } catch (problem) {
    if (!(problem instanceof Problem && "Idempotency-Key" in problem.errors)) throw problem;
    // What was written before it was edited has arrived: both are among the drafts, and nothing is lost.
    return add(body, crypto.randomUUID());
  }
}

/** What stands in the way of a post, said. @param {Draft} draft @param {boolean} isSure Whether pictures without descriptions are meant so. */
export function unfinished({ pictures = [], poll }, isSure) {
  const why = failure(pictures);
  if (why) return why;
  if (poll && poll.options.some((one) => !one.trim())) return t("poll.unfinished");
  const missing = isSure ? "" : undescribed(pictures);
  if (!missing) handOver(pictures);
  return missing;
}

/** What to do about pictures without descriptions. @param {{name: string, draft: Draft, why: string, onAnyway: (event: Event) => void}} properties */
export function Missing({ name, draft, why, onAnyway }) {
  if (why !== undescribed(draft.pictures ?? [])) return null;
  const describe = () => /** @type {any} */ (document.querySelector(`#composer-${name} .undescribed`))?.focus();
  return html`<p class="option-doors"><button class="quiet" type="button" onClick=${describe}>${t("pictures.describe")}</button><button class="quiet" type="button" onClick=${onAnyway}>${t("pictures.anyway")}</button></p>`;
}

/** A moment as its field writes it. @param {number} at */
function local(at) {
  const moment = new Date(at);
  return new Date(at - moment.getTimezoneOffset() * MINUTE_MS).toISOString().slice(0, 16);
}
