/** What a group is: its name and picture, who takes part in which role, and whom to add. */

import { useState } from "../../vendor/hooks.js";
import { Problem, ask, read } from "../api.js";
import { count, html, t } from "../base.js";
import { unfit } from "../files.js";
import { me, say } from "../store.js";
import { Dialog } from "./dialog.js";
import { Menu } from "./menu.js";
import { avatar, icon } from "./parts.js";
import { People } from "./people.js";
import { face } from "./talks.js";

const LOOK_MS = 500;
const MOST_LOOKS = 120;

/** @param {{conversation: any, change: (some: any) => void, onClose: () => void}} properties */
export function Group({ conversation, change, onClose }) {
  const [menu, setMenu] = useState(/** @type {any} */ (null));
  const [added, setAdded] = useState(/** @type {any[] | null} */ (null));
  const [isBusy, setBusy] = useState(false);
  const path = `/api/conversations/${conversation.id}`;
  const isAdmin = conversation.role !== "member" && conversation.state === "joined";
  const act = async (/** @type {() => Promise<unknown>} */ doing) => {
    setBusy(true);
    try {
      await doing();
    } catch (problem) {
      say(problem);
    }
    // What was done in part is shown, too.
    await read(path).then((found) => change({ conversation: found }), () => {});
    setBusy(false);
  };
  const rename = (/** @type {any} */ event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    act(() => ask("PATCH", path, { name: String(fields.get("name")).trim(), is_history_visible: fields.has("history") }));
  };
  const show = (/** @type {any} */ event) => {
    const [file] = event.target.files;
    if (file) act(async () => ask("PATCH", path, { picture_id: await uploaded(file) }));
  };
  const add = () =>
    act(async () => {
      for (const one of added ?? []) await ask("PUT", `${path}/members/${one.username}`);
      setAdded(null);
    });
  const put = (/** @type {any} */ who, /** @type {string} */ role) => act(() => ask("PUT", `${path}/members/${who.username}`, { role }));
  const remove = (/** @type {any} */ who) => act(() => ask("DELETE", `${path}/members/${who.username}`));
  const entriesOf = (/** @type {any} */ who) => {
    if (who.username === me.value?.username || !isAdmin) return [];
    const isOwner = conversation.role === "owner";
    const isMember = who.state === "joined";
    return [
      isOwner && isMember && who.role === "member" && { label: t("chat.make-admin"), act: () => put(who, "admin") },
      isOwner && isMember && who.role === "admin" && { label: t("chat.make-member"), act: () => put(who, "member") },
      isOwner && isMember && { label: t("chat.make-owner"), act: () => put(who, "owner") },
      (isOwner || who.role === "member") && { label: t(isMember ? "chat.remove" : "chat.take-back"), act: () => remove(who), isDanger: true },
    ].filter(Boolean);
  };
  return html`<${Dialog} title=${t("chat.group")} onClose=${onClose}>
    <div class="group-head">${face(conversation)}${isAdmin && html`<label class="button quiet">${icon("image-plus")}${t("chat.picture-choose")}<input class="hidden" type="file" accept="image/*" disabled=${isBusy} onChange=${show} /></label>`}${isAdmin && conversation.picture && html`<button class="quiet" type="button" disabled=${isBusy} onClick=${() => act(() => ask("PATCH", path, { picture_id: null }))}>${t("chat.picture-remove")}</button>`}</div>
    ${isAdmin && html`<form onSubmit=${rename}><label for="group-name">${t("chat.group-name")}</label><input id="group-name" name="name" dir="auto" maxlength="80" required autocomplete="off" defaultValue=${conversation.name} />
      <label class="check"><input type="checkbox" name="history" defaultChecked=${conversation.is_history_visible} />${t("chat.history-visible")}</label>
      <button class="quiet" type="submit" disabled=${isBusy}>${t("chat.save")}</button></form>`}
    <h3>${count("chat.people", conversation.members.length)}</h3>
    <ul class="people">${conversation.members.map((/** @type {any} */ who) => html`<li class="person" key=${who.username}>${avatar(who)}<span><bdi>${who.display_name}</bdi><span class="handle">${who.state === "joined" ? who.role === "member" ? `@${who.username}` : t(`chat.role.${who.role}`) : t("chat.invited")}</span></span>${entriesOf(who).length > 0 && html`<button class="icon-link" type="button" aria-haspopup="menu" aria-label=${t("chat.person-tools", { name: who.display_name })} disabled=${isBusy} onClick=${(/** @type {any} */ event) => setMenu({ who, at: event.currentTarget })}>${icon("ellipsis")}</button>`}</li>`)}</ul>
    ${isAdmin && (added
      ? html`<form onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), add())}><${People} chosen=${added} onChange=${setAdded} without=${conversation.members.map((/** @type {any} */ who) => who.username)} /><button type="submit" disabled=${isBusy || added.length === 0}>${t("chat.add-them")}</button></form>`
      : html`<button class="quiet" type="button" onClick=${() => setAdded([])}>${icon("user-plus")}${t("chat.add")}</button>`)}
    <div class="dialog-foot"><button type="button" onClick=${onClose}>${t("dialog.close")}</button></div>
    ${menu && html`<${Menu} at=${menu.at} label=${t("chat.person-tools", { name: menu.who.display_name })} entries=${entriesOf(menu.who).map((/** @type {any} */ one) => ({ ...one, act: () => (setMenu(null), one.act()) }))} onClose=${() => setMenu(null)} />`}
  <//>`;
}

/** Upload a picture, and wait until it can be shown. @param {File} file @returns {Promise<string>} Its id. */
async function uploaded(file) {
  const why = unfit(file);
  if (why) throw new Problem(422, { detail: why });
  const form = new FormData();
  form.append("file", file);
  let picture = await ask("POST", "/api/media", form);
  for (let look = 0; picture.state === "processing" && look < MOST_LOOKS; look += 1) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    picture = await read(`/api/media/${picture.id}`);
  }
  if (picture.state !== "ready") throw new Problem(422, { detail: picture.reason ?? t("chat.picture-slow") });
  return picture.id;
}
