// @ts-check
// What every study's page does: charts that share a rate and a selection, downloads of what it holds.
"use strict";

/** @typedef {Record<string, any>} Row */
/** @typedef {{specs: Record<string, any>, rates?: Row[], compared?: string[][], labels?: Record<string, string>, again?: string[]|null, sides?: string[], points?: number, map?: any}} Data */
/** @type {Data} */
const DATA = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("data")).textContent || "{}");
/** Charts by their place. @type {Record<string, any>} */
const views = {};
/** Called once the charts stand, in the order of the scripts. @type {(() => void)[]} */
const STARTS = [];
const by = (/** @type {string} */ id) => document.getElementById(id);
const have = (/** @type {string} */ id) => /** @type {HTMLElement} */ (by(id));
const short = (/** @type {any} */ value) => typeof value === "number" ? String(Number(value.toPrecision(3))) : value ?? "none";

for (const each of document.querySelectorAll(".needs-script")) each.classList.remove("needs-script");

/** What the page holds compressed. @returns {Promise<ArrayBuffer>} */
async function unpacked() {
  const bytes = Uint8Array.from(atob((by("packed")?.textContent || "").trim()), (each) => each.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** @type {Record<string, ResizeObserver>} */
const watching = {};

/** Draw a chart into its place, instead of what is there. @param {string} id @param {any} spec @param {"svg"|"canvas"} renderer */
async function draw(id, spec, renderer = "svg") {
  const place = have(id);
  const options = { actions: false, ast: true, renderer, tooltip: { theme: "page", disableDefaultStyle: false } };
  const shown = document.createElement("div");
  shown.style.width = "100%";
  shown.setAttribute("aria-hidden", "true"); // its place says what is seen
  if (place.clientWidth < NARROW) spec = narrow(spec, place.clientWidth);
  const wide = spec.width === "container";
  if (wide) spec = { ...spec, width: Math.max(200, place.clientWidth), autosize: { type: "fit-x", contains: "padding" } };
  const { view } = await /** @type {any} */ (window).vegaEmbed(shown, renderer === "canvas" ? coloured(spec) : spec, options);
  watching[id]?.disconnect();
  views[id]?.finalize();
  place.replaceChildren(shown);
  views[id] = view;
  if (wide) {
    watching[id] = new ResizeObserver(() => {
      const width = Math.max(200, place.clientWidth);
      if (Math.abs(view.width() - width) > 1 && view.__width !== width) { view.__width = width; view.width(width).runAsync(); }
    });
    watching[id].observe(place);
  }
  return view;
}

const APART = /, (?![^()]*\))/; // the parts of a name
const NARROW = 640; // pixels of a place for a chart
const NAME = 12, ACROSS = 27; // pixels of a line of a name on a phone, and its characters

/** A specification as a phone has room for it: names in lines, one chart below the other. @param {any} spec @param {number} wide @returns {any} */
function narrow(spec, wide) {
  const made = JSON.parse(JSON.stringify(spec), (name, value) => {
    if (name === "legend" && value?.labelLimit) return { ...value, columns: 1, labelFontSize: NAME - 2, labelLimit: wide - 70 };
    if (name === "width" && typeof value === "number") return wide - 90;
    return name === "columns" && value > 1 ? 1 : value;
  });
  made.config = { ...made.config, legend: { ...made.config?.legend, columns: 2 } };
  return named(stacked(made));
}

/** Charts that lay side by side, one below the other. @param {any} spec @returns {any} */
function stacked(spec) {
  const { hconcat, ...rest } = spec;
  for (const kind of ["vconcat", "concat"]) if (rest[kind]) rest[kind] = rest[kind].map(stacked);
  return hconcat ? { ...rest, vconcat: hconcat.map(stacked) } : rest;
}

/** A name in lines. @param {string} text */
function inLines(text) {
  const lines = [""];
  for (const part of text.split(APART).flatMap((each) => each.length > ACROSS ? each.split(", ") : [each])) {
    const last = lines[lines.length - 1], joined = last ? `${last}, ${part}` : part;
    if (!last || joined.length <= ACROSS) lines[lines.length - 1] = joined; else lines.push(part);
  }
  return lines.join("\n");
}

/** Names along an axis in lines, in rows that are as high. @param {any} spec @returns {any} */
function named(spec) {
  const axis = (spec.layer || []).map((/** @type {any} */ each) => each.encoding?.y).find((/** @type {any} */ each) => each?.axis?.labelLimit);
  if (!axis) return spec;
  const lines = new Map(axis.scale.domain.map((/** @type {string} */ each) => [each, inLines(each)]));
  const most = Math.max(...[...lines.values()].map((each) => each.split("\n").length));
  const made = JSON.parse(JSON.stringify(spec), (_, value) => lines.get(value) ?? value);
  const look = { labelExpr: "split(datum.label, '\\n')", labelFontSize: NAME - 2, labelLineHeight: NAME, labelLimit: 170, labelOffset: (-NAME * (most - 1)) / 2 };
  for (const each of made.layer) if (each.encoding?.y?.axis?.labelLimit) Object.assign(each.encoding.y.axis, look);
  made.config = { ...made.config, legend: { ...made.config?.legend, columns: 1 } };
  return { ...made, height: Math.max(spec.height, lines.size * (NAME * most + 6)) };
}

/** A specification or drawing with the page's colours written out. @template T @param {T} drawn @returns {T} */
function coloured(drawn) {
  const style = getComputedStyle(document.documentElement);
  const text = typeof drawn === "string" ? drawn : JSON.stringify(drawn);
  const out = text.replace(/var\((--c\d+)\)/g, (_, name) => style.getPropertyValue(name).trim());
  return typeof drawn === "string" ? /** @type {any} */ (out) : JSON.parse(out);
}

/** Set a signal in each chart that has it. @param {string} name @param {any} value */
function signal(name, value) {
  for (const view of Object.values(views)) {
    try { view.signal(name, value).runAsync(); } catch { /* a chart without this signal */ }
  }
}

/* The rate: slider, arrow keys and pointer set one place on the grid. */

const slider = /** @type {HTMLInputElement|null} */ (by("slider"));

/** @param {number} place */
function choose(place) {
  const row = (DATA.rates || []).find((each) => each.n === place);
  const out = by("readout");
  if (slider) { slider.value = String(place); slider.setAttribute("aria-valuetext", row ? `rate ${short(row.learning_rate)}` : "no finite loss"); }
  if (out) out.textContent = row
    ? `rate ${short(row.learning_rate)}: loss ${short(row.validation_loss)} [${short(row.validation_loss_low)}, ${short(row.validation_loss_high)}], test ${row.score} ${short(row[`test_${row.score}`])}, ${row.diverged} of ${row.runs} runs failed`
    : "no run ended with a finite loss at this rate";
  signal("chosen", place);
}

/** @param {any} view */
function follow(view) {
  const chart = have("answer");
  chart.tabIndex = 0;
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !slider) return;
    event.preventDefault();
    choose(Math.min(Number(slider.max), Math.max(0, Number(slider.value) + step)));
  });
  view.addEventListener("pointermove", (/** @type {any} */ event) => {
    const box = chart.querySelector("svg")?.getBoundingClientRect();
    if (!box) return;
    const rate = view.scale("x").invert(event.clientX - box.left - view.origin()[0]);
    const near = (/** @type {Row} */ row) => Math.abs(Math.log(Number(row.learning_rate) / rate));
    const best = (DATA.rates || []).reduce((a, b) => (near(a) <= near(b) ? a : b));
    choose(Number(best.n));
  });
}

