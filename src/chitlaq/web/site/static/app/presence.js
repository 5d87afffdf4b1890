/** Who is there and who types, of those who show it; soft state, never kept. */

import { useEffect } from "../vendor/hooks.js";
import { effect, signal } from "../vendor/signals.js";
import { isLive, listen, put } from "./socket.js";

const REPEAT_MS = 60_000;
const MOST_WATCHED = 100;

/** Usernames of who is connected. @type {{value: Set<string>}} */
export const online = signal(new Set());
/** Usernames of who types, by conversation. @type {{value: Map<string, string[]>}} */
export const typing = signal(new Map());

/** @type {Map<string, number>} */
const silences = new Map();

/** Watch whether these members are there, as long as a screen shows it, beside `useTyping`. @param {string[]} usernames */
export function usePresence(usernames) {
  const asked = usernames.slice(0, MOST_WATCHED);
  useEffect(() => {
    if (asked.length === 0) return undefined;
    const watch = () => put({ type: "watch", usernames: asked });
    const stop = effect(() => {
      if (isLive.value) watch();
    });
    const repeating = setInterval(watch, REPEAT_MS);
    return () => {
      stop();
      clearInterval(repeating);
      online.value = new Set();
    };
  }, [asked.join()]);
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
