/** All conversations; templates/app/chat.html makes the same nodes. */

import { useEffect, useState } from "../../vendor/hooks.js";
import { read } from "../api.js";
import { html, t } from "../base.js";
import { icon } from "../components/parts.js";
import { Row, styled } from "../components/talks.js";
import { usePresence, useTyping } from "../presence.js";
import { go } from "../router.js";
import { listen } from "../socket.js";
import { me, say } from "../store.js";

/** @param {Record<string, string>} parameters */
const path = ({ folder }) => `/api/conversations?folder=${folder === "archived" ? folder : "inbox"}&limit=30`;
const REQUESTS = "/api/conversations?folder=requests&limit=30";
const CALM_MS = 300;
/** What changes a list of conversations. */
const CHANGES = new Set(["signed_in", "message", "message_changed", "conversation_changed", "read"]);

await styled();

/** @param {Record<string, string>} parameters @returns {Record<string, string>} */
export const reads = (parameters) => ({
  conversations: path(parameters), ...(parameters.folder === "archived" ? {} : { requests: REQUESTS }),
});

/** @param {{parameters: Record<string, string>}} shown */
export const title = ({ parameters }) => t(parameters.folder === "archived" ? "chat.archived" : "shell.chat");

/** @param {import("../router.js").Shown} properties */
export function View({ parameters, data, change }) {
  const isArchive = parameters.folder === "archived";
  const { conversations, requests = { items: [] } } = data;
  const [isBusy, setBusy] = useState(false);
  const [beginning, setBeginning] = useState(/** @type {any} */ (null));
  usePresence(isArchive ? [] : conversations.items.filter((/** @type {any} */ one) => one.kind === "direct").flatMap((/** @type {any} */ one) => one.members).map((/** @type {any} */ who) => who.username).filter((/** @type {string} */ name) => name !== me.value?.username));
  useTyping();
  const renew = async () => {
    try {
      const parts = await Promise.all(Object.entries(reads(parameters)).map(async ([name, from]) => [name, await read(from)]));
      change(Object.fromEntries(parts));
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
      const next = await read(`${path(parameters)}&cursor=${encodeURIComponent(conversations.next_cursor)}`);
      change({ conversations: { ...next, items: [...conversations.items, ...next.items] } });
    } catch (problem) {
      say(problem);
    }
    setBusy(false);
  };
  const answered = (/** @type {any} */ one) => (/** @type {boolean} */ isAccepted) => isAccepted ? go(`/chat/${one.id}`) : renew();
  const begin = async () => {
    try {
      const { NewTalk } = await import("../components/new_talk.js");
      setBeginning(() => NewTalk);
    } catch (problem) {
      say(problem);
    }
  };
  return html`
    <div class="title-row">${isArchive ? html`<a class="icon-link" href="/chat" aria-label=${t("chat.back")}>${icon("arrow-left")}</a>` : null}<h1 class="title" tabindex="-1">${title({ parameters })}</h1>${!isArchive && html`<button type="button" onClick=${begin}>${icon("plus")}${t("chat.begin")}</button>`}</div>
    ${requests.items.length > 0 && html`<section class="requests"><h2>${t("chat.requests")}</h2><ul class="talks">${requests.items.map((/** @type {any} */ one) => html`<${Row} key=${one.id} one=${one} onAnswer=${answered(one)} />`)}</ul></section>`}
    ${conversations.items.length > 0
      ? html`<ul class="talks" aria-label=${t("chat.list")}>${conversations.items.map((/** @type {any} */ one) => html`<${Row} key=${one.id} one=${one} />`)}</ul>${conversations.next_cursor && html`<p class="more"><button class="quiet" type="button" disabled=${isBusy} onClick=${more}>${t("list.more")}</button></p>`}`
      : requests.items.length === 0 && html`<p class="note">${t(isArchive ? "chat.archive-empty" : "chat.empty")}</p>`}
    ${!isArchive && html`<p class="more"><a href="/chat?folder=archived">${t("chat.archived")}</a></p>`}
    ${beginning && html`<${beginning} onClose=${() => setBeginning(null)} />`}
  `;
}
