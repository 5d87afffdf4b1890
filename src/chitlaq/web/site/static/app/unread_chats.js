/** In how many conversations something is unread: the number in the navigation, as it changes. */

import { effect } from "../vendor/signals.js";
import { read } from "./api.js";
import { isLive, listen } from "./socket.js";
import { chats } from "./store.js";

const CALM_MS = 1000;
/** What may change the number. */
const CHANGES = new Set(["message", "message_changed", "conversation_changed", "read"]);

let waiting = 0;
let wasLive = false;

function count() {
  waiting ||= setTimeout(async () => {
    waiting = 0;
    const totals = await read("/api/conversations/unread").catch(() => null);
    if (totals) chats.value = totals.conversations + totals.requests;
  }, CALM_MS);
}

listen(({ type }) => CHANGES.has(type) && count());
effect(() => {
  if (!isLive.value) return;
  if (wasLive) count();
  wasLive = true;
});
