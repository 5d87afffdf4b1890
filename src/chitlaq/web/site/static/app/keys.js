/**
 * The keyboard: single keys act where nobody writes, and can be switched off (WCAG 2.1.4). What each does is told by
 * `?` and at /settings/shortcuts.
 */

import { render } from "../vendor/preact.js";
import { read } from "./api.js";
import { html, t } from "./base.js";
import { Dialog } from "./components/dialog.js";
import { go } from "./router.js";
import { say } from "./store.js";

/** What is gone through with `j` and `k`. */
const ITEMS = "main :is(article.post, .told-one, .talk)";
/** Where keys are letters, and where something else waits for an answer. */
const FIELDS = "input, textarea, select, [contenteditable], [role=menu]";
const BUSY = "dialog[open], :popover-open";
const SEQUENCE_MS = 1500;
const MOST_TALKS = 50;

/** Keys and what they do, as templates/app/shortcuts.html lists them. */
const HELP = [
  ["j", "next"], ["k", "previous"], ["Enter", "open"], ["n", "write"], ["r", "reply"], ["l", "like"], ["b", "bookmark"],
  [".", "newer"], ["/", "search"], ["g h", "home"], ["g n", "notifications"], ["g c", "chat"], ["Alt ↑ ↓", "unread"],
  ["↑", "edit"], ["Ctrl Enter", "send"], ["?", "help"],
];

/** @type {Record<string, () => void>} */
const ACTS = {
  j: () => step(1),
  k: () => step(-1),
  Enter: () => press("a.time, a.snippet"),
  n: () => write(),
  r: reply,
  l: () => press(".like"),
  b: () => press(".bookmark"),
  // The button of components/fresh.js.
  ".": () => click(document.querySelector(".pill button")),
  "/": () => search(),
  "?": help,
  "g h": () => go("/home"),
  "g n": () => go("/notifications"),
  "g c": () => go("/chat"),
};

let isAfterG = false;
let forgetting = 0;

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey) return;
  const target = /** @type {Element} */ (event.target);
  if (document.querySelector(BUSY) || target.closest(FIELDS)) return;
  if (event.altKey) {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    event.preventDefault();
    unreadTalk(event.key === "ArrowDown" ? 1 : -1);
    return;
  }
  if (document.documentElement.dataset.keys === "off") return;
  // Enter on a link or a button is that link's or button's.
  if (event.key === "Enter" && !target.matches(ITEMS)) return;
  const pressed = isAfterG ? `g ${event.key}` : event.key;
  isAfterG = !isAfterG && event.key === "g";
  clearTimeout(forgetting);
  forgetting = setTimeout(() => (isAfterG = false), SEQUENCE_MS);
  const act = ACTS[pressed];
  if (act === undefined || target.matches("a.told-one, a.talk") && event.key === "Enter") return;
  event.preventDefault();
  act();
});

/** The item that has the focus, or something in it. @returns {HTMLElement | null | undefined} */
const current = () => document.activeElement?.closest(ITEMS);

/** Go to the next item, or the one before; first to the first that can be seen. @param {1 | -1} by */
function step(by) {
  const items = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(ITEMS)]);
  const at = items.indexOf(/** @type {any} */ (current()));
  const visible = items.findIndex((one) => one.getBoundingClientRect().bottom > 0);
  const next = items[at === -1 ? visible : at + by];
  if (next === undefined) return;
  // A link has the focus by itself.
  if (next.tabIndex < 0) next.tabIndex = -1;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

/** Press what is in the current item. @param {string} what */
function press(what) {
  click(current()?.querySelector(what));
}

/** @param {Element | null | undefined} found */
function click(found) {
  if (found instanceof HTMLElement) found.click();
}

/** Answer the current post, or the one that this page is about. */
function reply() {
  const post = current();
  if (post && !post.matches(".main")) click(post.querySelector("a.reply"));
  else field("main .composer textarea");
}

const write = () => fieldAt("/compose", "#text-home, #text-compose");

const search = () => fieldAt("/search", "main .search input");

/** Go to a field, here or where it is: whoever presses its key goes on to type. @param {string} path @param {string} which */
async function fieldAt(path, which) {
  if (field(which)) return;
  await go(path);
  // After the focus of the new screen's heading.
  requestAnimationFrame(() => field(which));
}

/** Go to a field, if it is there. @param {string} which */
function field(which) {
  /** @type {HTMLElement | null} */
  const found = document.querySelector(which);
  found?.focus();
  return found !== null;
}

/** Go to the next unread conversation, or the one before. @param {1 | -1} by */
async function unreadTalk(by) {
  try {
    const { items } = await read(`/api/conversations?limit=${MOST_TALKS}`);
    const here = location.pathname.split("/")[2];
    const some = items.filter((/** @type {any} */ one) => one.unread > 0 || one.id === here);
    const at = some.findIndex((/** @type {any} */ one) => one.id === here);
    const next = some[at === -1 && by < 0 ? some.length - 1 : at + by];
    if (next) await go(`/chat/${next.id}`);
    else say(t("keys.none-unread"));
  } catch (problem) {
    say(problem);
  }
}

const place = document.body.appendChild(document.createElement("div"));

function help() {
  const close = () => render(null, place);
  render(html`<${Dialog} title=${t("keys.title")} isRead onClose=${close}>
    <dl class="keys">${HELP.map(([keys, what]) => html`<div key=${what}><dt>${keys.split(" ").map((one) => html`<kbd>${one}</kbd>`)}</dt><dd>${t(`keys.${what}`)}</dd></div>`)}</dl>
    <div class="dialog-foot"><a class="button quiet" href="/settings/shortcuts">${t("keys.settings")}</a><button type="button" onClick=${(/** @type {any} */ event) => event.target.closest("dialog").close()}>${t("keys.close")}</button></div>
  <//>`, place);
}
