/** Chooses members by name. */

import { useEffect, useState } from "../../vendor/hooks.js";
import { read } from "../api.js";
import { html, t } from "../base.js";
import { me } from "../store.js";
import { avatar, icon } from "./parts.js";

const WAIT_MS = 200;

/** @param {{chosen: any[], onChange: (chosen: any[]) => void, without?: string[]}} properties `without` are usernames. */
export function People({ chosen, onChange, without = [] }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState(/** @type {any[]} */ ([]));
  const [isEmpty, setEmpty] = useState(false);
  useEffect(() => {
    let isOld = false;
    const wanted = text.trim();
    const looking = setTimeout(async () => {
      const page = wanted ? await read(`/api/search/suggest?q=${encodeURIComponent(wanted)}&limit=8`).catch(() => null) : { members: [] };
      if (isOld || page === null) return;
      setFound(page.members);
      setEmpty(wanted !== "" && page.members.length === 0);
    }, WAIT_MS);
    return () => {
      isOld = true;
      clearTimeout(looking);
    };
  }, [text]);
  const taken = new Set([me.value?.username, ...without, ...chosen.map((one) => one.username)]);
  const choose = (/** @type {any} */ one) => {
    onChange([...chosen, one]);
    setText("");
    document.getElementById("people")?.focus();
  };
  return html`
    ${chosen.length > 0 && html`<ul class="chosen" aria-label=${t("chat.chosen")}>${chosen.map((one) => html`<li key=${one.username}><bdi>${one.display_name}</bdi><button class="icon-link" type="button" aria-label=${t("chat.take-out", { name: one.display_name })} onClick=${() => onChange(chosen.filter((other) => other !== one))}>${icon("x")}</button></li>`)}</ul>`}
    <label for="people">${t("chat.people-label")}</label>
    <input id="people" type="search" dir="auto" autocomplete="off" maxlength="100" autofocus value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)} onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" && event.preventDefault()} />
    <ul class="people" aria-label=${t("search.suggestions")}>${found.filter((/** @type {any} */ one) => !taken.has(one.username)).map((/** @type {any} */ one) => html`<li key=${one.username}><button class="person" type="button" onClick=${() => choose(one)}>${avatar(one)}<span><bdi>${one.display_name}</bdi><span class="handle">${`@${one.username}`}</span></span></button></li>`)}</ul>
    <p class="handle" role="status">${isEmpty ? t("chat.nobody-found") : ""}</p>
  `;
}
