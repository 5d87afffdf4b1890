// Draws the panels of a dashboard that are in view, and again every so often.
import { say } from "./console.js";
import uPlot from "./vendor/uplot.js";

const COLOURS = 8;
const HEIGHT = 176;
const root = document.getElementById("dashboard");
const updated = document.getElementById("updated");
const graphs = new Map(); // panel → { plot, names, data }
const inView = new Set();

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const clone = (id) => document.getElementById(id).content.cloneNode(true);

// --- values in words, as ops-service says them

const plain = (value) =>
  Math.abs(value) >= 1000
    ? value.toLocaleString("en", { maximumFractionDigits: 0 })
    : String(Number(value.toPrecision(3)));

function scaled(value, units) {
  const [unit, length] = units.find(([, size]) => Math.abs(value) >= size) ?? units.at(-1);
  return `${plain(value / length)} ${unit}`;
}

const size = (value) => scaled(value, [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3], ["B", 1]]);
const time = (value) =>
  value === 0 ? "0 s" : scaled(value, [["d", 86400], ["h", 3600], ["min", 60], ["s", 1], ["ms", 1e-3]]);

const FORMATS = {
  short: plain,
  s: time,
  bytes: size,
  percentunit: (value) =>
    value !== 0 && Math.abs(value) < 1e-4 ? "< 0.01 %" : `${plain(value * 100)} %`,
  Bps: (value) => `${size(value)}/s`,
  bool_on_off: (value) => (value === 1 ? "on" : value === 0 ? "off" : ""),
};
const inWords = (value, unit) =>
  value == null ? "–" : (FORMATS[unit] ?? ((number) => `${plain(number)}/s`))(value);

// --- times in the zone that the page names, with 24 hours

const timeZone = root.dataset.zone || undefined;
const format = (parts) => new Intl.DateTimeFormat("en-GB", { ...parts, timeZone });
const clock = format({ hour: "2-digit", minute: "2-digit" });
const clockWithSeconds = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = format({ day: "numeric", month: "short" });
const moment = (seconds) => {
  const at = new Date(seconds * 1000);
  return `${day.format(at)} ${clock.format(at)}`;
};
const tick = (seconds) => {
  const at = new Date(seconds * 1000);
  const words = clock.format(at);
  return words === "00:00" ? day.format(at) : words;
};

// --- graphs

function lines(plot, thresholds) {
  const { left, top, width, height } = plot.bbox;
  const { ctx } = plot;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  for (const [value, colour, dash] of thresholds) {
    const y = plot.valToPos(value, "y", true);
    if (y < top || y > top + height) continue;
    ctx.strokeStyle = style(colour);
    ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
  }
  ctx.restore();
}

function options(panel, names, legend, width) {
  const { unit, warning, critical } = panel.dataset;
  const thresholds = warning
    ? [[Number(warning), "--warning", [6, 4]], [Number(critical), "--danger", [2, 3]]]
    : [];
  const axis = {
    stroke: style("--muted"),
    font: "12px system-ui, sans-serif",
    grid: { stroke: style("--grid"), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    tzDate: (at) => (timeZone ? uPlot.tzDate(new Date(at * 1000), timeZone) : new Date(at * 1000)),
    cursor: { sync: { key: root.dataset.path }, drag: { x: true, y: false } },
    scales: {
      y: {
        range: (_, least, greatest) =>
          uPlot.rangeNum(Math.min(0, least ?? 0), greatest === least ? (greatest || 1) : greatest, {
            min: { pad: 0.05, soft: 0, mode: 1 }, max: { pad: 0.08, soft: 0, mode: 2 },
          }),
      },
    },
    axes: [
      { ...axis, size: 28, space: 70, values: (_, splits) => splits.map(tick) },
      { ...axis, size: 74, values: (_, splits) => splits.map((value) => inWords(value, unit)) },
    ],
    series: [
      {},
      ...names.map((label, index) => ({
        label,
        stroke: style(`--series-${(index % COLOURS) + 1}`),
        width: 1.5,
        dash: index >= COLOURS ? [6, 3] : undefined,
        points: { show: false },
      })),
    ],
    hooks: {
      draw: [(plot) => lines(plot, thresholds)],
      setCursor: [(plot) => follow(panel, plot.cursor.idx, legend)],
    },
  };
}

/** Shows the values under the pointer, or else the last ones. */
function follow(panel, index, legend) {
  const graph = graphs.get(panel);
  if (!graph) return;
  const { times, series } = graph.data;
  const under = index == null ? null : times[index];
  legend.querySelector(".at").textContent = under == null ? "Last" : moment(under);
  series.forEach((one, place) => {
    legend.tBodies[0].rows[place].cells[1].textContent =
      under == null ? one.last : inWords(one.values[index], panel.dataset.unit);
  });
}

function drawGraph(panel, data) {
  const content = panel.querySelector(".content");
  const names = data.series.map((one) => one.name);
  const known = graphs.get(panel);
  const isNew = !known || known.names.join("\n") !== names.join("\n");
  if (isNew) {
    forget(panel);
    content.replaceChildren(clone("graph"));
  }
  const legend = content.querySelector("table.legend");
  const image = content.querySelector(".plot");
  image.setAttribute("aria-label", `${panel.querySelector("h3").textContent}: graph; its values are in the table`);
  legend.tBodies[0].replaceChildren(...data.series.map((one, index) => {
    const row = clone("series").firstElementChild;
    const swatch = row.querySelector(".swatch");
    swatch.style.background = `var(--series-${(index % COLOURS) + 1})`;
    swatch.classList.toggle("dashed", index >= COLOURS);
    row.querySelector(".name").textContent = one.name;
    [one.last, one.least, one.greatest].forEach((words, place) => {
      row.cells[place + 1].textContent = words;
    });
    return row;
  }));
  legend.parentElement.setAttribute("aria-label", `Values of ${panel.querySelector("h3").textContent}`);
  const table = [data.times, ...data.series.map((one) => one.values)];
  if (isNew) {
    const plot = new uPlot(options(panel, names, legend, image.clientWidth), table, image);
    graphs.set(panel, { plot, names, data });
    resized.observe(image);
  } else {
    graphs.set(panel, { ...known, data });
    known.plot.setData(table);
  }
}

function forget(panel) {
  const known = graphs.get(panel);
  if (!known) return;
  resized.unobserve(known.plot.root.parentElement);
  known.plot.destroy();
  graphs.delete(panel);
}

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const graph = graphs.get(target.closest("[data-panel]"));
    if (graph && target.clientWidth) graph.plot.setSize({ width: target.clientWidth, height: HEIGHT });
  }
});

