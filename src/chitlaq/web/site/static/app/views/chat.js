/** All conversations; templates/app/chat.html makes the same nodes. */

import { useEffect, useState } from "../../vendor/hooks.js";
import { read } from "../api.js";
import { html, t } from "../base.js";
import { Row, styled } from "../components/talks.js";
import { go } from "../router.js";
import { say } from "../store.js";

const PATH = "/api/conversations?limit=30";
const REQUESTS = "/api/conversations?folder=requests&limit=30";
const CALM_MS = 300;
/** What changes a list of conversations. */
const CHANGES = new Set(["signed_in", "message", "message_changed", "conversation_changed", "read"]);

await styled();

export const reads = () => ({ conversations: PATH, requests: REQUESTS });

export const title = () => t("shell.chat");

/** @param {import("../router.js").Shown} properties */
export function View({ data, change }) {
  const { conversations, requests } = data;
  const [isBusy, setBusy] = useState(false);
  const renew = async () => {
    try {
      const [inbox, asked] = await Promise.all([read(PATH), read(REQUESTS)]);
      change({ conversations: inbox, requests: asked });
    } catch {
      // What is shown stays, until there is a connection again.
    }
  };
  useEffect(() => {
    let waiting = 0;
    let stop = () => {};
    let isGone = false;
    import("../socket.js").then(({ listen }) => {
      if (isGone) return;
      stop = listen(({ type }) => {
        if (!CHANGES.has(type)) return;
        clearTimeout(waiting);
        waiting = setTimeout(renew, CALM_MS);
      });
    });
    return () => {
      isGone = true;
      clearTimeout(waiting);
      stop();
    };
  }, []);
  const more = async () => {
    setBusy(true);
    try {
      const next = await read(`${PATH}&cursor=${encodeURIComponent(conversations.next_cursor)}`);
      change({ conversations: { ...next, items: [...conversations.items, ...next.items] } });
    } catch (problem) {
      say(problem);
    }
    setBusy(false);
  };
  const answered = (/** @type {any} */ one) => (/** @type {boolean} */ isAccepted) => isAccepted ? go(`/chat/${one.id}`) : renew();
  return html`
    <h1 class="title" tabindex="-1">${t("shell.chat")}</h1>
    ${requests.items.length > 0 && html`<section class="requests"><h2>${t("chat.requests")}</h2><ul class="talks">${requests.items.map((/** @type {any} */ one) => html`<${Row} key=${one.id} one=${one} onAnswer=${answered(one)} />`)}</ul></section>`}
    ${conversations.items.length > 0
      ? html`<ul class="talks" aria-label=${t("chat.list")}>${conversations.items.map((/** @type {any} */ one) => html`<${Row} key=${one.id} one=${one} />`)}</ul>${conversations.next_cursor && html`<p class="more"><button class="quiet" type="button" disabled=${isBusy} onClick=${more}>${t("list.more")}</button></p>`}`
      : requests.items.length === 0 && html`<p class="note">${t("chat.empty")}</p>`}
  `;
}
