/** Who is there and who types, of those who show it; soft state, never kept. */

import { useEffect } from "../vendor/hooks.js";
import { effect, signal, untracked } from "../vendor/signals.js";
import { isLive, listen, put } from "./socket.js";

const REPEAT_MS = 60_000;
const MOST_WATCHED = 100;

/** Usernames of who is connected. @type {{value: Set<string>}} */
export const online = signal(new Set());
/** Usernames of who types, by conversation. @type {{value: Map<string, string[]>}} */
export const typing = signal(new Map());

/** @type {Map<string, number>} */
const silences = new Map();
/** Whom the parts of the screen show: a connection has one watch for all. @type {Set<string[]>} */
const shown = new Set();

function watch() {
  const usernames = [...new Set([...shown].flat())].slice(0, MOST_WATCHED);
  online.value = new Set(usernames.filter((one) => online.value.has(one)));
  put({ type: "watch", usernames });
}

effect(() => {
  if (isLive.value && shown.size > 0) untracked(watch);
});
setInterval(() => shown.size > 0 && watch(), REPEAT_MS);

/** Watch whether these members are there, as long as a screen shows it, beside `useTyping`. @param {string[]} usernames */
export function usePresence(usernames) {
  useEffect(() => {
    if (usernames.length === 0) return undefined;
    shown.add(usernames);
    watch();
    return () => {
      shown.delete(usernames);
      watch();
    };
  }, [usernames.join()]);
}

/** Hear who types, as long as a screen shows it. @param {boolean} [isShown] */
export function useTyping(isShown = true) {
  useEffect(() => {
    const quiet = isShown ? listen(hear) : () => false;
    return () => {
      quiet();
    };
  }, [isShown]);
}

/** @param {import("./socket.js").Frame} frame */
function hear(frame) {
  if (frame.type === "presence") {
    const names = new Set(online.value);
    if (frame.online) names.add(frame.username);
    else names.delete(frame.username);
    online.value = names;
  } else if (frame.type === "typing") {
    types(frame.conversation_id, frame.username, true);
    clearTimeout(silences.get(frame.conversation_id + frame.username));
    const end = setTimeout(() => types(frame.conversation_id, frame.username, false), frame.seconds * 1000);
    silences.set(frame.conversation_id + frame.username, end);
  } else if (frame.type === "message" && frame.sender) types(frame.conversation_id, frame.sender.username, false);
}

/** @param {string} conversation @param {string} username @param {boolean} isTyping */
function types(conversation, username, isTyping) {
  const others = (typing.value.get(conversation) ?? []).filter((one) => one !== username);
  if (!isTyping && others.length === typing.value.get(conversation)?.length) return;
  typing.value = new Map(typing.value).set(conversation, isTyping ? [...others, username] : others);
}