/* Downloads, all made from what the page holds. */

/** @param {string} name @param {BlobPart} content @param {string} type */
function save(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** A cell that no spreadsheet computes. @param {any} value */
function cell(value) {
  if (value === null || value === undefined) return "";
  let text = String(value);
  if (typeof value === "string" && /^[=+@\t\r-]/.test(text) && Number.isNaN(Number(text))) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {any[][]} rows */
const csv = (rows) => rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";

/** A chart as a file of its own. @param {string} id */
async function svgOf(id) {
  const drawn = views[id] ? await views[id].toSVG() : have(id).innerHTML;
  const paper = getComputedStyle(document.documentElement).getPropertyValue("--c2").trim();
  return coloured(drawn).replace(/(<svg[^>]*>)/, `$1<rect width="100%" height="100%" fill="${paper}"/>`);
}

/** @param {string} id */
async function savePng(id) {
  const image = new Image();
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(await svgOf(id));
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * image.width, 2 * image.height];
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => blob && save(`${id}.png`, blob, "image/png"));
}

document.addEventListener("click", async (event) => {
  const { svg, png, table, copy } = /** @type {HTMLElement} */ (event.target).dataset || {};
  if (svg) save(`${svg}.svg`, await svgOf(svg), "image/svg+xml");
  if (png) await savePng(png);
  if (copy) navigator.clipboard?.writeText(by(copy)?.textContent || "");
  if (table) {
    const rows = [...have(`figure-${table}`).querySelectorAll("tr")];
    save(`${table}.csv`, csv(rows.map((row) => [...row.cells].map((each) => each.textContent))), "text/csv");
  }
});

/* On paper, boxes are open and charts have the colours of light paper. */

/** @type {HTMLDetailsElement[]} */
let opened = [];
window.addEventListener("beforeprint", () => {
  opened = [.../** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll("details:not([open]):not(.numbers)"))];
  for (const each of opened) each.open = true;
});
window.addEventListener("afterprint", () => { for (const each of opened) each.open = false; });

document.addEventListener("DOMContentLoaded", async () => {
  for (const [name, spec] of Object.entries(DATA.specs)) {
    const view = await draw(name, spec);
    if (name === "answer" && slider) follow(view);
  }
  slider?.addEventListener("input", () => choose(Number(slider.value)));
  if (slider) choose(Number(slider.value));
  for (const start of STARTS) start();
  document.documentElement.dataset.ready = "yes";
});
