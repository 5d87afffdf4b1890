/** A picture as large as the screen, with its description; over everything else until it is closed. */

import { render } from "../../vendor/preact.js";
import { useEffect, useRef, useState } from "../../vendor/hooks.js";
import { html, t } from "../base.js";
import { icon } from "./parts.js";

/** @param {any[]} media @param {number} place Which is shown first. */
export function enlarged(media, place) {
  const root = document.createElement("div");
  document.body.append(root);
  const close = () => {
    render(null, root);
    root.remove();
  };
  render(html`<${Lightbox} media=${media} first=${place} onClose=${close} />`, root);
}

/** @param {{media: any[], first: number, onClose: () => void}} properties */
function Lightbox({ media, first, onClose }) {
  const dialog = useRef(/** @type {any} */ (null));
  const [place, setPlace] = useState(first);
  const one = media[place];
  useEffect(() => dialog.current.showModal(), []);
  const go = (/** @type {number} */ by) => setPlace((place + by + media.length) % media.length);
  const press = (/** @type {KeyboardEvent} */ { key }) => {
    if (media.length > 1 && (key === "ArrowRight" || key === "ArrowLeft")) go(key === "ArrowRight" ? 1 : -1);
  };
  const isStill = one.still_url && matchMedia("(prefers-reduced-motion: reduce)").matches;
  return html`
    <dialog class="lightbox" ref=${dialog} aria-label=${t("pictures.which", { n: place + 1 })} onClose=${onClose} onKeyDown=${press}
      onClick=${(/** @type {any} */ { target }) => target === dialog.current && dialog.current.close()}>
      <img key=${one.id} src=${isStill ? one.still_url : one.url} alt=${one.alt} width=${one.width} height=${one.height} />
      ${one.alt && html`<p dir="auto">${one.alt}</p>`}
      <div class="lightbox-doors">
        ${media.length > 1 && html`<button class="icon-link" type="button" aria-label=${t("pictures.before")} onClick=${() => go(-1)}>${icon("arrow-left")}</button><span>${place + 1} / ${media.length}</span><button class="icon-link" type="button" aria-label=${t("pictures.next")} onClick=${() => go(1)}>${icon("chevron-right")}</button>`}
        <button class="icon-link" type="button" aria-label=${t("pictures.close")} onClick=${() => dialog.current.close()}>${icon("x")}</button>
      </div>
    </dialog>
  `;
}