// --- single values and bars

function drawNumber(panel, data) {
  const words = document.createElement("p");
  words.className = "big";
  words.textContent = data.series[0].last;
  panel.querySelector(".content").replaceChildren(words);
}

function drawBars(panel, data) {
  const bars = clone("bars");
  const greatest = Math.max(...data.series.map((one) => one.values[0]), 0) || 1;
  bars.querySelector("tbody").append(...data.series.map((one) => {
    const row = clone("bar").firstElementChild;
    row.cells[0].textContent = one.name;
    const meter = row.querySelector("meter");
    meter.max = greatest;
    meter.value = Math.max(0, one.values[0]);
    meter.setAttribute("aria-label", one.name);
    meter.textContent = row.cells[2].textContent = one.last;
    return row;
  }));
  bars.firstElementChild.setAttribute("aria-label", `Values of ${panel.querySelector("h3").textContent}`);
  panel.querySelector(".content").replaceChildren(bars);
}

// --- asking

function tell(panel, kind, text) {
  forget(panel);
  const words = document.createElement("p");
  words.className = kind;
  say(words, text);
  panel.querySelector(".content").replaceChildren(words);
}

function draw(panel, data) {
  if (!data.series.length) {
    tell(panel, "muted", "No values in this time.");
  } else if (panel.dataset.kind === "timeseries") {
    drawGraph(panel, data);
  } else {
    (panel.dataset.kind === "stat" ? drawNumber : drawBars)(panel, data);
  }
  if (data.omitted) {
    const more = document.createElement("p");
    more.className = "hint omitted";
    more.textContent = `${data.omitted} more series are not shown.`;
    panel.querySelector(".omitted")?.remove();
    panel.querySelector(".content").append(more);
  }
}

async function load(panel) {
  try {
    const { path, span } = root.dataset;
    const answer = await fetch(`${path}/panels/${panel.dataset.panel}?span=${span}`, {
      redirect: "manual", signal: AbortSignal.timeout(15000),
    });
    if (answer.type === "opaqueredirect") throw new Error("you are signed out: load the page again");
    const { drawn, unknown, detail } = await answer.json();
    if (drawn) draw(panel, drawn);
    else tell(panel, "unknown", `Unknown: ${unknown || detail}`);
  } catch (error) {
    tell(panel, "unknown", `Unknown: ops-service does not answer (${error.message})`);
  }
  panel.removeAttribute("aria-busy");
  updated.textContent = `Updated ${clockWithSeconds.format(new Date())}`;
}

const waiting = [];
let running = 0;

/** Loads a few panels at a time, in the order of the page. */
function loadSoon(panels) {
  for (const panel of panels) if (!waiting.includes(panel)) waiting.push(panel);
  while (running < 4 && waiting.length) {
    running += 1;
    load(waiting.shift()).finally(() => {
      running -= 1;
      loadSoon([]);
    });
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) inView.add(target);
    else inView.delete(target);
  }
  loadSoon(entries.filter((one) => one.isIntersecting).map((one) => one.target));
}, { rootMargin: "300px" });

const panels = [...root.querySelectorAll("[data-panel]")];
panels.forEach((panel) => seen.observe(panel));

const [interval, now] = [document.querySelector("#refreshing select"), document.querySelector("#refreshing button")];
let timer;
function begin() {
  clearInterval(timer);
  const seconds = Number(interval.value);
  if (seconds) timer = setInterval(() => document.hidden || loadSoon(inView), seconds * 1000);
}
interval.addEventListener("change", begin);
now.addEventListener("click", () => loadSoon(inView));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && Number(interval.value)) loadSoon(inView);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const [panel, { data }] of [...graphs]) {
    forget(panel);
    drawGraph(panel, data);
  }
});
begin();
