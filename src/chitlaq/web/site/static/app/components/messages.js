/** What is held of a conversation's messages: in order, without doubles, and never more than a window of them. */

const MOST = 200;

/** @typedef {{items: any[], hasEarlier: boolean, hasLater: boolean}} Held */

/** @param {any} page @returns {Held} */
export function held(page) {
  return { items: page.items, hasEarlier: page.has_earlier, hasLater: page.has_later };
}

/** @param {Held} state @param {any} action @returns {Held} */
export function changed(state, action) {
  const { items } = state;
  switch (action.type) {
    case "page":
      return held(action.page);
    case "before":
      return bounded({ ...state, items: merged(action.page.items, items), hasEarlier: action.page.has_earlier }, false);
    case "after":
      return bounded({ ...state, items: merged(items, action.page.items), hasLater: action.page.has_later }, true);
    case "arrived": {
      // What follows a hole is read when the reader comes there.
      if (state.hasLater) return state;
      const grown = { ...state, items: merged(items, [action.message]) };
      return action.isAtEnd || grown.items.length <= MOST ? bounded(grown, true) : { ...state, hasLater: true };
    }
    case "changed":
      return { ...state, items: items.map((one) => (one.seq === action.message.seq ? action.message : one)) };
    default:
      return state;
  }
}

/** Let go what is beyond the window, at the end that is not looked at. @param {Held} state @param {boolean} isAtEnd @returns {Held} */
function bounded(state, isAtEnd) {
  const { items } = state;
  if (items.length <= MOST) return state;
  return isAtEnd
    ? { ...state, items: items.slice(-MOST), hasEarlier: true }
    : { ...state, items: items.slice(0, MOST), hasLater: true };
}

/** @param {any[]} some @param {any[]} others */
function merged(some, others) {
  const all = new Map([...some, ...others].map((one) => [one.seq, one]));
  return [...all.values()].sort((a, b) => a.seq - b.seq);
}

/** A message after its reader's reaction, before the server says so. @param {any} message @param {string} emoji @param {boolean} isMine */
export function reacted(message, emoji, isMine) {
  const before = message.reactions[emoji] ?? { count: 0, mine: false };
  if (before.mine === isMine) return message;
  const count = before.count + (isMine ? 1 : -1);
  const { [emoji]: _, ...rest } = message.reactions;
  if (count === 0) return { ...message, reactions: rest };
  return { ...message, reactions: { ...message.reactions, [emoji]: { count, mine: isMine } } };
}
