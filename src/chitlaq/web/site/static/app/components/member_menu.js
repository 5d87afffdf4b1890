/** What else can be done with a member: behind the last button of their profile. */

import { useRef, useState } from "../../vendor/hooks.js";
import { ask } from "../api.js";
import { html, t } from "../base.js";
import { say } from "../store.js";
import { Confirm } from "./dialog.js";
import { Menu } from "./menu.js";
import { Report } from "./report.js";

const DAY_MS = 86_400_000;

/** @param {{profile: any, change: (some: any) => void, at: Element, onClose: () => void}} properties */
export function MemberMenu({ profile, change, at, onClose }) {
  /** What follows the menu: a dialog. */
  const next = useRef("");
  const [step, setStep] = useState("menu");
  const path = `/api/users/${profile.username}`;
  const then = (/** @type {string} */ name) => () => {
    next.current = name;
    setStep(name);
  };
  const act = async (/** @type {string} */ method, /** @type {string} */ where, /** @type {any} */ changed, /** @type {string} */ done, /** @type {any} */ body = undefined) => {
    try {
      await ask(method, where, body);
      change({ profile: { ...profile, ...changed } });
      say(t(done));
    } catch (problem) {
      say(problem);
    }
  };
  const mute = (/** @type {number} */ days) => () =>
    act("PUT", `${path}/mute`, { is_muted: true }, "member.muted", { until: days ? new Date(Date.now() + days * DAY_MS).toISOString() : null });
  const copy = () => navigator.clipboard.writeText(`${location.origin}/@${profile.username}`).then(() => say(t("member.copied")), say);
  /** @type {import("./menu.js").Entry[]} */
  const entries = [
    { label: t("member.copy"), act: copy },
    ...(profile.is_muted
      ? [{ label: t("member.unmute"), act: () => act("DELETE", `${path}/mute`, { is_muted: false }, "member.unmuted") }]
      : [
          { label: t("member.mute-day"), act: mute(1) },
          { label: t("member.mute-week"), act: mute(7) },
          { label: t("member.mute"), act: mute(0) },
        ]),
    ...(profile.follows_you
      ? [{ label: t("member.remove"), act: () => act("DELETE", `/api/users/me/followers/${profile.username}`, { follows_you: false, following: profile.following - 1 }, "member.removed") }]
      : []),
    ...(profile.is_blocked ? [] : [{ label: t("member.block"), act: then("block"), isDanger: true }]),
    { label: t("member.report"), act: then("report"), isDanger: true },
  ];
  if (step === "report") return html`<${Report} path=${path} title=${t("member.report")} onClose=${onClose} />`;
  if (step === "block") {
    const answer = async (/** @type {boolean} */ isSure) => {
      if (isSure) {
        const changed = { is_blocked: true, is_followed: false, is_requested: false, follows_you: false };
        await act("PUT", `${path}/block`, changed, "member.blocked");
      }
      onClose();
    };
    return html`<${Confirm} title=${t("member.block-title", { name: profile.display_name })} text=${t("member.block-text")} action=${t("member.block")} onDone=${answer} />`;
  }
  return html`<${Menu} at=${at} label=${t("member.more")} entries=${entries} onClose=${() => next.current || onClose()} />`;
}
