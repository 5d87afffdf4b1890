/** The numbers in the navigation, as they change elsewhere; a session that ends elsewhere ends here. */

import { effect } from "../vendor/signals.js";
import { reached, read } from "./api.js";
import { isLive, listen } from "./socket.js";
import { unread } from "./store.js";

listen((frame) => {
  if (typeof frame.unread === "number" && frame.type.startsWith("notification")) unread.value = frame.unread;
  else if (frame.type === "notifications_gap") count();
});

/** Ask for the number, of which a part was missed. */
const count = () => read("/api/notifications?limit=1").then((told) => (unread.value = told.unread), () => undefined);

let wasLive = false;
effect(() => {
  if (!isLive.value) return;
  reached.value = true;
  if (wasLive) count();
  wasLive = true;
});
