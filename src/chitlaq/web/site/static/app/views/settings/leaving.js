/** Who has left is told until when they can come back. */

import { onSessionEnd } from "../../api.js";

addEventListener("asked", (event) => {
  event.preventDefault();
  // That the session has ended is no surprise: nobody is asked to sign in again.
  onSessionEnd(() => new Promise(() => undefined));
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("left"));
  const { erase_at: at } = /** @type {CustomEvent} */ (event).detail;
  const date = new Date(at).toLocaleDateString(document.documentElement.lang, { dateStyle: "long" });
  /** @type {HTMLElement} */ (dialog.querySelector(".date")).textContent = date;
  // The session has ended: this browser forgets it, too.
  dialog.onclose = () => dialog.querySelector("form")?.requestSubmit();
  dialog.showModal();
});
