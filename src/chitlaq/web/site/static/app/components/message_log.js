/** The messages of a conversation, live; templates/app/conversation.html makes the same nodes. */

import { useEffect, useLayoutEffect, useReducer, useRef, useState } from "../../vendor/hooks.js";
import { ask, reached, read } from "../api.js";
import { count, html, t } from "../base.js";
import { go } from "../router.js";
import { isLive, leave, listen, follow, note, put } from "../socket.js";
import { me, say } from "../store.js";
import { Message, Waiting, isOwn, nameOf } from "./message.js";
import { changed, held, reacted } from "./messages.js";
import { icon } from "./parts.js";
import { Say } from "./say.js";
import { Answer } from "./talks.js";

const NEAR_PX = 60;
const CALM_MS = 1000;
/** Messages of a page. */
const PAGE = 50;

/**
 * @param {{path: string, conversation: any, page: any, at: string | undefined, change: (some: any) => void}} properties
 *   `at` is the message or the moment that was asked for.
 */
export function Log({ path, conversation, page, at, change }) {
  const { id } = conversation;
  const [state, act] = useReducer(changed, page, held);
  const [firstNew, setFirstNew] = useState(() => firstUnread(conversation, page.items));
  const [target, setTarget] = useState(() => targetOf(at, page.items));
  const [announced, setAnnounced] = useState("");
  const [isBusy, setBusy] = useState(false);
  /** How many arrived below what one reads; -1 at the end. */
  const [below, setBelow] = useState(-1);
  const [tabbed, setTabbed] = useState(0);
  const [menu, setMenu] = useState(/** @type {any} */ (null));
  const [mode, setMode] = useState({});
  const [given, setGiven] = useState(/** @type {any} */ (null));
  const [quotes, setQuotes] = useState(/** @type {Record<number, any>} */ ({}));
  const [outbox, setOutbox] = useState(/** @type {any} */ (null));
  const log = useRef(/** @type {HTMLElement} */ (/** @type {unknown} */ (null)));
  // What listeners see of the latest rendering.
  const now = useRef(/** @type {any} */ ({ isAtEnd: true, isKept: false, kept: null, read: conversation.read_seq, arrived: [] }));
  Object.assign(now.current, { state, conversation });
  const { items, hasEarlier, hasLater } = state;
  const last = items.at(-1);
  const isMember = conversation.state === "joined";
  const waiting = outbox
    ? outbox.waiting.value.filter((/** @type {any} */ one) => one.queue === id && !items.some((/** @type {any} */ known) => known.client_id === one.id))
    : [];

  const markRead = () => {
    const { isAtEnd, isKept, state: known, read: until } = now.current;
    const latest = known.items.at(-1)?.seq ?? 0;
    if (!isAtEnd || isKept || known.hasLater || latest <= until || !isMember) return;
    if (document.visibilityState !== "visible" || !document.hasFocus()) return;
    now.current.read = latest;
    ask("POST", `${path}/read`, { seq: latest }).catch(() => (now.current.read = until));
  };
  const look = () => {
    const { scrollHeight, scrollTop, clientHeight } = log.current;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    now.current.isAtEnd = isAtEnd;
    setBelow((/** @type {number} */ n) => (isAtEnd && !now.current.state.hasLater ? -1 : Math.max(n, 0)));
    markRead();
  };

  // Begin where reading ended; then follow the end, or stay where the reader is.
  useLayoutEffect(() => {
    const divider = log.current.querySelector(".divider");
    if (divider instanceof HTMLElement) log.current.scrollTop = divider.offsetTop - log.current.offsetTop - NEAR_PX;
    else log.current.scrollTop = log.current.scrollHeight;
    look();
    if (items.length === 0 && hasEarlier) latest().catch(say);
  }, []);
  useLayoutEffect(() => {
    /** @type {HTMLElement | null} */
    const row = log.current.querySelector(".target");
    if (!row) return;
    now.current.isAtEnd = false;
    row.scrollIntoView({ block: "center" });
    row.focus({ preventScroll: true });
    look();
  }, [target]);
  useLayoutEffect(() => {
    const { kept, isAtEnd } = now.current;
    now.current.kept = null;
    const row = kept && log.current.querySelector(`[data-seq="${kept.seq}"]`);
    if (row) log.current.scrollTop += row.getBoundingClientRect().top - kept.top;
    else if (isAtEnd) log.current.scrollTop = log.current.scrollHeight;
    markRead();
  }, [state, waiting.length]);
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
    const found = await read(`${path}/messages?limit=${PAGE}`);
    act({ type: "page", page: found });
    reach(found);
  };
  const toEnd = () => {
    if (now.current.state.hasLater) latest().catch(say);
    else log.current.scrollTop = log.current.scrollHeight;
  };
  /** The end is held again: hear of what came since it was read. @param {any} page */
  const reach = ({ has_later, items: found }) => has_later || !isMember || follow(id, found.at(-1)?.seq ?? 0);
  const announce = () => {
    const { arrived } = now.current;
    now.current.arrived = [];
    const [one] = arrived;
    setAnnounced(arrived.length === 1 ? `${nameOf(one)}: ${one.text || t("chat.picture")}` : t("chat.arrived", { n: arrived.length }));
  };
  // Several frames may come before the next rendering.
  const know = (/** @type {any} */ found) => {
    now.current.conversation = found;
    change({ conversation: found });
  };
  const hear = (/** @type {any} */ frame) => {
    if (frame.conversation_id !== id) return;
    if (frame.type === "message") {
      const { state: known, arrived } = now.current;
      if (!isOwn(frame) && frame.seq > (known.items.at(-1)?.seq ?? 0)) {
        if (arrived.length === 0) setTimeout(announce, CALM_MS);
        arrived.push(frame);
        if (!now.current.isAtEnd) setBelow((/** @type {number} */ n) => Math.max(n, 0) + 1);
      }
      act({ type: "arrived", message: frame, isAtEnd: now.current.isAtEnd });
    } else if (frame.type === "message_changed") changeOne(frame);
    else if (frame.type === "gap") now.current.state.hasLater || latest().catch(say);
    else if (frame.type === "read") {
      know(readUntil(now.current.conversation, frame));
    } else if (frame.type === "conversation_changed") {
      read(path).then(
        (found) => know(asRead(found, now.current.conversation)),
        ({ status }) => {
          if (status === 404) go("/chat");
        },
      );
    }
  };
  useEffect(() => {
    if (!isMember) return undefined;
    const quiet = listen(hear);
    // What follows a hole is read when the reader comes there.
    follow(id, page.has_later ? conversation.last_seq : (page.items.at(-1)?.seq ?? 0));
    return () => {
      quiet();
      leave(id);
    };
  }, [isMember]);
  useEffect(() => {
    if (!hasLater) note(id, last?.seq ?? 0);
  }, [last?.seq]);
  // What is shown when one comes back, or without a connection, is as new.
  useEffect(() => {
    if (hasLater || items === page.items) return;
    change({ messages: { ...page, items: items.slice(-PAGE), has_earlier: hasEarlier || items.length > PAGE, has_later: false } });
  }, [items]);
  useEffect(() => {
    let stop = () => {};
    let isGone = false;
    import("../outbox.js").then((found) => {
      if (isGone) return;
      setOutbox(found);
      stop = found.onSent((item, message) => {
        if (item.queue === id) act({ type: "arrived", message, isAtEnd: now.current.isAtEnd });
      });
    });
    return () => {
      isGone = true;
      stop();
    };
  }, []);

  const load = async (/** @type {"before" | "after"} */ side) => {
    const edge = side === "before" ? items[0] : last;
    setBusy(true);
    try {
      const found = await read(`${path}/messages?limit=${PAGE}&${side}=${edge.seq}`);
      const row = log.current.querySelector(`[data-seq="${edge.seq}"]`);
      now.current.kept = row && { seq: edge.seq, top: row.getBoundingClientRect().top };
      now.current.isAtEnd = false;
      act({ type: side, page: found });
      if (side === "after") reach(found);
    } catch (problem) {
      say(problem);
    }
    setBusy(false);
  };
  const send = async (/** @type {{text: string, reply_to?: number}} */ body, /** @type {any} */ draft) => {
    const { pictures, before, id: client_id } = draft;
    now.current.isAtEnd = true;
    try {
      const { put: keep } = await import("../outbox.js");
      await keep({ id: client_id, queue: id, path: `${path}/messages`, body: { ...body, client_id }, pictures, before });
    } catch (problem) {
      // This browser keeps nothing.
      say(problem);
      return false;
    }
    if (now.current.state.hasLater) latest().catch(say);
    return true;
  };
  const rewrite = async (/** @type {any} */ one) => {
    if (!(await outbox.discard(one, true))) return;
    const answered = items.find((/** @type {any} */ other) => other.seq === one.body.reply_to) ?? quotes[one.body.reply_to];
    setMode(answered ? { reply: answered } : {});
    setGiven({ text: one.body.text, pictures: one.pictures ?? [], id: one.id, before: outbox.versions(one) });
  };
  const changeOne = (/** @type {any} */ message) => {
    act({ type: "changed", message });
    setQuotes((/** @type {any} */ known) => (message.seq in known ? { ...known, [message.seq]: message } : known));
  };
  // What is answered may be out of sight; of one that is gone, nothing comes.
  const answered = items.map((/** @type {any} */ one) => one.reply_to).find((/** @type {number} */ seq) => seq && !(seq in quotes) && !items.some((/** @type {any} */ one) => one.seq === seq));
  useEffect(() => {
    if (!answered) return;
    read(`${path}/messages?around=${answered}&limit=1`).then(
      ({ items: [one] }) => setQuotes((/** @type {any} */ known) => ({ ...known, [answered]: one?.seq === answered ? one : null })),
      () => {},
    );
  }, [answered]);
  const edit = async (/** @type {string} */ text) => {
    try {
      changeOne(await ask("PATCH", `${path}/messages/${/** @type {any} */ (mode).edit.seq}`, { text }));
      return true;
    } catch (problem) {
      say(problem);
      return false;
    }
  };
  const editLast = () => {
    const own = items.findLast((/** @type {any} */ one) => isOwn(one) && !one.deleted && !one.event);
    if (own) setMode({ edit: own });
  };
  const react = async (/** @type {any} */ one, /** @type {string} */ emoji) => {
    const isMine = !one.reactions[emoji]?.mine;
    changeOne(reacted(one, emoji, isMine));
    try {
      await ask(isMine ? "PUT" : "DELETE", `${path}/messages/${one.seq}/reactions/${encodeURIComponent(emoji)}`);
    } catch (problem) {
      changeOne(one);
      say(problem);
    }
  };
  const markUnread = async (/** @type {any} */ one) => {
    try {
      await ask("POST", `${path}/unread`, { seq: one.seq });
      // As long as one stays here, it remains so.
      now.current.isKept = true;
      setFirstNew(one.seq);
      say(t("chat.marked-unread"));
    } catch (problem) {
      say(problem);
    }
  };
  const doing = {
    onTools: (/** @type {number} */ seq, /** @type {Element} */ button) => {
      setTabbed(seq);
      setMenu({ seq, at: button });
    },
    onReact: react,
    onJump: (/** @type {number} */ seq, /** @type {MouseEvent} */ event) => {
      if (!items.some((/** @type {any} */ one) => one.seq === seq) || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      setTarget(0);
      requestAnimationFrame(() => setTarget(seq));
    },
  };
  // Tab comes to one menu; arrows go from there to those of other messages.
  const move = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const all = [...log.current.querySelectorAll("button.tools")];
    const place = all.indexOf(/** @type {any} */ (event.target));
    const next = step && place >= 0 && all[place + step];
    if (!(next instanceof HTMLElement)) return;
    event.preventDefault();
    next.focus();
    setTabbed(Number(next.closest("li")?.dataset.seq));
  };
  const stop = items.findLast((/** @type {any} */ one) => one.seq === tabbed && !one.deleted) ?? items.findLast((/** @type {any} */ one) => !one.event && !one.deleted);
  const chosen = menu && items.find((/** @type {any} */ one) => one.seq === menu.seq);
  const seen = seenBy(conversation, last);

  return html`
    <div class="log" role="log" aria-live="off" tabindex="0" aria-label=${t("chat.log")} ref=${log} onScroll=${look} onKeyDown=${move}>
      ${hasEarlier && html`<p class="more"><button class="quiet" type="button" disabled=${isBusy} onClick=${() => load("before")}>${t("chat.earlier")}</button></p>`}
      ${items.length === 0 && !hasEarlier && waiting.length === 0 && html`<p class="note">${t("chat.quiet")}</p>`}
      <ol class="messages">
        ${items.flatMap((/** @type {any} */ one, /** @type {number} */ place) => [
          one.seq === firstNew && html`<li class="divider" key="new">${t("chat.new")}</li>`,
          html`<${Message}
            key=${one.seq} one=${one} before=${items[place - 1]} path=${`/chat/${id}`} isTarget=${one.seq === target} isTabbed=${one === stop} doing=${doing}
            quoted=${one.reply_to && (items.find((/** @type {any} */ other) => other.seq === one.reply_to) ?? quotes[one.reply_to])}
          />`,
        ])}
        ${!hasLater && waiting.map((/** @type {any} */ one) => html`<${Waiting} key=${one.id} one=${one} isLive=${isLive.value && reached.value} onRetry=${() => outbox.retry(one)} onEdit=${() => rewrite(one)} onDiscard=${() => outbox.discard(one)} />`)}
      </ol>
      ${seen && !hasLater && waiting.length === 0 && html`<p class="seen">${seen}</p>`}
      ${hasLater && html`<p class="more"><button class="quiet" type="button" disabled=${isBusy} onClick=${() => load("after")}>${t("chat.later")}</button></p>`}
    </div>
    <p class="hidden" role="status">${announced}</p>
    ${below >= 0 && html`<div class="to-end" data-live><button class="quiet" type="button" onClick=${toEnd}>${icon("arrow-down")}${below > 0 ? count("chat.below", below) : t("chat.latest")}</button></div>`}
    ${conversation.state === "requested"
      ? html`<div class="ask"><p>${t("chat.asks")}</p><${Answer} one=${conversation} onDone=${(/** @type {boolean} */ isAccepted) => isAccepted ? change({ conversation: { ...conversation, state: "joined" } }) : go("/chat")} /></div>`
      : html`<${Say} id=${id} members=${conversation.kind === "group" ? conversation.members : []} mode=${mode} onMode=${setMode} given=${given} onSend=${send} onEdit=${edit} onEditLast=${editLast} onTyping=${() => put({ type: "typing", conversation_id: id })} />`}
    ${chosen && html`<${Tools} one=${chosen} at=${menu.at} conversation=${conversation} onClose=${() => setMenu(null)} onReply=${() => setMode({ reply: chosen })} onEdit=${() => setMode({ edit: chosen })} onReact=${(/** @type {string} */ emoji) => react(chosen, emoji)} onUnread=${() => markUnread(chosen)} onChanged=${changeOne} />`}
  `;
}

