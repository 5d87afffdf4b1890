/** The messages of a conversation, live, and where one writes; templates/app/conversation.html makes the same nodes. */

import { useEffect, useLayoutEffect, useReducer, useRef, useState } from "../../vendor/hooks.js";
import { ask, read } from "../api.js";
import { html, t } from "../base.js";
import { go } from "../router.js";
import { reason, say } from "../store.js";
import { Answer, Message, Waiting, isOwn } from "./talks.js";
import { changed, held } from "./messages.js";

const NEAR_PX = 60;
const CALM_MS = 1000;

/** @param {{path: string, conversation: any, page: any, change: (some: any) => void}} properties */
export function Log({ path, conversation, page, change }) {
  const { id } = conversation;
  const [state, act] = useReducer(changed, page, held);
  const [firstNew] = useState(() => firstUnread(conversation, page.items));
  const [announced, setAnnounced] = useState("");
  const [isBusy, setBusy] = useState(false);
  /** @type {{current: HTMLElement}} */
  const log = useRef(null);
  // What listeners see of the latest rendering.
  const now = useRef(/** @type {any} */ ({ isAtEnd: true, kept: null, read: conversation.read_seq, arrived: [] }));
  now.current.state = state;
  const last = state.items.at(-1)?.seq ?? 0;

  const markRead = () => {
    const { isAtEnd, state: known, read: until } = now.current;
    const latest = known.items.at(-1)?.seq ?? 0;
    if (!isAtEnd || known.hasLater || latest <= until || conversation.state !== "joined") return;
    if (document.visibilityState !== "visible" || !document.hasFocus()) return;
    now.current.read = latest;
    ask("POST", `/api/conversations/${id}/read`, { seq: latest }).catch(() => (now.current.read = until));
  };
  const look = () => {
    const { scrollHeight, scrollTop, clientHeight } = log.current;
    now.current.isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    markRead();
  };

  // Begin where reading ended; then follow the end, or stay where the reader is.
  useLayoutEffect(() => {
    const divider = log.current.querySelector(".divider");
    if (divider instanceof HTMLElement) log.current.scrollTop = divider.offsetTop - log.current.offsetTop - NEAR_PX;
    else log.current.scrollTop = log.current.scrollHeight;
    look();
  }, []);
  useLayoutEffect(() => {
    const { kept, isAtEnd } = now.current;
    now.current.kept = null;
    const row = kept && log.current.querySelector(`[data-seq="${kept.seq}"]`);
    if (row) log.current.scrollTop += row.getBoundingClientRect().top - kept.top;
    else if (isAtEnd) log.current.scrollTop = log.current.scrollHeight;
    markRead();
  }, [state]);
  useEffect(() => {
    const watch = () => markRead();
    addEventListener("focus", watch);
    document.addEventListener("visibilitychange", watch);
    return () => {
      removeEventListener("focus", watch);
      document.removeEventListener("visibilitychange", watch);
    };
  }, []);

  const latest = async () => {
    now.current.isAtEnd = true;
    act({ type: "page", page: await read(`${path}/messages?limit=50`) });
  };
  const announce = () => {
    const { arrived } = now.current;
    now.current.arrived = [];
    const [one] = arrived;
    setAnnounced(arrived.length === 1 ? `${one.sender?.display_name ?? t("chat.former")}: ${one.text}` : t("chat.arrived", { n: arrived.length }));
  };
  const hear = (/** @type {any} */ frame) => {
    if (frame.conversation_id !== id) return;
    if (frame.type === "message") {
      const { state: known, arrived } = now.current;
      if (!isOwn(frame) && frame.seq > (known.items.at(-1)?.seq ?? 0)) {
        if (arrived.length === 0) setTimeout(announce, CALM_MS);
        arrived.push(frame);
      }
      act({ type: "arrived", message: frame, isAtEnd: now.current.isAtEnd });
    } else if (frame.type === "message_changed") act({ type: "changed", message: frame });
    else if (frame.type === "gap") latest().catch(say);
    else if (frame.type === "conversation_changed") {
      read(path).then((found) => change({ conversation: found }), () => {});
    }
  };
  useEffect(() => {
    let stop = () => {};
    let isGone = false;
    if (conversation.state === "joined") {
      import("../socket.js").then((socket) => {
        if (isGone) return;
        const quiet = socket.listen(hear);
        socket.follow(id, now.current.state.items.at(-1)?.seq ?? 0);
        now.current.note = socket.note;
        stop = () => {
          quiet();
          socket.leave(id);
        };
      });
    }
    return () => {
      isGone = true;
      stop();
    };
  }, [conversation.state]);
  useEffect(() => {
    if (!state.hasLater) now.current.note?.(id, last);
  }, [last]);

  const load = async (/** @type {"before" | "after"} */ side) => {
    const { items } = state;
    const edge = side === "before" ? items[0] : items.at(-1);
    setBusy(true);
    try {
      const found = await read(`${path}/messages?limit=50&${side}=${edge.seq}`);
      const row = log.current.querySelector(`[data-seq="${edge.seq}"]`);
      now.current.kept = row && { seq: edge.seq, top: row.getBoundingClientRect().top };
      now.current.isAtEnd = false;
      act({ type: side, page: found });
    } catch (problem) {
      say(problem);
    }
    setBusy(false);
  };

  const deliver = async (/** @type {{client_id: string, text: string}} */ one) => {
    try {
      const message = await ask("POST", `${path}/messages`, one);
      act({ type: "arrived", message, isAtEnd: now.current.isAtEnd });
    } catch (problem) {
      act({ type: "failed", one, why: reason(problem) });
    }
  };
  // One after the other: they arrive in the order in which they were written.
  const queue = useRef(Promise.resolve());
  const send = (/** @type {any} */ one) => {
    act({ type: "sending", one });
    now.current.isAtEnd = true;
    queue.current = queue.current.then(async () => {
      if (now.current.state.hasLater) await latest().catch(() => {});
      await deliver(one);
    });
  };

  return html`
    <div class="log" role="log" aria-live="off" tabindex="0" aria-label=${t("chat.log")} ref=${log} onScroll=${look}>
      ${state.hasEarlier && html`<p class="more"><button class="quiet" type="button" disabled=${isBusy} onClick=${() => load("before")}>${t("chat.earlier")}</button></p>`}
      ${state.items.length === 0 && state.waiting.length === 0 && html`<p class="note">${t("chat.quiet")}</p>`}
      <ol class="messages">
        ${state.items.map((/** @type {any} */ one, /** @type {number} */ place) => html`
          ${one.seq === firstNew && html`<li class="divider" key="new">${t("chat.new")}</li>`}
          <${Message} key=${one.seq} one=${one} before=${state.items[place - 1]} />`)}
        ${!state.hasLater && state.waiting.map((/** @type {any} */ one) => html`<${Waiting} key=${one.client_id} one=${one} onRetry=${() => send({ client_id: one.client_id, text: one.text })} onDiscard=${() => act({ type: "discarded", one })} />`)}
      </ol>
      ${state.hasLater && html`<p class="more"><button class="quiet" type="button" disabled=${isBusy} onClick=${() => load("after")}>${t("chat.later")}</button><button type="button" onClick=${() => latest().catch(say)}>${t("chat.latest")}</button></p>`}
    </div>
    <p class="hidden" role="status">${announced}</p>
    ${conversation.state === "requested"
      ? html`<div class="ask"><p>${t("chat.asks")}</p><${Answer} one=${conversation} onDone=${(/** @type {boolean} */ isAccepted) => isAccepted ? change({ conversation: { ...conversation, state: "joined" } }) : go("/chat")} /></div>`
      : html`<${Say} onSend=${send} />`}
  `;
}

