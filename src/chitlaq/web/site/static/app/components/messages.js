/** What is held of a conversation's messages: in order, without doubles, and never more than a window of them. */

const MOST = 250;

/**
 * @typedef {{items: any[], hasEarlier: boolean, hasLater: boolean, waiting: any[]}} Held
 *   `waiting` are own ones that are not stored yet; with `why` they were refused.
 */

/** @param {any} page @returns {Held} */
export function held(page) {
  return { items: page.items, hasEarlier: page.has_earlier, hasLater: page.has_later, waiting: [] };
}

/** @param {Held} state @param {any} action @returns {Held} */
export function changed(state, action) {
  const { items, waiting } = state;
  switch (action.type) {
    case "page":
      return { ...held(action.page), waiting: left(waiting, action.page.items) };
    case "before":
      return bounded({ ...state, items: merged(action.page.items, items), hasEarlier: action.page.has_earlier }, false);
    case "after":
      return bounded(
        { ...state, items: merged(items, action.page.items), hasLater: action.page.has_later, waiting: left(waiting, action.page.items) },
        true,
      );
    case "arrived": {
      const known = left(waiting, [action.message]);
      // What follows a hole is read when the reader comes there.
      if (state.hasLater) return { ...state, waiting: known };
      const grown = { ...state, items: merged(items, [action.message]), waiting: known };
      return action.isAtEnd || grown.items.length <= MOST ? bounded(grown, true) : { ...state, hasLater: true, waiting: known };
    }
    case "changed":
      return { ...state, items: items.map((one) => (one.seq === action.message.seq ? action.message : one)) };
    case "sending":
      return { ...state, waiting: [...without(waiting, action.one), { ...action.one, why: "" }] };
    case "failed":
      return {
        ...state,
        waiting: waiting.map((one) => (one.client_id === action.one.client_id ? { ...one, why: action.why } : one)),
      };
    case "discarded":
      return { ...state, waiting: without(waiting, action.one) };
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

/** @param {any[]} waiting @param {any[]} stored */
function left(waiting, stored) {
  const names = new Set(stored.map((one) => one.client_id));
  return waiting.filter((one) => !names.has(one.client_id));
}

/** @param {any[]} waiting @param {any} gone */
function without(waiting, gone) {
  return waiting.filter((one) => one.client_id !== gone.client_id);
}
