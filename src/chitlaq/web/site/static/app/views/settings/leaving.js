/** Who has left is told until when they can come back. */

addEventListener("asked", (event) => {
  event.preventDefault();
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("left"));
  const { erase_at: at } = /** @type {CustomEvent} */ (event).detail;
  const date = new Date(at).toLocaleDateString(document.documentElement.lang, { dateStyle: "long" });
  /** @type {HTMLElement} */ (dialog.querySelector(".date")).textContent = date;
  localStorage.clear();
  dialog.onclose = () => location.assign("/");
  dialog.showModal();
});
