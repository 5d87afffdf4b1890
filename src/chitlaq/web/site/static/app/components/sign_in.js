/** Signs somebody in again whose session is over, without leaving what they were doing. */

import { useEffect, useRef, useState } from "../../vendor/hooks.js";
import { Problem, send } from "../api.js";
import { html, t } from "../base.js";
import { me } from "../store.js";

/** @param {{onDone: (isSignedIn: boolean) => void}} properties */
export function SignIn({ onDone }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const [refused, setRefused] = useState("");
  const [needsCode, setNeedsCode] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const submit = async (/** @type {any} */ event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(event.target));
    const answer = await send("/api/auth/login", {
      method: "POST", body: { login: me.value?.username ?? fields.login, ...fields, cookies: true },
    }).catch(() => null);
    if (answer?.ok) {
      const { user } = await answer.json();
      // Somebody else: nothing of what is on the screen is theirs.
      if (me.value && user.username !== me.value.username) location.assign("/home");
      else onDone(true);
      return;
    }
    const problem = await answer?.json().catch(() => null);
    setNeedsCode(needsCode || problem?.type === "/problems/second-factor-required");
    setRefused(problem ? new Problem(answer?.status ?? 0, problem).message : t("problem.offline"));
  };
  return html`
    <dialog class="sign-in" ref=${dialog} aria-labelledby="again" onClose=${() => onDone(false)}>
      <h2 id="again">${t("again.title")}</h2>
      <p>${t("again.text")}</p>
      ${refused && html`<p class="refused" role="alert">${refused}</p>`}
      <form onSubmit=${submit}>
        ${me.value
          ? html`<input type="hidden" name="login" value=${me.value.username} autocomplete="username" /><p><bdi>${me.value.display_name}</bdi> <span class="handle">${`@${me.value.username}`}</span></p>`
          : html`<label for="again-login">${t("again.login")}</label><input id="again-login" name="login" autocomplete="username" required />`}
        <label for="again-password">${t("again.password")}</label>
        <input id="again-password" name="password" type="password" autocomplete="current-password" required autofocus />
        ${needsCode && html`<label for="again-code">${t("again.code")}</label><input id="again-code" name="code" autocomplete="one-time-code" required />`}
        <div class="dialog-foot">
          <button class="quiet" type="button" onClick=${() => dialog.current?.close()}>${t("again.later")}</button>
          <button type="submit">${t("shell.sign-in")}</button>
        </div>
      </form>
    </dialog>
  `;
}
