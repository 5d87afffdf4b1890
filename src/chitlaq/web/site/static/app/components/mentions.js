/** Suggests who takes part while a name is typed after `@`. */

import { useState } from "../../vendor/hooks.js";
import { folded } from "../../text.js";
import { html, t } from "../base.js";
import { me } from "../store.js";
import { avatar } from "./parts.js";

const MOST = 6;
const BEGUN = /(?:^|[\s(])@([\p{L}\p{N}_]{0,30})$/u;
/** @type {{found: any[], active: number, from: number}} */
const NONE = { found: [], active: 0, from: 0 };

/**
 * @param {{members: any[], field: {current: HTMLTextAreaElement}, onWrite: (text: string) => void}} properties
 * @returns {{look: () => void, press: (event: KeyboardEvent) => boolean, attributes: Record<string, string>, list: any}}
 *   `look` after each change; `press` says whether a key was meant for the suggestions.
 */
export function useMentions({ members, field, onWrite }) {
  const [{ found, active, from }, setState] = useState(NONE);
  const look = () => {
    const { value, selectionStart } = field.current;
    const begun = BEGUN.exec(value.slice(0, selectionStart));
    if (!begun) return setState(NONE);
    const wanted = folded(begun[1]);
    const fits = members.filter(
      (who) => who.username !== me.value?.username && [who.username, ...folded(who.display_name).split(/\s+/)].some((one) => one.startsWith(wanted)),
    );
    return setState({ found: fits.slice(0, MOST), active: 0, from: selectionStart - begun[1].length });
  };
  const choose = (/** @type {any} */ who) => {
    const { value, selectionStart } = field.current;
    const begin = `${value.slice(0, from)}${who.username} `;
    onWrite(begin + value.slice(selectionStart).trimStart());
    setState(NONE);
    requestAnimationFrame(() => {
      field.current.focus();
      field.current.setSelectionRange(begin.length, begin.length);
    });
  };
  const press = (/** @type {KeyboardEvent} */ event) => {
    if (found.length === 0) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) setState({ found, from, active: (active + step + found.length) % found.length });
    else if (event.key === "Enter" || event.key === "Tab") choose(found[active]);
    else if (event.key === "Escape") setState(NONE);
    else return false;
    event.preventDefault();
    return true;
  };
  const isOpen = found.length > 0;
  return {
    look,
    press,
    attributes: isOpen ? { "aria-autocomplete": "list", "aria-controls": "mentions", "aria-activedescendant": `mention-${active}` } : {},
    list: isOpen && html`<ul class="suggestions mentions" id="mentions" role="listbox" aria-label=${t("search.suggestions")}>${found.map((/** @type {any} */ who, /** @type {number} */ place) => html`
      <li
        key=${who.username} id=${`mention-${place}`} role="option" aria-selected=${String(place === active)}
        onMouseDown=${(/** @type {Event} */ event) => event.preventDefault()} onClick=${() => choose(who)}
      >${avatar(who)}<span><bdi>${who.display_name}</bdi> <span class="handle">${`@${who.username}`}</span></span></li>`)}</ul>`,
  };
}
