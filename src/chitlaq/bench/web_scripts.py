"""What the benchmark of the web application asks the browser, and the plain page beside it."""

from __future__ import annotations

OBSERVE = """
    globalThis.seen = {first: 0, largest: 0, shift: 0, events: []};
    const watch = (type, note) => new PerformanceObserver(list => list.getEntries().forEach(note))
        .observe({type, buffered: true, durationThreshold: 16});
    watch("paint", one => { if (one.name === "first-contentful-paint") seen.first = one.startTime; });
    watch("largest-contentful-paint", one => { seen.largest = one.startTime; });
    watch("layout-shift", one => { if (!one.hadRecentInput) seen.shift += one.value; });
    watch("event", one => { if (one.interactionId) seen.events.push([one.interactionId, one.duration]); });
"""
"""Event Timing reports nothing under 16 ms, and rounds to 8."""

PAINTS = """() => new Promise(resolve => {
    const tell = () => seen.largest ? resolve(seen) : setTimeout(tell, 50);
    requestAnimationFrame(() => requestAnimationFrame(tell));
}).then(({first, largest, shift}) => ({first, largest, shift}))"""

EVENTS = """async () => {
    await new Promise(resolve => setTimeout(resolve, 300));
    const longest = new Map();
    for (const [id, duration] of seen.events) longest.set(id, Math.max(duration, longest.get(id) ?? 0));
    return longest.size ? [...longest.values()] : [16];
}"""
"""The longest event of each interaction; 16 where all were quicker."""

SHOW_EACH_FRAME = """() => {
    const dot = document.createElement("i");
    dot.style.cssText = "position: fixed; inset: 0 auto auto 0; inline-size: 2px; block-size: 2px;";
    dot.style.background = "red";
    document.body.append(dot);
    const steps = [{transform: "none"}, {transform: "translateX(2px)"}];
    dot.animate(steps, {duration: 32, iterations: Infinity, easing: "steps(2, jump-none)"});
}"""
"""A dot that moves with each frame.

Without a display, Chromium leaves out frames in which only the lowest part of the page has changed, such
as the field of a conversation: what was typed there counts as painted when something else is.
"""

NO_LONGER = "() => document.querySelector('body > i').remove()"

SCROLL = """async () => {
    const frames = [];
    let before = await new Promise(requestAnimationFrame);
    for (let number = 0; number < 120; number++) {
        scrollBy(0, number < 60 ? -80 : 80);
        document.querySelector("[role=log]")?.scrollBy(0, number < 60 ? -80 : 80);
        const now = await new Promise(requestAnimationFrame);
        frames.push(now - before);
        before = now;
    }
    return frames;
}"""
"""Up and down again, a frame at a time, for two seconds."""

IS_KEPT = """async () => {
    for (const name of await caches.keys()) {
        if (await (await caches.open(name)).match("/shell"))
            return navigator.serviceWorker.controller !== null;
    }
    return false;
}"""
"""Whether the service worker has everything and serves the page."""

IS_ANOTHER_FIRST = 'top => document.querySelector("[data-seq]")?.dataset.seq !== top'

_PARAGRAPH = (
    "<p>A post as members write it: a sentence or two about lunch, and a question to all.</p>"
)

PLAIN = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Plain</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>
body {{ font: 1rem/1.5 sans-serif; margin: 1rem; }}
button {{ position: fixed; inset-block-start: 0; }}
</style>
<button>0</button><main>{_PARAGRAPH * 200}</main>
<script>
const button = document.querySelector("button");
button.onclick = () => {{ button.textContent = Number(button.textContent) + 1; }};
</script></html>"""
