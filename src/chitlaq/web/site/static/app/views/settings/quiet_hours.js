/** Quiet hours are by the clock of where somebody is. */

const zone = /** @type {HTMLSelectElement} */ (document.getElementById("zone"));
const isQuiet = /** @type {HTMLInputElement} */ (document.getElementById("is-quiet"));
const fields = /** @type {HTMLFieldSetElement} */ (document.getElementById("quiet"));

isQuiet.addEventListener("change", () => (fields.disabled = !isQuiet.checked));

const chosen = "here" in zone.dataset ? Intl.DateTimeFormat().resolvedOptions().timeZone : zone.value;
const names = new Set([chosen, ...Intl.supportedValuesOf("timeZone")]);
zone.replaceChildren(...[...names].sort().map((name) => new Option(name, name, name === chosen, name === chosen)));
