// @ts-check
// One slider moves the learning rate: on a parabola, on a slice of a loss, among stored trainings.
"use strict";

/** @typedef {[number, number, string, number|null, number|null, number|null, (number|null)[]]} Run */
const DATA = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("data")).textContent || "{}");
const by = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const within = (/** @type {string} */ id, /** @type {string} */ chosen) => by(id).querySelector(chosen);
const short = (/** @type {number|null|undefined} */ value) => value === null || value === undefined || !Number.isFinite(value) ? "not finite" : Math.abs(value) < 1e6 ? String(Number(value.toPrecision(3))) : value.toExponential(2);
const { rates, steps, plane } = DATA;

/** Rows of runs by the place of their rate. @type {Run[][]} */
const byRate = rates.map(() => []);
for (const run of DATA.runs) byRate[run[0]].push(run);

/** The median as Python's, where a value that isn't finite is the largest. @param {(number|null)[]} values */
function median(values) {
  const sorted = values.map((value) => value ?? Infinity).sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Points of gradient descent on sharpness x^2 / 2 from x = 1. @param {number} rate @param {number} count */
function descent(rate, count) {
  const points = [1];
  while (points.length <= count) points.push(points[points.length - 1] * (1 - rate * plane.sharpness));
  return points;
}

/** @param {string} name @param {Record<string, any>} given */
function svg(name, given, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(given)) made.setAttribute(key, String(value));
  made.textContent = text;
  return made;
}

/** A path through points; where one is null it breaks. @param {([number, number]|null)[]} points */
function path(points) {
  let line = "", pen = "M";
  for (const point of points) {
    if (point) line += `${pen}${point[0].toFixed(1)} ${point[1].toFixed(1)}`;
    pen = point ? "L" : "M";
  }
  return line;
}

/* The parabola. */

/** @param {number} rate */
function parabola(rate) {
  const x = (/** @type {number} */ at) => 335 + 190 * at, y = (/** @type {number} */ at) => 212 - 85 * at * at;
  within("parabola", ".line").setAttribute("d", path(Array.from({ length: 121 }, (_, i) => [x(-1.5 + i / 40), y(-1.5 + i / 40)])));
  const points = descent(rate, 12), left = points.findIndex((at) => Math.abs(at) > 1.6), seen = points.slice(0, left < 0 ? 13 : left + 1).map((at) => Math.max(-9, Math.min(9, at))), group = within("parabola", ".steps");
  group.replaceChildren(svg("path", { d: path(seen.map((at) => [x(at), y(at)])), class: "mark", fill: "none" }),
    ...seen.map((at, step) => svg("circle", { cx: x(at), cy: y(at), r: step ? 3.5 : 5, fill: "var(--c5)" })));
  const factor = 1 - rate * plane.sharpness, size = Math.abs(factor);
  by("parabola-said").textContent = `Each step multiplies x by 1 - ${short(rate)} x ${short(plane.sharpness)} = ${short(factor)}: ` +
    (size > 1 ? "too large. Every step lands farther away, on the other side." : factor < 0 ? "it jumps to the other side, and closer each time." : size > 0.9 ? "too small. It creeps." : "it goes straight down.") +
    ` After 12 steps x is ${short(points[12])}.`;
}

/* The slice. */

/** @param {number} place */
function slice(place) {
  const [left, right] = plane.across, [low, high] = plane.along, points = plane.paths[place], losses = plane.losses[place];
  const at = (/** @type {(number|null)[]} */ point) => point[0] === null || point[1] === null ? null : /** @type {[number, number]} */ ([488 * (point[0] - left) / (right - left), 488 * (high - point[1]) / (high - low)].map((value) => Math.max(-1e5, Math.min(1e5, value))));
  const line = path(points.map(at));
  within("plane", ".path").setAttribute("d", line);
  within("plane", ".path-under").setAttribute("d", line);
  for (const [name, point] of [[".start", at(points[0])], [".end", at(points[points.length - 1])]]) {
    within("plane", name).setAttribute("cx", point ? point[0] : -99);
    within("plane", name).setAttribute("cy", point ? point[1] : -99);
  }
  const end = points[points.length - 1], outside = end[0] === null || end[0] < left || end[0] > right || end[1] < low || end[1] > high;
  const most = Math.max(...losses.map((/** @type {number|null} */ loss) => loss ?? Infinity));
  by("plane-said").textContent = `After ${points.length - 1} steps at rate ${short(rates[place])} the loss went from ${short(losses[0])} to ${short(losses[losses.length - 1])}` +
    (most > losses[0] ? `, and was ${short(most)} on the way` : ", and never rose above its start") + (outside ? ". It ends outside the picture." : ".");
}

/* The trainings. */

