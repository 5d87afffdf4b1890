/** A picture of one's own: what was sent is looked at first, which takes a moment. */

import { Problem, read } from "../../api.js";
import { say } from "../../store.js";
import { goOn, refuse } from "./forms.js";

const LOOK_MS = 500;

addEventListener("asked", async (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (!("picture" in form.dataset)) return;
  event.preventDefault();
  const { said, busy } = /** @type {HTMLElement} */ (form.closest("section")).dataset;
  let { detail: media } = /** @type {CustomEvent} */ (event);
  say(busy);
  try {
    while (media.state === "processing") {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      media = await read(`/api/media/${media.id}`);
    }
    if (media.state === "failed") refuse(form, new Problem(422, { detail: media.reason }));
    else goOn(said ?? "", "reload");
  } catch (problem) {
    refuse(form, problem);
  }
});
