/** What a member is told; templates/app/notifications.html makes the same nodes. */

import { useEffect } from "../../vendor/hooks.js";
import { ask } from "../api.js";
import { count, html, t } from "../base.js";
import { Answer } from "../components/answer.js";
import { More } from "../components/more.js";
import { Time, avatar, blank, icon } from "../components/parts.js";
import { say, unread } from "../store.js";

/** @type {Record<string, string>} The sign of a kind; the others are answers. */
const SIGNS = {
  follow: "user", follow_request: "user", follow_accepted: "user", like: "heart", repost: "repeat-2",
  poll_ended: "chart-no-axes-column", message: "message-square", group_invitation: "users", new_device: "lock",
  moderation: "triangle-alert", export_ready: "bell", announcement: "bell",
};

/** @param {Record<string, string>} parameters */
const isApart = ({ filtered }) => filtered === "true";

/** @param {Record<string, string>} parameters */
const path = (parameters) => `/api/notifications?limit=20&filtered=${isApart(parameters)}`;

/** @param {Record<string, string>} parameters */
export const reads = (parameters) => ({
  told: `${path(parameters)}&cursor=${encodeURIComponent(parameters.cursor ?? "")}`,
});

export const title = () => t("shell.notifications");

/** @param {import("../router.js").Shown} properties */
export function View({ parameters, data, change }) {
  const { told } = data;
  const apart = isApart(parameters);
  const isFirst = !apart && !parameters.cursor;
  useEffect(() => {
    // Shown is seen: of what is kept apart, nothing counts.
    if (isFirst && told.unseen > 0) mark({ seen_until: told.items[0]?.updated_at });
    else if (!apart) unread.value = told.unread;
  }, []);
  /** Read is one and all that is older. @param {number} from */
  const readFrom = (from) => {
    if (apart || told.items[from].read) return;
    const items = told.items.map((/** @type {any} */ one, /** @type {number} */ place) => (place < from ? one : { ...one, read: true }));
    change({ told: { ...told, items } });
    mark({ until: told.items[from].updated_at }).then((isDone) => change({ told: isDone ? { ...told, items, unread: unread.value } : told }));
  };
  // It is no longer told, which the server counts itself.
  const answered = (/** @type {any} */ { id }) =>
    change({ told: { ...told, items: told.items.map((/** @type {any} */ one) => (one.id === id ? { ...one, read: true } : one)) } });
  return html`
    <div class="title-row">
      <h1 class="title" tabindex="-1">${apart ? t("notifications.apart") : t("shell.notifications")}</h1>
      ${told.unread > 0 && !apart && html`<button class="quiet" type="button" onClick=${() => readFrom(0)}>${t("notifications.read-all")}</button>`}
    </div>
    ${told.items.length > 0
      ? html`<ol class="told" aria-label=${t("shell.notifications")}>${told.items.map((/** @type {any} */ one, /** @type {number} */ place) => html`<li key=${one.id} class=${one.read ? "" : "unread"}>${toldOne(one, () => readFrom(place))}${one.kind === "follow_request" && asking(one, () => answered(one))}</li>`)}</ol>`
      : apart ? html`<p class="note">${t("notifications.none-apart")}</p>` : blank(t("notifications.none"), "/explore", t("shell.explore"))}
    <${More} page=${told} path=${path(parameters)} address=${`/notifications?${apart ? "filtered=true&" : ""}`} onMore=${(/** @type {any} */ page) => change({ told: page })} />
    <p class="more"><a href=${apart ? "/notifications" : "/notifications?filtered=true"}>${apart ? t("notifications.all") : t("notifications.apart")}</a></p>
  `;
}

/** @param {any} body */
async function mark(body) {
  try {
    unread.value = (await ask("POST", "/api/notifications/read", body)).unread;
    return true;
  } catch (problem) {
    say(problem);
    return false;
  }
}

/** @param {any} one @param {() => void} onOpen */
function toldOne(one, onOpen) {
  const href = addressOf(one);
  const content = html`
    <span class="face">${one.actors.length > 0 && avatar(one.actors[0])}<span class=${`sign ${one.kind}`}>${icon(SIGNS[one.kind] ?? "message-circle")}</span></span>
    <div class="body"><p class="sentence">${sentence(one)}</p>${excerpt(one)}</div>
    <span class="time"><${Time} at=${one.updated_at} />${!one.read && html`<span class="dot"></span><span class="hidden">${t("notifications.new")}</span>`}</span>
  `;
  return href
    ? html`<a class="told-one" href=${href} onClick=${onOpen}>${content}</a>`
    : html`<div class="told-one">${content}</div>`;
}

/** Those who ask to follow, and an answer to each. @param {any} one @param {() => void} onAnswer */
function asking({ actors }, onAnswer) {
  return html`<ul class="asking" aria-label=${t("requests.title")}>${actors.map((/** @type {any} */ one) => html`<li key=${one.username}>${actors.length > 1 && html`<a href=${`/@${one.username}`}><bdi class="name">${one.display_name}</bdi></a>`}<${Answer} one=${one} onAnswer=${onAnswer} /></li>`)}</ul>`;
}

/** Where what one is told about is. @param {any} one */
function addressOf({ kind, post, conversation, actors, count: n }) {
  if (kind === "follow_request" && n > 1) return "/follow-requests";
  if (post) return `/@${post.author.username}/p/${post.id}`;
  if (conversation) return `/chat/${conversation.id}`;
  return actors.length > 0 ? `/@${actors[0].username}` : "";
}

/** Who did what. @param {any} one */
function sentence({ kind, actors: [first, second], count: n, text }) {
  const what = t(`notifications.kind.${kind === "moderation" ? `${kind}.${text.replaceAll(" ", ".")}` : kind}`);
  if (!first) return what;
  const others = n === 2 && second
    ? html`${t("notifications.and")}${" "}<bdi class="name">${second.display_name}</bdi>${" "}`
    : n > 1 && html`${count("notifications.others", n - 1)}${" "}`;
  return html`<bdi class="name">${first.display_name}</bdi>${" "}${others}${what}`;
}

/** @param {any} one */
function excerpt({ kind, post, conversation, text }) {
  const words = post ? post.content_warning || post.text : conversation ? conversation.name : text;
  return words && kind !== "moderation" && html`<p class="excerpt" dir="auto">${words}</p>`;
}
