/** What was found; templates/app/search.html makes the same nodes. */

import { count, html, number, t } from "../base.js";
import { More } from "../components/more.js";
import { Time, avatar, blank, icon, person } from "../components/parts.js";
import { addressOf, author } from "../components/post.js";
import { SearchBox } from "../components/suggest.js";

const MOST_LETTERS = 100;

/** @type {Record<string, {path: string, show: (one: any) => any}>} */
const KINDS = {
  members: { path: "users", show: person },
  posts: { path: "posts", show: post },
  tags: { path: "tags", show: tag },
  messages: { path: "messages", show: message },
};

/** What can be ordered by time. */
const ORDERED = ["posts", "messages"];
/** What can be asked for, each with an example. */
const HELP = {
  words: "exam notes", phrase: '"exam notes"', or: "exam OR test", without: "exam -oral", from: "from:ada", to: "to:ada",
  tag: "tag:maths", has: "has:picture", in: "in:ada", after: "after:2026-09-01",
};

/** What an address asks for. @param {Record<string, string>} parameters */
function asked({ q = "", type = "", sort = "" }) {
  const kind = type in KINDS ? type : "members";
  const text = [...q.trim()].slice(0, MOST_LETTERS).join("");
  const isByTime = ORDERED.includes(kind) && sort === "time";
  const order = isByTime ? "&sort=time" : "";
  return { q: text, kind, order, path: `/api/search/${KINDS[kind].path}?q=${encodeURIComponent(text)}&limit=20${order}` };
}

/** @param {Record<string, string>} parameters @returns {Record<string, string>} */
export function reads(parameters) {
  const { q, path } = asked(parameters);
  return q ? { found: parameters.cursor ? `${path}&cursor=${encodeURIComponent(parameters.cursor)}` : path } : {};
}

export const title = () => t("shell.search");

/** @param {import("../router.js").Shown} properties */
export function View({ parameters, data, change }) {
  const { q, kind, order, path } = asked(parameters);
  const address = (/** @type {string} */ one) => `/search?q=${encodeURIComponent(q)}&type=${one}`;
  return html`
    <h1 class="title" tabindex="-1">${t("shell.search")}</h1>
    <${SearchBox} q=${q} kind=${kind} />
    <nav class="tabs" aria-label=${t("search.kinds")}>${Object.keys(KINDS).map((one) => html`<a href=${address(one)} aria-current=${one === kind ? "page" : undefined}>${t(`search.${one}`)}</a>`)}</nav>
    ${q && ORDERED.includes(kind) && html`<p class="orders"><span class="hidden">${t("search.order")}</span>${["", "&sort=time"].map((one) => html`<a href=${address(kind) + one} aria-current=${one === order ? "true" : undefined}>${t(one ? "search.by-time" : "search.by-relevance")}</a>`)}</p>`}
    ${q
      ? results(data.found, KINDS[kind].show, html`<${More} page=${data.found} path=${path} address=${`${address(kind)}${order}&`} onMore=${(/** @type {any} */ found) => change({ found })} />`)
      : html`<p class="note">${t("search.hint")}${" "}<a href="/explore">${t("shell.explore")}</a></p>
        <details class="search-help"><summary>${t("search.help")}</summary><dl>${Object.entries(HELP).map(([one, example]) => html`<div><dt><code>${example}</code></dt><dd>${t(`search.help.${one}`)}</dd></div>`)}</dl></details>
        <p class="more"><a href="/settings/searches">${t("search.kept")}</a></p>`}
  `;
}

/** @param {any} found @param {(one: any) => any} show @param {any} more */
function results(found, show, more) {
  return html`
    ${found.ignored?.length > 0 && html`<ul class="ignored">${found.ignored.map((/** @type {any} */ one) => html`<li><bdi>${one.text}</bdi>${" – "}${t(`search.ignored.${one.reason}`)}</li>`)}</ul>`}
    ${found.items.length > 0
      ? html`
        ${found.total !== undefined && html`<p class="total">${found.is_total_exact ? count("search.total", found.total) : t("search.total-more", { n: number(found.total) })}</p>`}
        <ol class="told" aria-label=${t("search.results")}>${found.items.map((/** @type {any} */ one) => html`<li key=${one.id ?? one.tag}>${show(one)}</li>`)}</ol>
        ${more}
      `
      : blank(t("search.nothing"), "/explore", t("shell.explore"))}
  `;
}

/** @param {{text: string, is_match: boolean}[]} parts */
function snippet(parts) {
  return parts.map((part) => (part.is_match ? html`<mark>${part.text}</mark>` : part.text));
}

/** @param {any} one What matches besides its text: descriptions of pictures, options of polls. */
function parts(one) {
  return one.matching_parts?.map((/** @type {any} */ part) => html`<p class="excerpt" dir="auto">${t(`search.part.${part.kind}`)}${": "}${snippet(part.snippet)}</p>`);
}

/** @param {any} one */
function tag(one) {
  const posts = one.is_count_exact ? count("search.tagged", one.posts) : t("search.tagged-more", { n: number(one.posts) });
  return html`<a class="told-one" href=${`/tags/${encodeURIComponent(one.tag)}`}><span class="face"><span class="sign" aria-hidden="true">#</span></span><div class="body"><p class="sentence"><span class="name">${`#${one.tag}`}</span></p><p class="excerpt">${posts}</p></div></a>`;
}

/** @param {any} one */
function post(one) {
  const said = html`<a class="snippet" href=${addressOf(one)} dir="auto">${snippet(one.snippet)}</a>${parts(one)}`;
  return html`<article class="post"><a class="face" href=${`/@${one.author.username}`} tabindex="-1" aria-hidden="true">${avatar(one.author)}</a><div class="body"><header class="head">${author(one, "")}</header>${one.content_warning
    ? html`<details class="warning"><summary dir="auto">${one.content_warning}</summary>${said}</details>`
    : said}</div></article>`;
}

/** @param {any} one */
function message(one) {
  const name = one.other ? one.other.display_name : one.name || t("search.conversation");
  return html`<a class="told-one" href=${`/chat/${one.conversation_id}?at=${one.seq}`}><span class="face">${one.other ? avatar(one.other) : html`<span class="sign">${icon("users")}</span>`}</span><div class="body"><p class="sentence"><bdi class="name">${name}</bdi></p><p class="excerpt" dir="auto">${one.sender && html`<bdi>${one.sender.display_name}</bdi>${": "}`}${snippet(one.snippet)}</p>${parts(one)}</div><span class="time"><${Time} at=${one.sent_at} /></span></a>`;
}
