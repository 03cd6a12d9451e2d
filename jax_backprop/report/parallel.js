// @ts-check
// Parallel coordinates: a line a run over all axes; a brush along any of them chooses runs.
"use strict";

const TALL = 260, HEAD = 46, FOOT = 36, LINE = 14, APIECE = 96; // pixels

/** @param {string[]} names */
function parallel(names) {
  have("parallel-place").hidden = false;
  const place = have("parallel"), canvas = document.createElement("canvas");
  canvas.height = TALL + HEAD + FOOT;
  canvas.setAttribute("aria-hidden", "true");
  place.append(canvas);
  place.style.minWidth = `${APIECE * names.length}px`;
  const scales = names.map(shareOf);
  const handles = names.map((name, n) => handle(name, scales[n]));
  place.append(...handles);
  const ranks = rankedLosses();

  function paint() {
    const wide = place.clientWidth || 700, ratio = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [wide * ratio, (TALL + HEAD + FOOT) * ratio];
    canvas.style.height = `${TALL + HEAD + FOOT}px`;
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement), color = (/** @type {number} */ n) => style.getPropertyValue(`--c${n}`).trim();
    const at = (/** @type {number} */ n) => 40 + (n * (wide - 80)) / Math.max(1, names.length - 1);
    const chosen = new Set(brushes.size ? brushedRuns() : RUNS.cell.keys());
    const strong = Math.max(0.06, Math.min(0.7, 60 / chosen.size));
    const line = (/** @type {number} */ run) => {
      pen.beginPath();
      names.forEach((_, n) => pen[n ? "lineTo" : "moveTo"](at(n), HEAD + TALL * (1 - scales[n].share(run))));
      pen.stroke();
    };
    if (brushes.size) { pen.globalAlpha = 0.05; pen.strokeStyle = color(1); for (const run of RUNS.cell.keys()) if (!chosen.has(run)) line(run); }
    pen.globalAlpha = strong;
    for (const run of chosen) { pen.strokeStyle = color(ranks[run] < 1 / 3 ? 4 : ranks[run] < 2 / 3 ? 10 : 5); line(run); }
    pen.globalAlpha = 1;
    pen.font = "12px system-ui, sans-serif";
    names.forEach((name, n) => {
      pen.strokeStyle = color(1);
      pen.strokeRect(at(n), HEAD, 0, TALL);
      pen.fillStyle = color(0);
      pen.textAlign = n ? (n === names.length - 1 ? "right" : "center") : "left";
      const x = n ? (n === names.length - 1 ? wide - 2 : at(n)) : 2, room = (1.7 * (wide - 80)) / Math.max(1, names.length - 1);
      const row = (n % 2) * LINE; // what stands side by side is in two rows
      pen.fillText(cut(words(name), room / 1.7, pen), x, 12);
      pen.fillStyle = color(1);
      pen.fillText(cut(scales[n].ends[1], room, pen), x, HEAD - 6 - row);
      pen.fillText(cut(scales[n].ends[0], room, pen), x, HEAD + TALL + LINE + row);
      handles[n].style.left = `${at(n)}px`;
    });
  }
  onBrush.push(paint);
  new ResizeObserver(paint).observe(place);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
}

/** A text that fits. @param {string} text @param {number} room @param {CanvasRenderingContext2D} pen */
function cut(text, room, pen) {
  let shown = text;
  while (shown.length > 4 && pen.measureText(shown).width > room) shown = `${shown.slice(0, -2)}\u2026`;
  return shown;
}

/** Blue: among the best third by validation loss; red: among the worst. */
function rankedLosses() {
  const losses = RUNS.measures.validation_loss || [];
  const order = [...RUNS.cell.keys()].sort((a, b) => (losses[a] ?? Infinity) - (losses[b] ?? Infinity));
  const ranks = new Float64Array(order.length);
  order.forEach((run, place) => { ranks[run] = place / order.length; });
  return ranks;
}

/** @typedef {{share: (run: number) => number, value: (share: number) => number, shareOfValue: (value: number) => number, ends: [string, string]}} Scale */

/** How a column lies along its axis: 0 at the bottom, 1 at the top. @param {string} name @returns {Scale} */
function shareOf(name) {
  const read = placer(name), values = [...RUNS.cell.keys()].map(read).filter((each) => each !== null);
  const low = values.reduce((a, b) => Math.min(a, b), Infinity), most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const high = name.endsWith("_loss") && low > 0 ? Math.min(most, LARGE * low) : most;
  const log = low > 0 && high / low > 20 && isNumeric(name);
  const to = log ? Math.log : (/** @type {number} */ x) => x, from = log ? Math.exp : (/** @type {number} */ x) => x;
  const span = to(high) - to(low) || 1;
  const shareOfValue = (/** @type {number} */ value) => (to(value) - to(low)) / span;
  return {
    share: (run) => { const value = read(run); return value === null ? 1 : Math.min(1, shareOfValue(value)); },
    value: (share) => from(to(low) + share * span),
    shareOfValue,
    ends: [String(brushEnd(name, low)), (most > high ? "over " : "") + brushEnd(name, high)],
  };
}

/** An axis that can be brushed by pointer and keyboard. @param {string} name @param {Scale} scale */
function handle(name, scale) {
  const axis = document.createElement("div"), band = document.createElement("div");
  axis.className = "axis";
  axis.style.height = `${TALL + HEAD + FOOT}px`;
  axis.tabIndex = 0;
  axis.setAttribute("role", "group");
  band.className = "brush";
  axis.append(band);
  const share = (/** @type {PointerEvent} */ event) => Math.max(0, Math.min(1, 1 - (event.clientY - axis.getBoundingClientRect().top - HEAD) / TALL));
  const set = (/** @type {number} */ a, /** @type {number} */ b) => {
    const [low, high] = [Math.max(-0.01, Math.min(a, b)), Math.min(1.01, Math.max(a, b))];
    brush(name, [scale.value(low), scale.value(high)]);
  };
  const now = () => { const ends = brushes.get(name); return ends ? ends.map(scale.shareOfValue) : null; };
  /** @type {number|null} */
  let from = null;
  axis.addEventListener("pointerdown", (event) => { from = share(event); axis.setPointerCapture(event.pointerId); });
  axis.addEventListener("pointermove", (event) => { if (from !== null) set(from, share(event)); });
  axis.addEventListener("pointerup", (event) => { if (from !== null && Math.abs(share(event) - from) < 0.01) brush(name, null); from = null; });
  axis.addEventListener("keydown", (event) => {
    const step = { ArrowUp: 0.05, ArrowDown: -0.05 }[event.key];
    if (event.key === "Escape") brush(name, null);
    if (!step) return;
    event.preventDefault();
    const [low, high] = now() || [0.35, 0.65];
    if (event.shiftKey) set(low, Math.max(low, high + step)); else set(low + step, high + step);
  });
  const shown = () => {
    const ends = now(), told = brushes.get(name);
    band.hidden = !ends;
    axis.setAttribute("aria-label", `${words(name)}: ${told ? told.map((end) => brushEnd(name, end)).join(" to ") : "all"}`);
    if (ends) { band.style.top = `${HEAD + TALL * (1 - ends[1])}px`; band.style.height = `${Math.max(2, TALL * (ends[1] - ends[0]))}px`; }
  };
  onBrush.push(shown);
  shown();
  return axis;
}
