/** Asks of the API what is dangerous: whoever asks may have to prove first who they are. The dialog is the page's. */

import { Problem, ask as askAtOnce, read, renewed, send } from "../../api.js";
import { reason } from "../../store.js";

/**
 * As `ask` of api.js, with a second try once somebody has proved who they are.
 * @param {string} method @param {string} path @param {unknown} [body] @returns {Promise<any>}
 */
export async function ask(method, path, body) {
  try {
    return await askAtOnce(method, path, body);
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.kind !== "step-up-required") throw problem;
    if (!(await isProved(body))) await prove();
    return askAtOnce(method, path, body);
  }
}

/** Whether what was typed into the form is proof enough: nobody types a password twice. @param {any} body */
async function isProved(body) {
  const password = body?.current_password ?? body?.password;
  return Boolean(password) && stepUp({ password }).then(() => true, () => false);
}

/** Let somebody prove who they are; if they do not, the dialog's closing is the refusal. */
function prove() {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("prove"));
  const form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
  const refused = /** @type {HTMLElement} */ (dialog.querySelector(".refused"));
  const code = /** @type {HTMLElement} */ (dialog.querySelector(".code"));
  const passkey = /** @type {HTMLButtonElement} */ (dialog.querySelector(".passkey"));
  form.reset();
  refused.textContent = "";
  code.hidden = true;
  passkey.hidden = !knowsPasskeys();
  dialog.showModal();
  return new Promise((resolve, reject) => {
    const attempt = async (/** @type {() => Promise<any>} */ proof) => {
      refused.textContent = "";
      try {
        const given = await proof();
        if (given === null) return;
        await stepUp(given);
        resolve(undefined);
        dialog.close();
      } catch (problem) {
        await explain(problem);
      }
    };
    const explain = async (/** @type {unknown} */ problem) => {
      const isProblem = problem instanceof Problem;
      if (isProblem && problem.kind === "second-factor-required") {
        code.hidden = false;
        code.querySelector("input")?.focus();
      }
      refused.textContent = reason(problem);
      if (isProblem && problem.status === 409) await offerProviders(dialog);
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      const given = [...new FormData(form)].filter(([, one]) => one !== "");
      attempt(async () => Object.fromEntries(given));
    };
    passkey.onclick = () => attempt(async () => signedBy(await options("authentication")));
    dialog.onclose = () => reject(new Problem(403, { detail: dialog.dataset.given }));
  });
}

/** @param {any} proof */
async function stepUp(proof) {
  const began = Date.now();
  const body = proof.rawId ? { passkey: proof } : proof;
  let answer = await send("/api/auth/step-up", { method: "POST", body });
  const problem = answer.ok ? {} : await answer.json().catch(() => ({}));
  // 401 is also what a second factor that is missing gets.
  if (answer.status === 401 && !problem.type?.endsWith("second-factor-required") && (await renewed(began))) {
    answer = await send("/api/auth/step-up", { method: "POST", body });
  }
  if (!answer.ok) throw new Problem(answer.status, problem);
}

/** Accounts without a password prove it where they sign in. @param {HTMLElement} dialog */
async function offerProviders(dialog) {
  const place = /** @type {HTMLElement} */ (dialog.querySelector(".providers"));
  const links = (await read("/api/auth/sso")).items.map((/** @type {any} */ one) => {
    const link = document.createElement("a");
    link.className = "button quiet";
    link.href = `${one.path}?prove=true&return_to=${encodeURIComponent(location.pathname)}`;
    link.textContent = one.title;
    return link;
  });
  place.replaceChildren(...links);
}

export const knowsPasskeys = () => Boolean(window.PublicKeyCredential && "parseRequestOptionsFromJSON" in PublicKeyCredential);

/** What a passkey is asked. @param {"registration" | "authentication"} purpose */
export async function options(purpose) {
  return (await askAtOnce("POST", "/api/auth/passkeys/options", { purpose })).publicKey;
}

/** What a passkey has signed; null if it was given up. @param {any} asked */
export async function signedBy(asked) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(asked);
  const signed = await navigator.credentials.get({ publicKey }).catch(() => null);
  return signed && /** @type {PublicKeyCredential} */ (signed).toJSON();
}