const finite = DATA.runs.flatMap((/** @type {Run} */ run) => [...run[6], run[3]]).filter((/** @type {number|null} */ loss) => loss !== null && loss > 0);
const LOW = Math.log10(finite.reduce((/** @type {number} */ a, /** @type {number} */ b) => Math.min(a, b), Infinity)), HIGH = Math.log10(finite.reduce((/** @type {number} */ a, /** @type {number} */ b) => Math.max(a, b), 0));
const height = (/** @type {number} */ loss) => 290 - 282 * (Math.log10(loss) - LOW) / (HIGH - LOW || 1);
const byStep = (/** @type {number} */ step) => 52 + 460 * step / steps[steps.length - 1];
const FIRST = Math.log10(rates[0]), LAST = Math.log10(rates[rates.length - 1]);
const byLogRate = (/** @type {number} */ rate) => 52 + 460 * (rates.length > 1 ? (Math.log10(rate) - FIRST) / (LAST - FIRST) : 0.5);
const shown = (/** @type {number} */ x, /** @type {number|null} */ loss) => loss !== null && loss > 0 && Number.isFinite(loss) ? /** @type {[number, number]} */ ([x, height(loss)]) : null;

/** Powers of ten along an axis, thinned to about six. @param {number} low @param {number} high */
function powers(low, high) {
  const first = Math.ceil(low - 1e-9), last = Math.floor(high + 1e-9), every = Math.max(1, Math.ceil((last - first) / 6));
  return Array.from({ length: Math.max(0, Math.floor((last - first) / every) + 1) }, (_, i) => 10 ** (first + i * every));
}

function axes() {
  for (const id of ["curves", "finals"]) {
    const ticks = within(id, ".ticks");
    for (const loss of powers(LOW, HIGH)) ticks.append(svg("text", { x: 48, y: height(loss) + 4, "text-anchor": "end" }, short(loss)));
    for (const value of id === "finals" ? powers(FIRST, LAST) : [steps[0], steps[steps.length - 1]]) {
      const x = id === "finals" ? byLogRate(value) : byStep(value);
      ticks.append(svg("text", { x, y: 306, "text-anchor": x > 500 ? "end" : "middle" }, short(value)));
    }
  }
  within("finals", ".dots").setAttribute("d", DATA.runs.map((/** @type {Run} */ run) => shown(byLogRate(rates[run[0]]), run[3])).filter(Boolean).map((/** @type {number[]} */ [x, y]) => `M${x.toFixed(1)} ${y.toFixed(1)}h.01`).join(""));
  within("finals", ".median").setAttribute("d", path(byRate.map((runs, place) => shown(byLogRate(rates[place]), median(runs.map((run) => run[3]))))));
  const limit = 2 / plane.sharpness;
  if (limit > rates[0] && limit < rates[rates.length - 1]) within("finals", ".limit").setAttribute("d", `M${byLogRate(limit)} 8V290`);
}

/** What the runs at a rate came to. @param {number} place */
function told(place) {
  const runs = byRate[place], counts = /** @type {Record<string, number>} */ ({});
  for (const run of runs) counts[run[2]] = (counts[run[2]] || 0) + 1;
  return { runs: runs.length, counts, loss: median(runs.map((run) => run[3])), validation: median(runs.map((run) => run[4])), accuracy: median(runs.map((run) => run[5] === null ? null : -run[5])) * -1 };
}

/** @param {number} place */
function trainings(place) {
  const runs = byRate[place];
  within("curves", ".run").setAttribute("d", runs.map((run) => path(run[6].map((loss, i) => shown(byStep(steps[i]), loss)))).join(""));
  within("curves", ".median").setAttribute("d", path(steps.map((/** @type {number} */ step, /** @type {number} */ i) => shown(byStep(step), median(runs.map((run) => run[6][i]))))));
  within("finals", ".mark").setAttribute("d", `M${byLogRate(rates[place])} 8V290`);
  const found = told(place), words = /** @type {Record<string, string>} */ ({ monotone: "fell all the way", edge: "rose at times and still came down", slow: "came down too slowly", degraded: "rose and stayed far above the best", diverged: "ended above their start" });
  by("runs-said").textContent = `At rate ${short(rates[place])}, of ${found.runs} runs: ${Object.entries(found.counts).map(([name, count]) => `${count} ${words[name]}`).join(", ")}. Medians: training loss ${short(found.loss)}, validation loss ${short(found.validation)}, test accuracy ${short(found.accuracy)}.`;
}

/* The map. */

const view = { x: 0, y: 0, size: 1 }; // in shares of the widest map, from its lower left corner
/** @type {{image: HTMLImageElement, left: number, right: number, low: number, high: number}[]} */
const layers = [];

