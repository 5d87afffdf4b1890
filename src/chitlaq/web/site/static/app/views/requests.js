/** Who asks to follow; templates/app/requests.html makes the same nodes. */

import { html, t } from "../base.js";
import { Answer } from "../components/answer.js";
import { memberRow } from "../components/member_row.js";
import { More } from "../components/more.js";
import { blank } from "../components/parts.js";

const PATH = "/api/users/me/follow-requests?limit=40";

/** @param {Record<string, string>} parameters */
export const reads = ({ cursor }) => ({ asking: `${PATH}&cursor=${encodeURIComponent(cursor ?? "")}` });

export const title = () => t("requests.title");

/** @param {import("../router.js").Shown} properties */
export function View({ data, change }) {
  const { asking } = data;
  return html`
    <h1 class="title" tabindex="-1">${t("requests.title")}</h1>
    ${asking.items.length > 0
      ? html`<ol class="told" aria-label=${t("requests.title")}>${asking.items.map((/** @type {any} */ one) => html`<li key=${one.username} class="member-row">${memberRow(one)}<${Answer} one=${one} /></li>`)}</ol>`
      : blank(t("requests.none"), "/notifications", t("shell.notifications"))}
    <${More} page=${asking} path=${PATH} address="/follow-requests?" onMore=${(/** @type {any} */ page) => change({ asking: page })} />
  `;
}
