/**
 * Hashtags, mentions and links in what members write: the grammar of docs/text.md, as in
 * src/chitlaq/core/text/tokens.py. The patterns are the same there, character by character.
 */

const MAX_TAGS = 30;
const MAX_MENTIONS = 50;
const MAX_TAG_LENGTH = 100;

const PIECE = new RegExp(
  String.raw`(?<![A-Za-z0-9+.\-_@\/])(?<address>[A-Za-z][A-Za-z0-9+.\-]{0,30}:\/\/[^\p{Z}\p{Cc}\p{Bidi_C}<>"。、「」『』【】《》〈〉]+)` +
    String.raw`|(?:(?<![\p{L}\p{M}\p{N}_\u200C\u200D&#＃@＠\/])|(?<=[\uFE0F\u20E3]))(?:` +
    String.raw`[#＃](?![\p{M}\u200C\u200D])` +
    String.raw`(?<tag>[\p{L}\p{M}\p{N}_\u200C\u200D]+(?:[·׳״་・][\p{L}\p{M}\p{N}_\u200C\u200D]+)*)` +
    String.raw`|[@＠](?=_*[A-Za-z0-9])(?<mention>[A-Za-z0-9_]{3,30})` +
    String.raw`(?![\p{Script=Latin}\p{M}\p{N}_@＠]|\.[\p{L}\p{N}]))`,
  "gu",
);
const LINK = new RegExp(
  "^(?:" +
    String.raw`[Hh][Tt][Tt][Pp][Ss]?:\/\/[\p{L}\p{N}][\p{L}\p{M}\p{N}\u200C\u200D_\-]*` +
    String.raw`(?:\.[\p{L}\p{N}][\p{L}\p{M}\p{N}\u200C\u200D_\-]*)*\.?(?::[0-9]{1,5})?(?:[\/?#].*)?` +
    ")$",
  "u",
);
const ENDINGS = ".,;:!?'…‥．，！？；：؟،؛۔।॥։።»”’›«“‘‹";
const OPENED_BY = new Map([
  [")", "("], ["]", "["], ["}", "{"], ["）", "（"], ["］", "［"], ["｝", "｛"],
]);

/**
 * What all spellings of a tag have in common.
 * @param {string} text
 */
export function folded(text) {
  let cased = "";
  for (const one of text.normalize("NFC")) {
    for (const upper of one.toLowerCase().toUpperCase()) cased += upper.toLowerCase();
  }
  const plain = cased.replace(/\p{Default_Ignorable_Code_Point}+/gu, "").normalize("NFC");
  return plain.replace(/i\u0307+/gu, "i").normalize("NFC");
}

/**
 * A text in pieces, in order; their texts joined are the text.
 * @typedef {{kind: "text", text: string}
 *   | {kind: "tag", text: string, folded: string, spelling: string}
 *   | {kind: "mention", text: string, username: string}
 *   | {kind: "link", text: string}} Piece
 * @param {string} text
 * @returns {Piece[]}
 */
export function pieces(text) {
  /** @type {Piece[]} */
  const found = [];
  let from = 0;
  for (const match of text.matchAll(PIECE)) {
    const piece = pieceOf(match);
    if (piece === null) continue;
    if (match.index > from) found.push({ kind: "text", text: text.slice(from, match.index) });
    found.push(piece);
    from = match.index + piece.text.length;
  }
  if (from < text.length) found.push({ kind: "text", text: text.slice(from) });
  return found;
}

/**
 * What the server finds in a text, each once.
 * @param {string} text
 */
export function parsed(text) {
  const tags = new Map();
  const mentions = new Set();
  const links = new Set();
  for (const piece of pieces(text)) {
    if (piece.kind === "mention") mentions.add(piece.username);
    else if (piece.kind === "link") links.add(piece.text);
    else if (piece.kind === "tag" && !tags.has(piece.folded)) tags.set(piece.folded, piece.spelling);
  }
  return {
    tags: [...tags].slice(0, MAX_TAGS),
    mentions: [...mentions].slice(0, MAX_MENTIONS),
    links: [...links],
  };
}

/** How long a text is, as people count. @param {string} text */
export function graphemes(text) {
  let n = 0;
  for (const _ of new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(text)) n += 1;
  return n;
}

/** @param {RegExpExecArray} match @returns {Piece | null} */
function pieceOf(match) {
  const { address, tag, mention } = match.groups ?? {};
  if (mention) return { kind: "mention", text: match[0], username: mention.toLowerCase() };
  if (!tag) return linkOf(address);
  const spelling = tag.normalize("NFC");
  const plain = folded(spelling);
  if (Math.max(lengthOf(spelling), lengthOf(plain)) > MAX_TAG_LENGTH || !/\p{L}/u.test(plain)) return null;
  return { kind: "tag", text: match[0], folded: plain, spelling };
}

/** @param {string} address @returns {Piece | null} */
function linkOf(address) {
  const surplus = new Map();
  let end = address.length;
  for (; ; end -= 1) {
    const last = address[end - 1];
    const opening = OPENED_BY.get(last);
    if (opening !== undefined) {
      if (!surplus.has(last)) {
        const rest = address.slice(0, end);
        surplus.set(last, rest.split(last).length - rest.split(opening).length);
      }
      if (surplus.get(last) <= 0) break;
      surplus.set(last, surplus.get(last) - 1);
    } else if (!ENDINGS.includes(last)) break;
  }
  const link = address.slice(0, end);
  return LINK.test(link) ? { kind: "link", text: link } : null;
}

/** In code points. @param {string} text */
function lengthOf(text) {
  return [...text].length;
}
