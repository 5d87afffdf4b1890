/** The pictures of a post or a message that is written: chosen, uploaded at once, described, put in order. */

import { useEffect, useRef, useState } from "../../vendor/hooks.js";
import { signal } from "../../vendor/signals.js";
import { Problem } from "../api.js";
import { count, html, number, t } from "../base.js";
import { unfit } from "../files.js";
import { file as keptFile, keepFile, leaveFile } from "../kept.js";
import { icon } from "./parts.js";

export const MOST = 4;
const MOST_ALT = 1500;
const CREATED = 201;

/** How far each upload is (0 to 1), or why it failed. @type {{value: Record<string, {share: number, why: string}>}} */
const uploads = signal({});
/** @type {Map<string, XMLHttpRequest>} */
const running = new Map();

/** @param {string} key @param {{share: number, why: string}} state */
const note = (key, state) => (uploads.value = { ...uploads.value, [key]: state });

/**
 * @typedef {import("../outbox.js").Picture} Picture
 * @param {{name: string, pictures: Picture[], change: (change: (some: Picture[]) => Picture[]) => void, isOpen: boolean}} properties
 *   `change` gets what makes the new list out of the latest.
 */
export function Pictures({ name, pictures, change, isOpen }) {
  const field = useRef(/** @type {any} */ (null));
  const [leftOut, setLeftOut] = useState(/** @type {string[]} */ ([]));
  useEffect(() => {
    if (isOpen && pictures.length === 0) field.current?.click();
  }, [isOpen]);
  const add = async (/** @type {File[]} */ chosen) => {
    const files = chosen.filter((file) => !unfit(file));
    const room = MOST - pictures.length;
    const surplus = files.length > room ? t("pictures.surplus", { most: MOST, n: number(files.length - room) }) : "";
    setLeftOut([...chosen.map(unfit), surplus].filter(Boolean));
    for (const file of files.slice(0, room)) {
      const key = crypto.randomUUID();
      await keepFile(key, file);
      change((all) => [...all, { key, alt: "" }]);
      upload(key, file, (id) => change((all) => all.map((one) => (one.key === key ? { ...one, id } : one))));
    }
  };
  const move = (/** @type {number} */ from, /** @type {number} */ to) =>
    change((all) => {
      const next = [...all];
      next.splice(to, 0, ...next.splice(from, 1));
      return next;
    });
  const remove = (/** @type {string} */ key) => {
    stop(key);
    leaveFile(key);
    change((all) => all.filter((one) => one.key !== key));
  };
  return html`
    <div class="pictures">
      ${pictures.length > 0 && html`<ol aria-label=${t("pictures.list")}>${pictures.map((one, place) => html`<${Row} key=${one.key} one=${one} place=${place} size=${pictures.length} name=${name} move=${move} onRemove=${remove} onAlt=${(/** @type {string} */ alt) => change((all) => all.map((other) => (other.key === one.key ? { ...other, alt } : other)))} />`)}</ol>`}
      ${(isOpen || pictures.length > 0) && pictures.length < MOST && html`
        <label class="button quiet">${icon("image-plus")}${t("pictures.add")}<input ref=${field} class="hidden" type="file" accept="image/*" multiple onChange=${(/** @type {any} */ event) => {
          const files = [...event.target.files];
          event.target.value = "";
          add(files);
        }} /></label>`}
      ${leftOut.map((why) => html`<p class="refused" role="alert">${why}</p>`)}
    </div>
  `;
}

/** @param {{one: Picture, place: number, size: number, name: string, move: (from: number, to: number) => void, onRemove: (key: string) => void, onAlt: (alt: string) => void}} properties */
function Row({ one, place, size, name, move, onRemove, onAlt }) {
  const [source, setSource] = useState("");
  const state = uploads.value[one.key];
  useEffect(() => {
    let url = "";
    keptFile(one.key).then((file) => {
      if (file) url = URL.createObjectURL(file);
      setSource(url || (one.id ? `/api/media/${one.id}/small` : ""));
    });
    return () => URL.revokeObjectURL(url);
  }, [one.key]);
  const which = t("pictures.which", { n: place + 1 });
  return html`
    <li>
      ${source ? html`<img src=${source} alt=${one.alt || which} width="96" height="96" />` : html`<span class="no-picture">${icon("image")}</span>`}
      <div class="picture-words">
        <label for=${`alt-${name}-${one.key}`}>${t("pictures.alt")}<span class="hidden">${which}</span></label>
        <textarea id=${`alt-${name}-${one.key}`} class=${one.alt.trim() ? "" : "undescribed"} rows="2" maxlength=${MOST_ALT} dir="auto" value=${one.alt} onInput=${(/** @type {any} */ event) => onAlt(event.target.value)}></textarea>
        ${state?.why && html`<p class="refused" role="alert">${state.why}</p>`}
        ${!one.id && state && !state.why && html`<progress max="1" value=${state.share} aria-label=${t("pictures.progress")}></progress>`}
        <div class="picture-doors">
          <button class="icon-link" type="button" disabled=${place === 0} aria-label=${t("pictures.earlier", { which })} onClick=${() => move(place, place - 1)}><span class="turned">${icon("arrow-down")}</span></button>
          <button class="icon-link" type="button" disabled=${place === size - 1} aria-label=${t("pictures.later", { which })} onClick=${() => move(place, place + 1)}>${icon("arrow-down")}</button>
          <button class="icon-link" type="button" aria-label=${t("pictures.remove", { which })} onClick=${() => onRemove(one.key)}>${icon("trash-2")}</button>
        </div>
      </div>
    </li>
  `;
}

/** How many lack a description, said; nothing if none does. @param {Picture[]} pictures */
export function undescribed(pictures) {
  const missing = pictures.filter(({ alt }) => !alt.trim()).length;
  return missing ? t("pictures.undescribed", { n: missing, all: count("pictures.number", pictures.length) }) : "";
}

/** Why one cannot be sent. @param {Picture[]} pictures */
export const failure = (pictures) => pictures.map(({ key }) => uploads.value[key]?.why).find(Boolean) ?? "";

/** Leave what is not uploaded yet to the outbox. @param {Picture[]} pictures */
export const handOver = (pictures) => pictures.forEach(({ key }) => stop(key));

/** @param {string} key */
function stop(key) {
  running.get(key)?.abort();
  running.delete(key);
}

/**
 * Upload at once, and say how far it is: `fetch` does not. What fails for want of a connection is left to the outbox.
 * @param {string} key @param {Blob} file @param {(id: string) => void} onDone
 */
function upload(key, file, onDone) {
  const form = new FormData();
  form.append("file", file);
  const request = new XMLHttpRequest();
  running.set(key, request);
  request.open("POST", "/api/media");
  request.setRequestHeader("Idempotency-Key", key);
  request.setRequestHeader("Accept-Language", document.documentElement.lang);
  request.responseType = "json";
  request.upload.onprogress = ({ loaded, total }) => note(key, { share: loaded / total, why: "" });
  request.onloadend = () => {
    running.delete(key);
    const { status, response } = request;
    if (status === CREATED) onDone(response.id);
    else if ([400, 403, 413, 415, 422].includes(status)) note(key, { share: 0, why: new Problem(status, response ?? {}).message || t("problem.fault") });
  };
  note(key, { share: 0, why: "" });
  request.send(form);
}
