// Everything works without this. It shows what an action prints while it goes on, and keeps Now up to date.

const POLL_MS = 5000;
const STALE_SECONDS = 20;

/** Append an action's output to its element as it comes, then show the page as it is at the end. */
async function follow(output) {
  try {
    const answer = await fetch(output.dataset.stream);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    output.textContent = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      output.append(value);
    }
    location.reload();
  } catch {
    // ops-service itself may be what restarts.
    setTimeout(() => location.reload(), POLL_MS);
  }
}

/** Let an element say a message, in which what stands in backquotes is a command. */
export function say(element, text) {
  element.replaceChildren(...text.split(/`([^`]+)`/).map((part, place) => {
    if (place % 2 === 0) return part;
    const command = document.createElement("code");
    command.textContent = part;
    return command;
  }));
}

/** Fill in what has changed since the page was made; a new layout needs the whole page. */
function fill(now) {
  for (const element of document.querySelectorAll("[data-field]")) {
    const text = now.fields[element.dataset.field];
    if (text !== undefined && element.textContent !== text.replaceAll("`", "")) say(element, text);
  }
}

function isBusy() {
  const active = document.activeElement;
  return active?.matches("input, textarea, select") || document.querySelector(":popover-open") !== null;
}

/** Ask every few seconds; say how old the answer is, and redden it when it is too old. */
function watch(page) {
  const age = document.getElementById("age");
  let checked = Date.now();
  setInterval(() => {
    const seconds = Math.round((Date.now() - checked) / 1000);
    age.textContent = `Checked ${seconds} s ago`;
    age.classList.toggle("stale", seconds > STALE_SECONDS);
  }, 1000);
  const ask = async () => {
    try {
      const answer = await fetch(page.dataset.now, { signal: AbortSignal.timeout(POLL_MS) });
      if (answer.redirected) location.reload();
      if (answer.ok) {
        const now = await answer.json();
        checked = Date.now();
        if (now.layout !== page.dataset.layout && !isBusy()) location.reload();
        fill(now);
      }
    } catch {
      // Its age says so.
    }
    setTimeout(ask, POLL_MS);
  };
  setTimeout(ask, POLL_MS);
}

for (const output of document.querySelectorAll("[data-stream]")) {
  if (output.dataset.stream) follow(output);
}
// A screen's own script may not come.
for (const script of document.querySelectorAll("script[type=module]")) {
  script.addEventListener("error", () => {
    for (const waiting of document.querySelectorAll(".loading")) {
      waiting.className = "unknown";
      waiting.textContent = "Unknown: a script of this page did not load. Load the page again.";
    }
  });
}
const page = document.querySelector("[data-now]");
if (page) watch(page);
