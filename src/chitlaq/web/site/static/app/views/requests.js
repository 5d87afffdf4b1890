/** Who asks to follow; templates/app/requests.html makes the same nodes. */

import { useState } from "../../vendor/hooks.js";
import { ask } from "../api.js";
import { html, t } from "../base.js";
import { memberRow } from "../components/member_row.js";
import { More } from "../components/more.js";
import { blank } from "../components/parts.js";
import { say } from "../store.js";

const PATH = "/api/users/me/follow-requests?limit=40";

/** @param {Record<string, string>} parameters */
export const reads = ({ cursor }) => ({ asking: `${PATH}&cursor=${encodeURIComponent(cursor ?? "")}` });

export const title = () => t("requests.title");

/** @param {import("../router.js").Shown} properties */
export function View({ data, change }) {
  const { asking } = data;
  // Two may be answered at once.
  const [answered, setAnswered] = useState(() => new Set());
  const items = asking.items.filter((/** @type {any} */ one) => !answered.has(one.username));
  const answer = async (/** @type {any} */ one, /** @type {string} */ method) => {
    try {
      await ask(method, `/api/users/me/follow-requests/${one.username}`);
      setAnswered((before) => new Set([...before, one.username]));
    } catch (problem) {
      say(problem);
    }
  };
  return html`
    <h1 class="title" tabindex="-1">${t("requests.title")}</h1>
    ${items.length > 0
      ? html`<ol class="told" aria-label=${t("requests.title")}>${items.map((/** @type {any} */ one) => html`<li key=${one.username} class="member-row">${memberRow(one)}<button type="button" aria-label=${t("requests.accept-of", { name: one.display_name })} onClick=${() => answer(one, "PUT")}>${t("requests.accept")}</button><button class="quiet" type="button" aria-label=${t("requests.refuse-of", { name: one.display_name })} onClick=${() => answer(one, "DELETE")}>${t("requests.refuse")}</button></li>`)}</ol>`
      : blank(t("requests.none"), "/notifications", t("shell.notifications"))}
    <${More} page=${asking} path=${PATH} address="/follow-requests?" onMore=${(/** @type {any} */ page) => change({ asking: page })} />
  `;
}