/** A message's menu, loaded when the first is opened. @param {any} properties */
function Tools(properties) {
  const [found, setFound] = useState(/** @type {any} */ (null));
  useEffect(() => {
    import("./message_menu.js").then(setFound, say);
  }, []);
  return found && html`<${found.MessageMenu} ...${properties} />`;
}

/** @param {any} conversation @param {any[]} items */
function firstUnread(conversation, items) {
  if (!conversation.unread) return 0;
  return items.find((one) => one.seq > conversation.read_seq && !isOwn(one))?.seq ?? 0;
}

/** The number of the message that was asked for, or of the first from a moment on. @param {string | undefined} at @param {any[]} items */
function targetOf(at, items) {
  if (!at) return 0;
  return /^\d+$/.test(at) ? Number(at) : (items[0]?.seq ?? 0);
}

/** Who has seen the last message, if it is the reader's own. @param {any} conversation @param {any} last */
function seenBy(conversation, last) {
  if (!last || !isOwn(last)) return "";
  const readers = conversation.members.filter((/** @type {any} */ who) => who.username !== me.value?.username && who.read_seq >= last.seq);
  if (readers.length === 0) return "";
  return conversation.kind === "direct" ? t("chat.seen") : t("chat.seen-by", { n: readers.length });
}

/** A conversation in which somebody has read on. @param {any} conversation @param {{username: string, seq: number}} frame */
function readUntil(conversation, { username, seq }) {
  const members = conversation.members.map((/** @type {any} */ who) => (who.username === username ? { ...who, read_seq: seq } : who));
  return { ...conversation, members };
}

/** A conversation that was just read, in which nobody has read less than was known. @param {any} found @param {any} known */
function asRead(found, known) {
  const until = new Map(known.members.map((/** @type {any} */ who) => [who.username, who.read_seq]));
  const members = found.members.map((/** @type {any} */ who) =>
    who.read_seq === null ? who : { ...who, read_seq: Math.max(who.read_seq, until.get(who.username) ?? 0) },
  );
  return { ...found, members };
}
