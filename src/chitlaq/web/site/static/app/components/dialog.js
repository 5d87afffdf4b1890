/** A dialog: what is behind it waits. */

import { useEffect, useRef } from "../../vendor/hooks.js";
import { html, t } from "../base.js";

/**
 * @param {{title: string, isRead?: boolean, onClose: () => void, children: any}} properties It closes when its owner takes
 *   it away. One that is to be read begins at its title, however little of it is seen.
 */
export function Dialog({ title, isRead, onClose, children }) {
  const dialog = useRef(/** @type {any} */ (null));
  useEffect(() => dialog.current.showModal(), []);
  return html`
    <dialog ref=${dialog} aria-labelledby="dialog-title" onClose=${onClose}>
      <h2 id="dialog-title" tabindex=${isRead && "-1"} autofocus=${isRead}>${title}</h2>
      ${children}
    </dialog>
  `;
}

/**
 * Asks before something that cannot be undone.
 * @param {{title: string, text?: string, action: string, onDone: (isSure: boolean) => void}} properties
 */
export function Confirm({ title, text, action, onDone }) {
  return html`<${Dialog} title=${title} onClose=${() => onDone(false)}>
    ${text && html`<p>${text}</p>`}
    <div class="dialog-foot"><button class="quiet" type="button" autofocus onClick=${() => onDone(false)}>${t("dialog.cancel")}</button><button class="danger" type="button" onClick=${() => onDone(true)}>${action}</button></div>
  <//>`;
}
