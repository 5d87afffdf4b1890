/** The conversations beside the one that is open, where there is room. */

import { useEffect, useState } from "../../vendor/hooks.js";
import { read } from "../api.js";
import { html, t } from "../base.js";
import { TalkList, reads } from "./talk_list.js";

/** What was shown last: from one conversation to the next, the list stays. @type {Record<string, any> | null} */
let latest = null;

/** @param {{current: string}} properties */
export function Beside({ current }) {
  const [data, setData] = useState(latest);
  useEffect(() => {
    if (data) return;
    Promise.all(Object.entries(reads("inbox")).map(async ([name, from]) => [name, await read(from)])).then(
      (parts) => setData(Object.fromEntries(parts)),
      () => {},
    );
  }, []);
  useEffect(() => {
    latest = data;
  }, [data]);
  return data && html`<nav class="beside" data-live aria-label=${t("chat.list")}><${TalkList} data=${data} current=${current} change=${(/** @type {any} */ some) => setData((/** @type {any} */ before) => ({ ...before, ...(typeof some === "function" ? some(before) : some) }))} /></nav>`;
}
