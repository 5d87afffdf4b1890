/** A member's page; templates/app/profile.html makes the same nodes. */

import { useRef, useState } from "../../vendor/hooks.js";
import { ask } from "../api.js";
import { count, html, t } from "../base.js";
import { Feed } from "../components/feed.js";
import { avatar, blank, icon, written } from "../components/parts.js";
import { go, retry } from "../router.js";
import { me, say } from "../store.js";

/** @param {Record<string, string>} parameters */
const path = ({ handle }) => `/api/users/${encodeURIComponent(handle)}`;

/** @param {Record<string, string>} parameters */
export const reads = (parameters) => ({
  profile: path(parameters), posts: `${path(parameters)}/posts?limit=20`,
});

/** @param {import("../router.js").Shown} shown */
export const title = ({ data }) => data.profile.display_name;

/** @param {import("../router.js").Shown} properties */
export function View({ parameters, data, change }) {
  const { profile } = data;
  const isOwn = me.value?.username === profile.username;
  const where = profile.department ? `${profile.department}, ${profile.university}` : profile.university;
  return html`
    <section class="profile">
      ${profile.banner_url && html`<img class="profile-banner" src=${profile.banner_url} alt="" width="600" height="200" />`}
      <div class="profile-top">${avatar(profile, 88)}<div class="profile-doors">${isOwn
        ? html`<a class="button quiet" href="/settings/profile">${t("member.edit")}</a>`
        : html`${profile.is_blocked
          ? html`<${Unblock} profile=${profile} change=${change} />`
          : html`<${Message} profile=${profile} /><${Follow} profile=${profile} change=${change} />`}<${MenuButton} profile=${profile} change=${change} />`}</div></div>
      <h1 tabindex="-1"><bdi>${profile.display_name}</bdi></h1>
      <p class="handle">${`@${profile.username}`}${profile.pronouns && html`<bdi class="pronouns">${profile.pronouns}</bdi>`}${profile.follows_you && html`<span class="follows">${t("profile.follows-you")}</span>`}</p>
      ${profile.bio && html`<div class="text" dir="auto">${written(profile.bio)}</div>`}
      <p class="where">${icon("graduation-cap")}<span dir="auto">${where}${profile.graduation_year && ` · ${t("member.class", { year: profile.graduation_year })}`}</span></p>
      ${profile.fields.length > 0 && html`<dl class="lines">${profile.fields.map((/** @type {any} */ one) => html`<div><dt dir="auto">${one.name}</dt><dd dir="auto">${written(one.value)}</dd></div>`)}</dl>`}
      <p class="counts"><span>${count("profile.posts", profile.posts)}</span>${list(profile, "followers", "followers", profile.followers)}${list(profile, "followed", "following", profile.following)}</p>
    </section>
    ${profile.is_blocked
      ? html`<p class="note">${icon("ban")}${t("member.is-blocked")}</p>`
      : profile.is_private && !profile.is_followed && !isOwn
      ? html`<p class="note">${icon("lock")}${t("profile.private")}</p>`
      : html`<${Feed} page=${data.posts} path=${`${path(parameters)}/posts?limit=20`} empty=${isOwn ? blank(t("profile.empty"), "/compose", t("shell.write")) : html`<p class="note">${t("profile.empty")}</p>`} onMore=${(/** @type {any} */ posts) => change({ posts })} />`}
  `;
}

/** A number, which leads to those whom it counts if one may see them. @param {any} profile @param {string} key @param {string} name @param {number} n */
function list(profile, key, name, n) {
  const text = count(`profile.${key}`, n);
  return profile.shows_followers ? html`<a href=${`/@${profile.username}/${name}`}>${text}</a>` : html`<span>${text}</span>`;
}

/** What else can be done, loaded when it is asked for. @param {{profile: any, change: (some: any) => void}} properties */
function MenuButton({ profile, change }) {
  const button = useRef(/** @type {any} */ (null));
  const [Menu, setMenu] = useState(/** @type {any} */ (null));
  const open = async () => {
    const { MemberMenu } = await import("../components/member_menu.js");
    setMenu(() => MemberMenu);
  };
  return html`<button class="icon-link" type="button" aria-haspopup="menu" aria-label=${t("member.more")} ref=${button} onClick=${open}>${icon("ellipsis")}</button>${Menu && html`<${Menu} profile=${profile} change=${change} at=${button.current} onClose=${() => setMenu(null)} />`}`;
}

/** @param {{profile: any, change: (some: any) => void}} properties */
function Unblock({ profile, change }) {
  const unblock = async () => {
    try {
      await ask("DELETE", `/api/users/${profile.username}/block`);
      change({ profile: { ...profile, is_blocked: false } });
      say(t("member.unblocked"));
      await retry();
    } catch (problem) {
      say(problem);
    }
  };
  return html`<button type="button" onClick=${unblock}>${t("member.unblock")}</button>`;
}

/** Opens the conversation with a member, or begins it. @param {{profile: any}} properties */
function Message({ profile }) {
  const open = async () => {
    try {
      const { id } = await ask("POST", "/api/conversations", { kind: "direct", members: [profile.username] });
      await go(`/chat/${id}`);
    } catch (problem) {
      say(problem);
    }
  };
  return html`<button class="quiet" type="button" onClick=${open}>${t("chat.message")}</button>`;
}

/** @param {{profile: any, change: (some: any) => void}} properties */
function Follow({ profile, change }) {
  const isAsked = profile.is_followed || profile.is_requested;
  const state = profile.is_followed ? "following" : profile.is_requested ? "requested" : profile.is_private ? "ask" : "follow";
  const toggle = async () => {
    const before = profile;
    const follows = !isAsked && !profile.is_private;
    change({
      profile: {
        ...profile,
        is_followed: follows,
        is_requested: !isAsked && profile.is_private,
        followers: profile.followers + Number(follows) - Number(profile.is_followed),
      },
    });
    try {
      await ask(isAsked ? "DELETE" : "PUT", `/api/users/${profile.username}/follow`);
    } catch (problem) {
      change({ profile: before });
      say(problem);
    }
  };
  return html`<button class=${isAsked ? "follow quiet" : "follow"} type="button" aria-pressed=${String(isAsked)} onClick=${toggle}>${t(`profile.${state}`)}</button>`;
}
