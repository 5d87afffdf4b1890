/** A menu of actions, over everything else: it closes with Escape, a click beside it, or a choice. */

import { useLayoutEffect, useRef } from "../../vendor/hooks.js";
import { html } from "../base.js";

const EDGE_PX = 8;

/**
 * @typedef {{label: string, act: () => void, isDanger?: boolean}} Entry
 * @param {{at: Element, label: string, entries: Entry[], top?: any, onClose: () => void}} properties
 *   `at` is the button that it belongs to, `top` what stands above the entries: buttons of a role of menus.
 */
export function Menu({ at, label, entries, top, onClose }) {
  const menu = useRef(/** @type {any} */ (null));
  const items = () => [...menu.current.querySelectorAll("[role^=menuitem]")];
  useLayoutEffect(() => {
    menu.current.showPopover();
    place(menu.current, at);
    items()[0]?.focus();
  }, []);
  const press = (/** @type {KeyboardEvent} */ event) => {
    const all = items();
    const here = all.indexOf(document.activeElement);
    const to = {
      ArrowDown: here + 1, ArrowRight: here + 1, ArrowUp: here - 1, ArrowLeft: here - 1, Home: 0, End: -1,
    }[event.key];
    if (to === undefined) {
      if (event.key === "Tab") menu.current.hidePopover();
      return;
    }
    event.preventDefault();
    all.at(to % all.length).focus();
  };
  const choose = (/** @type {Entry} */ entry) => {
    // First the focus returns to the button, then the action may move it.
    menu.current.hidePopover();
    entry.act();
  };
  return html`
    <div
      class="menu" popover="auto" role="menu" aria-label=${label} ref=${menu} onKeyDown=${press}
      onToggle=${(/** @type {any} */ event) => event.newState === "closed" && onClose()}
    >
      ${top && html`<div class="menu-top" onClick=${() => menu.current.hidePopover()}>${top}</div>`}
      ${entries.map((one) => html`<button
        key=${one.label} class=${one.isDanger ? "menu-item danger" : "menu-item"} type="button" role="menuitem" tabindex="-1"
        onClick=${() => choose(one)}
      >${one.label}</button>`)}
    </div>
  `;
}

/** Below a button or above it, wherever there is room. @param {HTMLElement} menu @param {Element} button */
function place(menu, button) {
  const { top, bottom, left, right } = button.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const isBelow = bottom + height + EDGE_PX <= innerHeight;
  const y = isBelow ? bottom : Math.max(top - height, EDGE_PX);
  const x = left + width + EDGE_PX <= innerWidth ? left : Math.max(right - width, EDGE_PX);
  Object.assign(menu.style, { insetBlockStart: `${y}px`, left: `${x}px`, right: "auto" });
}
