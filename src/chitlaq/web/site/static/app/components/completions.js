/**
 * Suggests members after `@` and tags after `#` while somebody writes: a post, a message. It hears the field itself,
 * before whoever else does, so that Enter and the arrows are meant for the list while it is open.
 */

import { useEffect, useRef, useState } from "../../vendor/hooks.js";
import { folded } from "../../text.js";
import { send } from "../api.js";
import { count, html, t } from "../base.js";
import { me } from "../store.js";
import { avatar } from "./parts.js";

const MOST = 6;
const WAIT_MS = 150;
const BEGUN = /(?:^|[\s(])([@#])([\p{L}\p{N}_]{0,50})$/u;

/**
 * @typedef {{text: string, name: string, who: any}} Completion `text` is what it writes.
 * @typedef {{found: Completion[], active: number}} State
 * @type {State}
 */
const NONE = { found: [], active: -1 };

/**
 * @param {{of: string, members?: any[]}} properties `of` is the id of the text field; `members` are whom one can mention,
 *   where that is not everybody.
 */
export function Completions({ of, members }) {
  const [{ found, active }, setState] = useState(NONE);
  const list = `${of}-completions`;
  /** What the field's listeners find, whenever they are called. */
  const now = useRef(/** @type {any} */ ({}));
  const field = () => /** @type {HTMLTextAreaElement} */ (document.getElementById(of));
  const begun = () => {
    const { value, selectionStart, selectionEnd } = field();
    return selectionStart === selectionEnd ? BEGUN.exec(value.slice(0, selectionStart)) : null;
  };
  const close = () => {
    clearTimeout(now.current.wait);
    now.current.abort?.abort();
    setState(NONE);
  };
  const look = () => {
    clearTimeout(now.current.wait);
    now.current.abort?.abort();
    const typed = begun();
    if (!typed) return setState(NONE);
    const [, sign, begin] = typed;
    if (sign === "@" && members) return setState(offer(sign, among(members, begin)));
    if (!begin) return setState(NONE);
    const abort = (now.current.abort = new AbortController());
    now.current.wait = setTimeout(async () => {
      const all = await suggested(sign, begin, abort.signal);
      if (!abort.signal.aborted) setState(offer(sign, all));
    }, WAIT_MS);
  };
  const choose = (/** @type {Completion} */ one) => {
    const typed = begun();
    close();
    if (!typed) return;
    const end = field().selectionStart;
    field().setRangeText(`${one.text} `, end - typed[2].length, end, "end");
    field().dispatchEvent(new InputEvent("input", { bubbles: true }));
  };
  now.current.press = (/** @type {KeyboardEvent} */ event) => {
    if (found.length === 0 || event.isComposing || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) setState({ found, active: active < 0 && step < 0 ? found.length - 1 : (active + step + found.length) % found.length });
    else if (event.key === "Escape") close();
    else if ((event.key === "Enter" || event.key === "Tab") && active >= 0) choose(found[active]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  now.current.look = look;
  now.current.close = close;
  useEffect(() => {
    const form = /** @type {HTMLFormElement} */ (field().form);
    const hear = (/** @type {any} */ event) => {
      if (event.target.id !== of) return;
      if (event.type === "keydown") now.current.press(event);
      else if (event.type === "input") now.current.look();
      else now.current.close();
    };
    const kinds = ["keydown", "input", "focusout"];
    for (const kind of kinds) form.addEventListener(kind, hear, true);
    return () => {
      for (const kind of kinds) form.removeEventListener(kind, hear, true);
      clearTimeout(now.current.wait);
      now.current.abort?.abort();
    };
  }, [of]);
  // A field of several lines can be no combobox (ARIA in HTML): it has what a text box may have of one.
  useEffect(() => {
    const said = { "aria-autocomplete": "list", "aria-haspopup": "listbox", "aria-controls": list, "aria-activedescendant": active >= 0 && `${list}-${active}` };
    for (const [name, value] of Object.entries(said)) {
      if (found.length > 0 && value) field().setAttribute(name, value);
      else field()?.removeAttribute(name);
    }
  }, [found, active]);
  return html`
    <p class="hidden" role="status">${found.length > 0 && count("completions.found", found.length)}</p>
    ${found.length > 0 && html`<ul class="suggestions completions" id=${list} role="listbox" aria-label=${t("search.suggestions")}>${found.map((one, place) => html`
      <li
        key=${one.text} id=${`${list}-${place}`} role="option" aria-selected=${String(place === active)}
        onMouseDown=${(/** @type {Event} */ event) => event.preventDefault()} onClick=${() => choose(one)}
      >${one.who ? avatar(one.who) : html`<span class="icon" aria-hidden="true">#</span>`}<span><bdi>${one.name}</bdi>${one.who && html`${" "}<span class="handle">${`@${one.text}`}</span>`}</span></li>`)}</ul>`}
  `;
}

/** A tag that nobody has used yet is one, too: Enter then does what it does elsewhere. @param {string} sign @param {Completion[]} found @returns {State} */
const offer = (sign, found) => (found.length > 0 ? { found, active: sign === "@" ? 0 : -1 } : NONE);

/** @param {any} who @returns {Completion} */
const member = (who) => ({ text: who.username, name: who.display_name, who });

/** @param {any[]} members @param {string} begin */
function among(members, begin) {
  const wanted = folded(begin);
  const fits = members.filter(
    (who) => who.username !== me.value?.username && [who.username, ...folded(who.display_name).split(/\s+/)].some((one) => one.startsWith(wanted)),
  );
  return fits.slice(0, MOST).map(member);
}

/** @param {string} sign @param {string} begin @param {AbortSignal} signal @returns {Promise<Completion[]>} */
async function suggested(sign, begin, signal) {
  try {
    const answer = await send(`/api/search/suggest?q=${encodeURIComponent(sign + begin)}`, { method: "GET", signal });
    if (!answer.ok) return [];
    const { members, tags } = await answer.json();
    return sign === "@" ? members.map(member) : tags.map((/** @type {any} */ one) => ({ text: one.tag, name: `#${one.tag}`, who: null }));
  } catch {
    // Who types on, or has no connection, gets none.
    return [];
  }
}
