/** A member's page; templates/app/profile.html makes the same nodes. */

import { ask } from "../api.js";
import { count, html, t } from "../base.js";
import { Feed } from "../components/feed.js";
import { avatar, icon, written } from "../components/parts.js";
import { go } from "../router.js";
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
      <div class="profile-top">${avatar(profile, 88)}<div class="profile-doors">${isOwn
        ? html`<a class="button quiet" href="/settings">${t("shell.settings")}</a>`
        : html`<${Message} profile=${profile} /><${Follow} profile=${profile} change=${change} />`}</div></div>
      <h1 tabindex="-1"><bdi>${profile.display_name}</bdi></h1>
      <p class="handle">${`@${profile.username}`}${profile.follows_you && html`<span class="follows">${t("profile.follows-you")}</span>`}</p>
      ${profile.bio && html`<div class="text" dir="auto">${written(profile.bio)}</div>`}
      <p class="where">${icon("graduation-cap")}<span dir="auto">${where}</span></p>
      <p class="counts"><span>${count("profile.posts", profile.posts)}</span><span>${count("profile.followers", profile.followers)}</span><span>${count("profile.followed", profile.following)}</span></p>
    </section>
    ${profile.is_private && !profile.is_followed && !isOwn
      ? html`<p class="note">${icon("lock")}${t("profile.private")}</p>`
      : html`<${Feed} page=${data.posts} path=${`${path(parameters)}/posts?limit=20`} empty=${t("profile.empty")} onMore=${(/** @type {any} */ posts) => change({ posts })} />`}
  `;
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
