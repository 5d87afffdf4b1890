/** Who asks to follow is answered where one is told; templates/app/answer.html makes the same nodes. */

import { useLayoutEffect, useRef, useState } from "../../vendor/hooks.js";
import { Problem, ask } from "../api.js";
import { html, t } from "../base.js";
import { say } from "../store.js";

const METHODS = { accepted: "PUT", refused: "DELETE" };
const NOT_FOUND = 404;

/** What was answered, as long as the list is not read anew. @type {WeakMap<any, string>} */
const answers = new WeakMap();

/**
 * Shown at once, and taken back if it is refused.
 * @param {{one: any, onAnswer?: () => void}} properties `one` is the card of who asks.
 */
export function Answer({ one, onAnswer = () => {} }) {
  const [answer, setAnswer] = useState(() => answers.get(one) ?? "");
  const said = useRef(/** @type {any} */ (null));
  // The button that was pressed is gone.
  useLayoutEffect(() => {
    if (answer && document.activeElement === document.body) said.current.focus({ preventScroll: true });
  }, [answer]);
  const put = (/** @type {string} */ next) => {
    answers.set(one, next);
    setAnswer(next);
  };
  const give = async (/** @type {"accepted" | "refused"} */ next) => {
    put(next);
    onAnswer();
    try {
      await ask(METHODS[next], `/api/users/me/follow-requests/${one.username}`);
    } catch (problem) {
      // Withdrawn meanwhile, or answered elsewhere.
      if (problem instanceof Problem && problem.status === NOT_FOUND) return put("gone");
      put("");
      say(problem, { label: t("problem.again"), act: () => give(next) });
    }
  };
  const name = one.display_name;
  if (answer) return html`<p class="answer" tabindex="-1" ref=${said}>${t(`requests.${answer}`, { name })}</p>`;
  return html`<p class="answer"><button type="button" aria-label=${t("requests.accept-of", { name })} onClick=${() => give("accepted")}>${t("requests.accept")}</button><button class="quiet" type="button" aria-label=${t("requests.refuse-of", { name })} onClick=${() => give("refused")}>${t("requests.refuse")}</button></p>`;
}
