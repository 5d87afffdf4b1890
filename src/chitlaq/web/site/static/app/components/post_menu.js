/** What else can be done with a post: behind its last button. */

import { useEffect, useRef, useState } from "../../vendor/hooks.js";
import { ask, read } from "../api.js";
import { html, t } from "../base.js";
import { go } from "../router.js";
import { known, me, say } from "../store.js";
import { Menu } from "./menu.js";
import { addressOf } from "./post.js";
import { PostEditor } from "./post_editor.js";
import { Report } from "./report.js";

const QUOTABLE = ["public", "university"];

const deleting = () => import("../deleting.js");

/** @param {{post: any, at: Element, onClose: () => void}} properties */
export function PostMenu({ post, at, onClose }) {
  /** What follows the menu: a dialog. */
  const next = useRef("");
  const [step, setStep] = useState("menu");
  const href = addressOf(post);
  const isOwn = post.author.username === me.value?.username;
  const [isMuted, setMuted] = useState(false);
  useEffect(() => {
    // Without an answer one can mute it once more, which changes nothing.
    read(`/api/posts/${post.id}/mute`).then((found) => setMuted(found.is_muted), () => {});
    // Who deletes it sees it go at once.
    if (isOwn) deleting().catch(() => {});
  }, []);
  const then = (/** @type {string} */ name) => () => {
    next.current = name;
    setStep(name);
  };
  const tell = async (/** @type {() => Promise<any>} */ act, /** @type {string} */ done) => {
    try {
      await act();
      say(done);
    } catch (problem) {
      say(problem);
    }
  };
  const copy = () => tell(() => navigator.clipboard.writeText(location.origin + href), t("post.copied"));
  const mute = () => tell(() => ask("PUT", `/api/posts/${post.id}/mute`), t("post.muted"));
  const unmute = () => tell(() => ask("DELETE", `/api/posts/${post.id}/mute`), t("post.unmuted"));
  const detach = () =>
    tell(async () => {
      await ask("DELETE", `/api/posts/${post.quote.id}/quotes/${post.id}`);
      known(post).value = { ...post, quote: null, quote_of: null, quote_detached: true };
    }, t("post.detached"));
  const one = known(post);
  const hide = () => (one.value = { ...one.value, isGone: true });
  const show = () => (one.value = { ...one.value, isGone: false });
  const remove = () =>
    deleting().then(({ deleteLater }) => deleteLater(`/api/posts/${post.id}`, { done: t("post.deleted"), hide, show })).catch(say);
  /** @type {import("./menu.js").Entry[]} */
  const entries = [
    { label: t("post.copy"), act: copy },
    ...(QUOTABLE.includes(post.visibility) && (isOwn || post.quotable_by !== "nobody") ? [{ label: t("post.quote"), act: () => go(`/compose?quote=${post.id}`) }] : []),
    { label: t("post.likers"), act: () => go(`${href}/likes`) },
    { label: t("post.reposters"), act: () => go(`${href}/reposts`) },
    { label: t("post.quotes"), act: () => go(`${href}/quotes`) },
    ...(post.edited_at ? [{ label: t("post.history"), act: () => go(`${href}/history`) }] : []),
    ...(post.quote?.author.username === me.value?.username && !isOwn ? [{ label: t("post.detach"), act: detach }] : []),
    isMuted ? { label: t("post.unmute"), act: unmute } : { label: t("post.mute"), act: mute },
    ...(isOwn ? [{ label: t("post.edit"), act: then("edit") }, { label: t("post.delete"), act: remove, isDanger: true }] : [{ label: t("post.report"), act: then("report"), isDanger: true }]),
  ];
  if (step === "edit") return html`<${PostEditor} post=${post} onClose=${onClose} />`;
  if (step === "report") {
    return html`<${Report} path=${`/api/posts/${post.id}`} title=${t("report.post")} onClose=${onClose} />`;
  }
  return html`<${Menu} at=${at} label=${t("post.more")} entries=${entries} onClose=${() => next.current || onClose()} />`;
}
