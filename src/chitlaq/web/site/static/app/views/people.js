/** Who likes or shared a post; templates/app/people.html makes the same nodes. */

import { html, t } from "../base.js";
import { More } from "../components/more.js";
import { person } from "../components/parts.js";

/** @param {Record<string, string>} parameters */
const path = ({ post, kind }) => `/api/posts/${encodeURIComponent(post)}/${kind}?limit=20`;

/** @param {Record<string, string>} parameters */
export const reads = (parameters) => ({ people: path(parameters) });

/** @param {import("../router.js").Shown} shown */
export const title = ({ parameters }) => t(`people.${parameters.kind}`);

/** @param {import("../router.js").Shown} properties */
export function View({ parameters, data, change }) {
  const { handle, post, kind } = parameters;
  const { people } = data;
  const thread = `/@${handle}/p/${post}`;
  return html`
    <h1 class="title" tabindex="-1"><a href=${thread}>${t("thread.plain")}</a>${`: ${t(`people.${kind}`)}`}</h1>
    ${people.items.length > 0
      ? html`<ol class="told" aria-label=${t(`people.${kind}`)}>${people.items.map((/** @type {any} */ one) => html`<li key=${one.username}>${person(one)}</li>`)}</ol><${More} page=${people} path=${path(parameters)} address=${`${thread}/${kind}?`} onMore=${(/** @type {any} */ more) => change({ people: more })} />`
      : html`<p class="note">${t("people.empty")}</p>`}
  `;
}
