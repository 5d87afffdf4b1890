/** Who follows a member, and whom they follow; templates/app/members.html makes the same nodes. */

import { useState } from "../../vendor/hooks.js";
import { ask } from "../api.js";
import { html, t } from "../base.js";
import { memberRow } from "../components/member_row.js";
import { More } from "../components/more.js";
import { blank } from "../components/parts.js";
import { me, say } from "../store.js";

/** @param {Record<string, string>} parameters */
const member = ({ handle }) => `/api/users/${encodeURIComponent(handle)}`;

/** @param {Record<string, string>} parameters */
const path = (parameters) => `${member(parameters)}/${parameters.list}?limit=40`;

/** @param {Record<string, string>} parameters */
export const reads = (parameters) => ({
  profile: member(parameters), members: `${path(parameters)}&cursor=${encodeURIComponent(parameters.cursor ?? "")}`,
});

/** @param {import("../router.js").Shown} shown */
export const title = ({ parameters }) => t(`members.${parameters.list}`);

/** @param {import("../router.js").Shown} properties */
export function View({ parameters, data, change }) {
  const { members } = data;
  // Two may be removed at once.
  const [removed, setRemoved] = useState(() => new Set());
  const items = members.items.filter((/** @type {any} */ one) => !removed.has(one.username));
  const { handle, list } = parameters;
  const isOwn = me.value?.username === handle && list === "followers";
  const remove = async (/** @type {any} */ one) => {
    try {
      await ask("DELETE", `/api/users/me/followers/${one.username}`);
      setRemoved((before) => new Set([...before, one.username]));
    } catch (problem) {
      say(problem);
    }
  };
  return html`
    <h1 class="title" tabindex="-1">${t(`members.${list}`)}</h1>
    <nav class="tabs" aria-label=${t("members.lists")}>
      <a href=${`/@${handle}`}><bdi>${`@${handle}`}</bdi></a>
      ${["followers", "following"].map((one) => html`<a href=${`/@${handle}/${one}`} aria-current=${one === list ? "page" : undefined}>${t(`members.${one}`)}</a>`)}
    </nav>
    ${items.length > 0
      ? html`<ol class="told" aria-label=${t(`members.${list}`)}>${items.map((/** @type {any} */ one) => html`<li key=${one.username} class="member-row">${memberRow(one)}${isOwn && html`<button class="quiet" type="button" aria-label=${t("members.remove-of", { name: one.display_name })} onClick=${() => remove(one)}>${t("members.remove")}</button>`}</li>`)}</ol>`
      : blank(t(`members.none-${list}`), "/explore", t("shell.explore"))}
    <${More} page=${members} path=${path(parameters)} address=${`/@${handle}/${list}?`} onMore=${(/** @type {any} */ page) => change({ members: page })} />
  `;
}
