/** A member in a list; templates/app/member_row.html makes the same nodes. */

import { html } from "../base.js";
import { avatar } from "./parts.js";

/** @param {any} one */
export function memberRow(one) {
  const where = one.department ? `${one.department}, ${one.university}` : one.university;
  return html`<a class="told-one" href=${`/@${one.username}`}>${avatar(one)}<div class="body"><p class="sentence"><bdi class="name">${one.display_name}</bdi>${" "}<span class="handle">${`@${one.username}`}</span></p><p class="excerpt" dir="auto">${where}</p></div></a>`;
}
