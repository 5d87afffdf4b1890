/**
 * Forms of settings. Each says what it asks of the API: `data-ask="PUT /api/users/me/privacy"`. Its fields are what it
 * sends, `data-said` is said when it is done, and `data-then` is where to go on: an address, or `reload`. `data-sure` is
 * asked first.
 */

import { Problem } from "../../api.js";
import { unfit } from "../../files.js";
import { reason, say } from "../../store.js";
import { ask } from "./proving.js";

/** What is said on the next page. */
const SAID = "settings.said";
const DAY_MS = 86_400_000;

addEventListener("submit", async (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (!form.dataset.ask) return;
  event.preventDefault();
  const [method, path] = form.dataset.ask.split(" ");
  const button = /** @type {HTMLButtonElement | null} */ (/** @type {SubmitEvent} */ (event).submitter);
  if (form.dataset.sure && !(await isSure(form.dataset.sure, button?.textContent ?? ""))) return;
  clear(form);
  const why = chosen(form).map(unfit).find(Boolean);
  if (why) return refuse(form, new Problem(422, { errors: { file: why } }));
  if (button) button.disabled = true;
  try {
    const answer = await ask(method, path, form.elements.length > 1 ? bodyOf(form) : undefined);
    // Whoever knows what to do with the answer stops this.
    const done = new CustomEvent("asked", { bubbles: true, cancelable: true, detail: answer });
    if (form.dispatchEvent(done)) goOn(form.dataset.said ?? "", form.dataset.then);
  } catch (problem) {
    refuse(form, problem);
  } finally {
    if (button) button.disabled = false;
  }
});

/** Ask before what cannot be undone. @param {string} question @param {string} action @returns {Promise<boolean>} */
function isSure(question, action) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("sure"));
  /** @type {HTMLElement} */ (dialog.querySelector("h2")).textContent = question;
  /** @type {HTMLElement} */ (dialog.querySelector(".danger")).textContent = action;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "sure");
  });
}

/** The files that a form would send. @param {HTMLFormElement} form @returns {File[]} */
const chosen = (form) => [...form.elements].flatMap((one) => [.../** @type {HTMLInputElement} */ (one).files ?? []]);

/** Say that something is done, here or on the next page. @param {string} text @param {string} [then] */
export function goOn(text, then) {
  if (then === undefined) return say(text);
  if (text) sessionStorage.setItem(SAID, text);
  if (then === "reload") location.reload();
  else location.assign(then);
}

/** What a form's fields say, each at the place that its name is. @param {HTMLFormElement} form */
export function bodyOf(form) {
  if (form.enctype === "multipart/form-data") return new FormData(form);
  /** @type {any} */
  const body = {};
  for (const one of form.elements) {
    const field = /** @type {HTMLInputElement} */ (one);
    // What is switched off as a whole is null.
    if (field instanceof HTMLFieldSetElement) {
      if (field.name && field.matches(":disabled")) body[field.name] = null;
    } else if (field.name && !field.matches(":disabled") && (field.type !== "radio" || field.checked)) {
      put(body, field.name.split(/[.[\]]+/).filter(Boolean), valueOf(field));
    }
  }
  // Lines that were left empty, or taken out.
  for (const [name, value] of Object.entries(body)) {
    if (Array.isArray(value)) body[name] = value.filter((one) => Object.values(one).some(Boolean));
  }
  return body;
}

/** @param {HTMLInputElement} field */
function valueOf(field) {
  if ("days" in field.dataset) return field.value ? new Date(Date.now() + Number(field.value) * DAY_MS).toISOString() : null;
  if ("null" in field.dataset && field.value === "") return null;
  if (field.type === "checkbox") return field.checked;
  if (field.type === "number") return field.value === "" ? null : Number(field.value);
  return field.value;
}

/** @param {any} within @param {string[]} place @param {unknown} value */
function put(within, [name, ...inner], value) {
  if (inner.length === 0) within[name] = value;
  else put((within[name] ??= /^\d+$/.test(inner[0]) ? [] : {}), inner, value);
}

/** Say what is wrong, beside the field that it is about. @param {HTMLFormElement} form @param {unknown} problem */
export function refuse(form, problem) {
  const errors = problem instanceof Problem ? Object.entries(problem.errors) : [];
  let first = true;
  for (const [name, text] of errors) {
    const field = form.elements.namedItem(name);
    if (!(field instanceof HTMLElement)) continue;
    const refused = note(text);
    refused.id = `${name}-refused`;
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-errormessage", refused.id);
    field.closest(".field")?.append(refused);
    if (first) field.focus();
    first = false;
  }
  const others = errors.filter(([name]) => !(form.elements.namedItem(name) instanceof HTMLElement));
  if (others.length > 0) form.prepend(note(others.map(([, text]) => text).join(" ")));
  else if (errors.length === 0) form.prepend(note(reason(problem, form.matches(".act") ? undefined : "problem.unsaved")));
}

/** @param {string} text */
function note(text) {
  const refused = document.createElement("p");
  refused.className = "refused";
  refused.role = "alert";
  refused.textContent = text;
  return refused;
}

/** @param {HTMLFormElement} form */
function clear(form) {
  for (const one of form.querySelectorAll(".refused")) one.remove();
  for (const one of form.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
}

addEventListener("click", ({ target }) => {
  if (!(target instanceof Element)) return;
  if (target.closest("[data-close]")) target.closest("dialog")?.close();
  if (!target.closest("[data-remove]")) return;
  const form = target.closest("form");
  target.closest(".row")?.remove();
  form?.requestSubmit();
});

const said = sessionStorage.getItem(SAID);
sessionStorage.removeItem(SAID);
if (said) say(said);
for (const button of document.querySelectorAll("form[data-ask] button[disabled]")) button.removeAttribute("disabled");

// Browsers know what countries are called; without scripts their codes stay.
const regions = new Intl.DisplayNames([document.documentElement.lang], { type: "region", fallback: "code" });
for (const one of document.querySelectorAll("[data-region]")) {
  one.textContent = regions.of(/** @type {HTMLElement} */ (one).dataset.region ?? "") ?? "";
}