/** Pairs of rates at a share of the view. @param {number} x @param {number} y */
function pair(x, y) {
  const [[left, right], [low, high]] = DATA.maps[0].ends.map((/** @type {number[]} */ ends) => ends.map(Math.log));
  return [Math.exp(left + (right - left) * (view.x + view.size * x)), Math.exp(low + (high - low) * (view.y + view.size * y))];
}

function drawMap() {
  const canvas = by("map"), context = canvas.getContext("2d", { willReadFrequently: true }), side = canvas.width;
  view.size = Math.min(1, Math.max(1e-4, view.size));
  view.x = Math.min(1 - view.size, Math.max(0, view.x));
  view.y = Math.min(1 - view.size, Math.max(0, view.y));
  context.clearRect(0, 0, side, side);
  context.imageSmoothingEnabled = false;
  const at = (/** @type {number} */ share, /** @type {number} */ from) => side * (share - from) / view.size;
  for (const { image, left, right, low, high } of layers) context.drawImage(image, at(left, view.x), side - at(high, view.y), at(right, view.x) - at(left, view.x), at(high, view.y) - at(low, view.y));
  const [red, green] = context.getImageData(side / 2, side / 2, 1, 1).data, [first, second] = pair(0.5, 0.5);
  context.strokeStyle = "#000";
  for (const { left, right, low, high } of layers.slice(1)) context.strokeRect(at(left, view.x), side - at(high, view.y), at(right, view.x) - at(left, view.x), at(high, view.y) - at(low, view.y));
  context.strokeRect(side / 2 - 5.5, side / 2 - 5.5, 11, 11);
  by("map-said").textContent = `In the middle: hidden rate ${short(first)}, output rate ${short(second)}: ${red > green ? "it ends above its start" : "the loss falls"}. Shown: ${pair(0, 0).map(short).join(" and ")} to ${pair(1, 1).map(short).join(" and ")}.`;
}

/** Zoom about a share of the view. @param {number} factor @param {number} x @param {number} y */
function zoom(factor, x = 0.5, y = 0.5) {
  const size = Math.min(1, view.size * factor);
  view.x += (view.size - size) * x;
  view.y += (view.size - size) * y;
  view.size = size;
  drawMap();
}

/** @param {number} x @param {number} y */
function move(x, y) {
  view.x += x * view.size;
  view.y += y * view.size;
  drawMap();
}

async function map() {
  const share = (/** @type {number} */ value, /** @type {number[]} */ [a, b]) => Math.log(value / a) / Math.log(b / a);
  for (const { url, ends } of DATA.maps) {
    const image = new Image(), [across, up] = DATA.maps[0].ends;
    image.src = url;
    await image.decode();
    layers.push({ image, left: share(ends[0][0], across), right: share(ends[0][1], across), low: share(ends[1][0], up), high: share(ends[1][1], up) });
  }
  const canvas = by("map"), place = (/** @type {any} */ event) => { const box = canvas.getBoundingClientRect(); return [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height]; };
  const whole = () => { Object.assign(view, { x: 0, y: 0, size: 1 }); drawMap(); };
  by("in").addEventListener("click", () => zoom(0.5));
  by("out").addEventListener("click", () => zoom(2));
  by("whole").addEventListener("click", whole);
  canvas.addEventListener("wheel", (/** @type {any} */ event) => { event.preventDefault(); const [x, y] = place(event); zoom(event.deltaY < 0 ? 0.8 : 1.25, x, y); }, { passive: false });
  canvas.addEventListener("pointerdown", (/** @type {any} */ event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (/** @type {any} */ event) => { if (event.buttons) { const width = canvas.getBoundingClientRect().width; move(-event.movementX / width, event.movementY / width); } });
  const keys = /** @type {Record<string, () => void>} */ ({ "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: whole, ArrowLeft: () => move(-0.1, 0), ArrowRight: () => move(0.1, 0), ArrowUp: () => move(0, 0.1), ArrowDown: () => move(0, -0.1) });
  canvas.addEventListener("keydown", (/** @type {any} */ event) => { if (keys[event.key]) { event.preventDefault(); keys[event.key](); } });
  drawMap();
}

async function start() {
  for (const hidden of document.querySelectorAll(".needs-script")) hidden.classList.remove("needs-script");
  const slider = by("slider"), choose = () => {
    const place = Number(slider.value);
    by("rate").textContent = short(rates[place]);
    slider.setAttribute("aria-valuetext", short(rates[place]));
    parabola(rates[place]);
    slice(place);
    trainings(place);
  };
  axes();
  slider.addEventListener("input", choose);
  choose();
  if (DATA.maps.length) await map();
  document.documentElement.dataset.ready = "";
}

start();
