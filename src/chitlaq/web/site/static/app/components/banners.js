/** Announcements above the screen, which the server renders: until they are dismissed, on all devices. */

import { ask } from "../api.js";
import { say } from "../store.js";

const banners = /** @type {HTMLElement} */ (document.querySelector(".banners"));

banners.addEventListener("click", async ({ target }) => {
  const banner = /** @type {Element} */ (target).closest("button")?.closest("div.banner");
  if (!(banner instanceof HTMLElement)) return;
  banner.hidden = true;
  try {
    await ask("DELETE", `/api/notifications/announcements/${banner.dataset.id}`);
    banner.remove();
    if (banners.childElementCount === 0) banners.remove();
    document.getElementById("main")?.focus({ preventScroll: true });
  } catch (problem) {
    banner.hidden = false;
    say(problem);
  }
});
