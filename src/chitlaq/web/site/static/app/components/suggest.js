/** Where one types what to search for, with suggestions (ARIA's combobox); templates/app/search.html makes the same nodes. */

import { useEffect, useRef, useState } from "../../vendor/hooks.js";
import { send } from "../api.js";
import { html, t } from "../base.js";
import { go } from "../router.js";
import { avatar, icon } from "./parts.js";

const WAIT_MS = 150;

/** @typedef {{key: string, href: string, sign: any, text: string, more: string}} Suggestion */

/** @param {{q: string, kind: string}} properties */
export function SearchBox({ q, kind }) {
  const [found, setFound] = useState(/** @type {Suggestion[]} */ ([]));
  const [active, setActive] = useState(-1);
  const asking = useRef({ wait: 0, abort: new AbortController() });
  const isOpen = found.length > 0;
  const stop = () => {
    clearTimeout(asking.current.wait);
    asking.current.abort.abort();
  };
  const close = () => {
    stop();
    setFound([]);
    setActive(-1);
  };
  useEffect(() => stop, []);
  const type = (/** @type {any} */ event) => {
    const text = event.target.value.trim();
    stop();
    if (!text) return close();
    const abort = new AbortController();
    const wait = setTimeout(async () => {
      const suggested = await suggestions(text, abort.signal);
      if (abort.signal.aborted) return;
      setFound(suggested);
      setActive(-1);
    }, WAIT_MS);
    asking.current = { wait, abort };
  };
  const choose = (/** @type {Suggestion} */ one) => {
    close();
    go(one.href);
  };
  const press = (/** @type {KeyboardEvent} */ event) => {
    if (!isOpen) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    // Beyond both ends is what was typed.
    if (step) setActive(((active + 1 + step + found.length + 1) % (found.length + 1)) - 1);
    else if (event.key === "Enter" && active >= 0) choose(found[active]);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  };
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    const text = event.target.elements.q.value.trim();
    close();
    go(`/search?q=${encodeURIComponent(text)}&type=${kind}`);
  };
  return html`
    <form class="search" role="search" action="/search" method="get" onSubmit=${submit}>
      <label class="hidden" for="q">${t("search.label")}</label>
      <input
        id="q" name="q" type="search" defaultValue=${q} maxlength="100" autocomplete="off" enterkeyhint="search"
        placeholder=${t("search.label")} dir="auto" role="combobox" aria-expanded=${String(isOpen)} aria-controls="suggestions"
        aria-autocomplete="list" aria-activedescendant=${active >= 0 ? `suggestion-${active}` : undefined}
        onInput=${type} onKeyDown=${press} onBlur=${close}
      />
      <input type="hidden" name="type" value=${kind} />
      <button type="submit">${icon("search")}<span class="hidden">${t("search.go")}</span></button>
      <ul class="suggestions" id="suggestions" role="listbox" aria-label=${t("search.suggestions")} hidden=${!isOpen}>${found.map((one, place) => html`
        <li
          key=${one.key} id=${`suggestion-${place}`} role="option" aria-selected=${String(place === active)}
          onMouseDown=${(/** @type {Event} */ event) => event.preventDefault()} onClick=${() => choose(one)}
        >${one.sign}<span><bdi>${one.text}</bdi>${one.more && html`${" "}<span class="handle">${one.more}</span>`}</span></li>`)}</ul>
    </form>
  `;
}

/** @param {string} text @param {AbortSignal} signal @returns {Promise<Suggestion[]>} */
async function suggestions(text, signal) {
  try {
    const answer = await send(`/api/search/suggest?q=${encodeURIComponent(text)}`, { method: "GET", signal });
    if (!answer.ok) return [];
    const { members, tags, conversations, searches } = await answer.json();
    return [
      ...searches.map((/** @type {string} */ one) => suggestion(`/search?q=${encodeURIComponent(one)}`, icon("search"), one)),
      ...members.map((/** @type {any} */ one) => suggestion(`/@${one.username}`, avatar(one), one.display_name, `@${one.username}`)),
      ...tags.map((/** @type {any} */ one) => suggestion(`/tags/${encodeURIComponent(one.tag)}`, html`<span class="icon" aria-hidden="true">#</span>`, `#${one.tag}`)),
      ...conversations.map((/** @type {any} */ one) => suggestion(`/chat/${one.id}`, icon("message-square"), one.name)),
    ];
  } catch {
    // Who types on, or has no connection, gets none.
    return [];
  }
}

/** @param {string} href @param {any} sign @param {string} text @returns {Suggestion} */
function suggestion(href, sign, text, more = "") {
  return { key: href, href, sign, text, more };
}
