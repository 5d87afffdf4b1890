/** What is kept to be published later; templates/app/drafts.html makes the same nodes. */

import { useEffect } from "../../vendor/hooks.js";
import { signal } from "../../vendor/signals.js";
import { read } from "../api.js";
import { count, html, t } from "../base.js";
import { keep } from "../components/composer.js";
import { More } from "../components/more.js";
import { blank } from "../components/parts.js";
import { go } from "../router.js";
import { say } from "../store.js";

/** What was deleted and can still be taken back: the server has it until then. @type {{value: Set<string>}} */
const gone = signal(new Set());

const PATH = "/api/users/me/drafts?limit=20";

const deleting = () => import("../deleting.js");

export const reads = () => ({ drafts: PATH });

export const title = () => t("drafts.title");

/** @param {import("../router.js").Shown} properties */
export function View({ data, change }) {
  const { drafts } = data;
  // Who deletes one sees it go at once.
  useEffect(() => {
    deleting().catch(() => {});
  }, []);
  return html`
    <h1 class="title" tabindex="-1">${t("drafts.title")}</h1>
    ${drafts.items.length > 0
      ? html`<ul class="drafts" aria-label=${t("drafts.title")}>${drafts.items.map((/** @type {any} */ one) => html`<${Row} key=${one.id} one=${one} />`)}</ul><${More} page=${drafts} path=${PATH} address="/drafts?" onMore=${(/** @type {any} */ more) => change({ drafts: more })} />`
      : blank(t("drafts.empty"), "/compose", t("shell.write"))}
  `;
}

/** @param {{one: any}} properties */
function Row({ one }) {
  const { id, post, scheduled_at, failure } = one;
  const hide = () => (gone.value = new Set([...gone.value, id]));
  const show = () => (gone.value = new Set([...gone.value].filter((other) => other !== id)));
  const remove = () =>
    deleting().then(({ deleteLater }) => deleteLater(`/api/users/me/drafts/${id}`, { done: t("drafts.deleted"), hide, show })).catch(say);
  if (gone.value.has(id)) return html`<li class="gone">${t("drafts.deleted")}</li>`;
  return html`
    <li>
      <div class="text" dir="auto">${post.text || t("drafts.no-text")}</div>
      <p class="draft-state">${post.media_ids.length > 0 && html`<span>${count("pictures.number", post.media_ids.length)}</span>`}${post.poll && html`<span>${t("composer.poll")}</span>`}${post.reply_to && html`<span>${t("drafts.reply")}</span>`}${scheduled_at && html`<span>${t("drafts.at")}${" "}<${Moment} at=${scheduled_at} /></span>`}</p>
      ${failure && html`<p class="refused">${t("unsent.failed", { why: failure })}</p>`}
      <p class="draft-doors"><button class="quiet" type="button" onClick=${() => edit(one).catch(say)}>${t("unsent.edit")}</button><button class="quiet" type="button" onClick=${remove}>${t("unsent.delete")}</button></p>
    </li>
  `;
}

/** A moment to come, in the reader's own clock once scripts are there. @param {{at: string}} properties */
function Moment({ at }) {
  const said = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  return html`<time datetime=${at}>${said.format(new Date(at))}</time>`;
}

/** Go on writing: it stays at the server until what becomes of it has arrived. @param {any} one */
async function edit({ id, post: { media_ids, ...post } }) {
  const pictures = await Promise.all(
    media_ids.map(async (/** @type {string} */ media) => ({ key: media, id: media, alt: (await read(`/api/media/${media}`)).alt })),
  );
  keep(`draft:${id}`, { ...post, key: crypto.randomUUID(), pictures });
  await go(`/compose?draft=${id}`);
}