/** @param {any} conversation @param {any[]} items */
function firstUnread(conversation, items) {
  if (!conversation.unread) return 0;
  return items.find((one) => one.seq > conversation.read_seq && !isOwn(one))?.seq ?? 0;
}

/** Where one writes. @param {{onSend: (one: {client_id: string, text: string}) => void}} properties */
function Say({ onSend }) {
  /** What was typed before the page was ours counts. */
  const [text, setText] = useState(() => /** @type {any} */ (document.getElementById("say"))?.value ?? "");
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!text.trim()) return;
    onSend({ client_id: crypto.randomUUID(), text });
    setText("");
  };
  // A keyboard on glass has no other key for a new line.
  const isSending = (/** @type {KeyboardEvent} */ { key, ctrlKey, metaKey, shiftKey, isComposing }) =>
    key === "Enter" && !isComposing && (ctrlKey || metaKey || (!shiftKey && matchMedia("(pointer: fine)").matches));
  return html`<form class="say" onSubmit=${send}><label class="hidden" for="say">${t("chat.write")}</label><textarea
    id="say" dir="auto" rows="1" placeholder=${t("chat.write")} value=${text}
    onInput=${(/** @type {any} */ event) => setText(event.target.value)}
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => isSending(event) && send(event)}
  ></textarea><button type="submit">${t("chat.send")}</button></form>`;
}
