// Follows the logs: asks every two seconds for what was written since, while the page is looked at.
const EVERY_MS = 2000;
const log = document.getElementById("log");
const following = document.getElementById("following");
const pause = document.getElementById("pause");
const more = document.getElementById("more");
const unread = document.getElementById("unread");
const template = document.getElementById("line");

let positions = log?.dataset.positions;
const most = Number(log?.dataset.most);
let waiting = [];
let missed = 0;
let isPaused = false;

const said = () => (isPaused ? "Paused." : log.childElementCount ? "Following." : "Following; no such lines yet.");
const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;

function line(row) {
  const item = template.content.firstElementChild.cloneNode(true);
  const time = item.querySelector("time");
  item.className = row.level;
  time.dateTime = row.at;
  time.textContent = row.clock;
  item.querySelector("b").textContent = row.service;
  item.querySelector(".level").textContent = row.level;
  item.querySelector(".text").textContent = row.text;
  return item;
}

/** Shows what has waited, and drops the oldest lines. */
function show() {
  log.append(...waiting.map(line));
  waiting = [];
  missed = 0;
  more.hidden = true;
  while (log.childElementCount > most) log.firstElementChild.remove();
  log.scrollTop = log.scrollHeight;
}

function arrive(rows) {
  if (!rows.length) return;
  const stays = isPaused || !isAtEnd();
  waiting.push(...rows);
  missed += rows.length;
  if (!stays) return show();
  // Those that would be dropped when they are shown are not kept.
  waiting = waiting.slice(-most);
  more.hidden = false;
  more.textContent = `${missed} new ${missed === 1 ? "line" : "lines"} ↓`;
}

async function ask() {
  const query = new URLSearchParams(location.search);
  query.set("positions", positions);
  const answer = await fetch(`/ops/logs/lines?${query}`, {
    redirect: "manual", signal: AbortSignal.timeout(10000),
  });
  if (answer.type === "opaqueredirect") throw new Error("you are signed out, load the page again");
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.detail);
  if (found.unknown) throw new Error(found.unknown);
  positions = JSON.stringify(found.positions);
  if (found.unread.length) {
    unread.hidden = false;
    unread.querySelector("span").textContent = found.unread.join("; ");
  }
  arrive(found.rows);
}

async function follow() {
  if (!document.hidden) {
    try {
      await ask();
      following.className = "muted";
      following.textContent = said();
    } catch (error) {
      following.className = "unknown";
      following.textContent = `Not following: ${error.message}`;
    }
  }
  setTimeout(follow, EVERY_MS);
}

if (log) {
  log.scrollTop = log.scrollHeight;
  pause.hidden = false;
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Go on" : "Pause";
    following.textContent = said();
    if (!isPaused) show();
  });
  more.addEventListener("click", () => {
    if (isPaused) pause.click();
    else show();
    log.focus();
  });
  log.addEventListener("scroll", () => {
    if (!isPaused && waiting.length && isAtEnd()) show();
  });
  follow();
}
