/** What the first screen does not wait for. */

import { render } from "../vendor/preact.js";
import { html } from "./base.js";
import "./live.js";
import "./keys.js";
import { State } from "./offline.js";
import "./pasting.js";
import "./unread_chats.js";

render(html`<${State} />`, /** @type {HTMLElement} */ (document.getElementById("state")));
