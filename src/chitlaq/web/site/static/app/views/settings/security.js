/** Second factors: an app's codes, passkeys, recovery codes, which are shown once. */

import { renewed } from "../../api.js";
import { me, say } from "../../store.js";
import { goOn, refuse } from "./forms.js";
import { ask, knowsPasskeys, options } from "./proving.js";

/** @type {<T extends HTMLElement>(id: string) => T} */
const at = (id) => /** @type {any} */ (document.getElementById(id));
const app = /** @type {HTMLDialogElement} */ (at("app"));
const codes = /** @type {HTMLDialogElement} */ (at("codes"));
const passkey = /** @type {HTMLFormElement} */ (at("passkey"));

addEventListener("asked", (event) => {
  const { detail: answer, target } = /** @type {CustomEvent} */ (event);
  if (!answer?.qr && !answer?.recovery_codes) return;
  event.preventDefault();
  if (answer.recovery_codes) return showCodes(answer.recovery_codes);
  const picture = /** @type {HTMLImageElement} */ (app.querySelector("img"));
  // As an image of its own it needs the name space that it can do without in a page.
  picture.src = `data:image/svg+xml,${encodeURIComponent(answer.qr.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"'))}`;
  /** @type {HTMLElement} */ (app.querySelector(".secret")).textContent = answer.secret.match(/.{1,4}/g).join(" ");
  app.showModal();
});

/** @param {string[]} all */
function showCodes(all) {
  app.close();
  if (all.length === 0) return goOn(codes.dataset.said ?? "", "reload");
  const lines = all.map((one) => {
    const line = document.createElement("li");
    line.textContent = one;
    return line;
  });
  codes.querySelector("ol")?.replaceChildren(...lines);
  codes.onclose = async () => {
    // Where everybody needs a second factor, the next tokens are good everywhere.
    if (!me.value) await renewed(Date.now());
    goOn(codes.dataset.said ?? "", me.value ? "reload" : "/home");
  };
  codes.showModal();
}

at("copy").addEventListener("click", async () => {
  const all = [...codes.querySelectorAll("li")].map((one) => one.textContent).join("\n");
  await navigator.clipboard.writeText(all).then(() => say(at("copy").dataset.said));
});

passkey.hidden = !knowsPasskeys();
passkey.addEventListener("submit", async (event) => {
  event.preventDefault();
  for (const one of passkey.querySelectorAll(".refused")) one.remove();
  try {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(await options("registration"));
    const made = await navigator.credentials.create({ publicKey }).catch(() => null);
    // Given up, or the device has one already: the browser has said so.
    if (made === null) return;
    const name = new FormData(passkey).get("name");
    const added = await ask("POST", "/api/auth/passkeys", { name, passkey: /** @type {PublicKeyCredential} */ (made).toJSON() });
    showCodes(added.recovery_codes);
  } catch (problem) {
    refuse(passkey, problem);
  }
});
