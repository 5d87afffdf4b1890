/** Conversations and requests, as they change; templates/app/chat.html makes the same nodes. */

import { useEffect, useState } from "../../vendor/hooks.js";
import { read } from "../api.js";
import { html, t } from "../base.js";
import { usePresence, useTyping } from "../presence.js";
import { go } from "../router.js";
import { listen } from "../socket.js";
import { me, say } from "../store.js";
import { Row } from "./talks.js";

const PAGE = 30;
const REQUESTS = `/api/conversations?folder=requests&limit=${PAGE}`;
const CALM_MS = 300;
/** What changes a list of conversations. */
const CHANGES = new Set(["signed_in", "message", "message_changed", "conversation_changed", "read"]);

/** @param {string | undefined} folder */
const path = (folder) => `/api/conversations?folder=${folder === "archived" ? folder : "inbox"}&limit=${PAGE}`;

/** What a folder is made of. @param {string | undefined} folder @returns {Record<string, string>} */
export const reads = (folder) => ({
  conversations: path(folder), ...(folder === "archived" ? {} : { requests: REQUESTS }),
});

/**
 * @param {{folder?: string, data: Record<string, any>, change: (some: any) => void, current?: string}} properties
 *   `current` is the conversation that is open beside the list.
 */
export function TalkList({ folder, data, change, current }) {
  const { conversations, requests = { items: [] } } = data;
  const [isBusy, setBusy] = useState(false);
  usePresence(watchable(conversations.items));
  useTyping();
  const renew = async () => {
    try {
      const parts = await Promise.all(Object.entries(reads(folder)).map(async ([name, from]) => [name, await read(from)]));
      change((/** @type {any} */ before) => renewed(before, Object.fromEntries(parts)));
    } catch {
      // What is shown stays, until there is a connection again.
    }
  };
  useEffect(() => {
    let waiting = 0;
    const stop = listen(({ type }) => {
      if (!CHANGES.has(type)) return;
      clearTimeout(waiting);
      waiting = setTimeout(renew, CALM_MS);
    });
    return () => {
      clearTimeout(waiting);
      stop();
    };
  }, []);
  const more = async () => {
    setBusy(true);
    try {
      const next = await read(`${path(folder)}&cursor=${encodeURIComponent(conversations.next_cursor)}`);
      change({ conversations: { ...next, items: [...conversations.items, ...next.items] } });
    } catch (problem) {
      say(problem);
    }
    setBusy(false);
  };
  const answered = (/** @type {any} */ one) => (/** @type {boolean} */ isAccepted) => isAccepted ? go(`/chat/${one.id}`) : renew();
  return html`
    ${requests.items.length > 0 && html`<section class="requests"><h2>${t("chat.requests")}</h2><ul class="talks">${requests.items.map((/** @type {any} */ one) => html`<${Row} key=${one.id} one=${one} onAnswer=${answered(one)} />`)}</ul></section>`}
    ${conversations.items.length > 0
      ? html`<ul class="talks" aria-label=${t("chat.list")}>${conversations.items.map((/** @type {any} */ one) => html`<${Row} key=${one.id} one=${one} isCurrent=${one.id === current} />`)}</ul>${conversations.next_cursor && html`<p class="more"><button class="quiet" type="button" disabled=${isBusy} onClick=${more}>${t("list.more")}</button></p>`}`
      : requests.items.length === 0 && html`<p class="note">${t(folder === "archived" ? "chat.archive-empty" : "chat.empty")}</p>`}
  `;
}

/** A list that was read on does not shrink when its beginning is read again. @param {any} before @param {any} parts */
function renewed({ conversations }, parts) {
  const { items } = parts.conversations;
  if (conversations.items.length <= PAGE) return parts;
  const names = new Set(items.map((/** @type {any} */ one) => one.id));
  const rest = conversations.items.filter((/** @type {any} */ one) => !names.has(one.id));
  return { ...parts, conversations: { ...conversations, items: [...items, ...rest] } };
}

/** Whose presence is worth knowing: of whom one writes with alone. @param {any[]} conversations @returns {string[]} */
function watchable(conversations) {
  return conversations
    .filter(({ kind }) => kind === "direct")
    .flatMap(({ members }) => members.map((/** @type {any} */ who) => who.username))
    .filter((name) => name !== me.value?.username);
}
