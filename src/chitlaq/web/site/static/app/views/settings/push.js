/** Pushes to this device: off until its member switches them on. */

import { useEffect, useState } from "../../../vendor/hooks.js";
import { render } from "../../../vendor/preact.js";
import { ask, read } from "../../api.js";
import { html, t } from "../../base.js";
import { say } from "../../store.js";

const place = document.getElementById("push");
const isSupported = "PushManager" in window && "serviceWorker" in navigator;

function Push() {
  const [state, setState] = useState(isSupported ? "" : "none");
  const [isBusy, setBusy] = useState(false);
  useEffect(() => {
    if (isSupported) current().then(setState, say);
  }, []);
  const change = async () => {
    setBusy(true);
    try {
      await (state === "on" ? unsubscribe() : subscribe());
      setState(await current());
    } catch (problem) {
      // The browser says why it could not subscribe, in its own words.
      say(problem instanceof DOMException ? t("push.failed", { why: problem.message }) : problem);
    }
    setBusy(false);
  };
  return html`
    <h2>${t("push.title")}</h2>
    <p class="hint">${t("push.about")}</p>
    ${state === "none" || state === "denied"
      ? html`<p>${t(`push.${state}`)}</p>`
      : html`<p><button class="quiet" type="button" disabled=${isBusy || state === ""} onClick=${change}>${t(state === "on" ? "push.off" : "push.on")}</button></p>`}
  `;
}

/** Whether this device is pushed to: both this browser and the server must have it. */
async function current() {
  if (Notification.permission === "denied") return "denied";
  const registration = await navigator.serviceWorker.getRegistration();
  const own = await registration?.pushManager.getSubscription();
  return own && (await read("/api/notifications/push")).is_subscribed ? "on" : "off";
}

async function subscribe() {
  if ((await Notification.requestPermission()) !== "granted") return;
  const { public_key: key } = await read("/api/notifications/push");
  const { pushManager } = await navigator.serviceWorker.ready;
  // One of another key, as after a restore elsewhere, cannot be used.
  await (await pushManager.getSubscription())?.unsubscribe();
  const own = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  await ask("POST", "/api/notifications/push", own.toJSON());
}

async function unsubscribe() {
  await ask("DELETE", "/api/notifications/push");
  const registration = await navigator.serviceWorker.ready;
  await (await registration.pushManager.getSubscription())?.unsubscribe();
}

if (place) render(html`<${Push} />`, place);
