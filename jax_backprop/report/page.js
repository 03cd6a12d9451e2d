// @ts-check
// What a study's page does: charts that share a rate and a selection, a table to sort, downloads.
"use strict";

/** @typedef {Record<string, number|string|null>} Row */
/** @typedef {{specs: Record<string, any>, rates?: Row[], runs?: Record<string, any[]>, axes?: string[]}} Data */
/** @type {Data} */
const DATA = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("data")).textContent || "{}");
/** @type {Record<string, any>} */
const views = {};
const by = (/** @type {string} */ id) => document.getElementById(id);
const short = (/** @type {any} */ value) => typeof value === "number" ? String(Number(value.toPrecision(3))) : "none";

for (const each of document.querySelectorAll(".needs-script")) each.classList.remove("needs-script");

/** @param {string} id @param {any} spec */
async function draw(id, spec) {
  const place = /** @type {HTMLElement} */ (by(id));
  const options = { actions: false, ast: true, renderer: "svg", tooltip: { theme: "page", disableDefaultStyle: false } };
  const shown = document.createElement("div");
  shown.style.width = "100%";
  const wide = spec.width === "container";
  if (wide) spec = { ...spec, width: Math.max(200, place.clientWidth), autosize: { type: "fit-x", contains: "padding" } };
  const { view } = await /** @type {any} */ (window).vegaEmbed(shown, spec, options);
  place.replaceChildren(shown);
  views[id] = view;
  if (wide) new ResizeObserver(() => {
    const width = Math.max(200, place.clientWidth);
    if (Math.abs(view.width() - width) > 1 && view.__width !== width) { view.__width = width; view.width(width).runAsync(); }
  }).observe(place);
  return view;
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
  const rates = DATA.rates || [];
  const row = rates.find((each) => each.n === place);
  const out = by("readout");
  if (slider) { slider.value = String(place); slider.setAttribute("aria-valuetext", row ? `rate ${short(row.learning_rate)}` : "no finite loss"); }
  if (out) out.textContent = row
    ? `rate ${short(row.learning_rate)}: loss ${short(row.validation_loss)} [${short(row.validation_loss_low)}, ${short(row.validation_loss_high)}], test accuracy ${short(row.test_accuracy)}, ${row.diverged} of ${row.runs} runs failed`
    : "no run ended with a finite loss at this rate";
  signal("chosen", place);
}

/** @param {any} view */
function follow(view) {
  const chart = /** @type {HTMLElement} */ (by("answer"));
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

/* The table of series: sorted by any column, filtered by name, ticked for the charts. */

/** @param {HTMLTableElement} table */
function compareTable(table) {
  const body = table.tBodies[0], rows = [...body.rows], most = sensitivities(rows);
  const picked = new Set();
  for (const row of rows) {
    const box = document.createElement("input");
    box.type = "checkbox";
    const name = row.cells[0].textContent || "";
    box.setAttribute("aria-label", `show ${name}`);
    box.addEventListener("change", () => { box.checked ? picked.add(name) : picked.delete(name); signal("picked", [...picked]); });
    row.cells[0].prepend(box, " ");
    const last = row.cells[row.cells.length - 1], value = parseFloat(last.textContent || "");
    if (value > 0) { const bar = document.createElement("span"); bar.className = "bar"; bar.style.width = `${(40 * value) / most}px`; last.append(bar); }
    row.dataset.name = name;
  }
  [...table.tHead?.rows[0].cells || []].forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead?.rows[0].cells || []) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (/** @type {HTMLTableRowElement} */ row) => (row.cells[column].textContent || "").trim();
      rows.sort((a, b) => order(key(a), key(b)) * (down ? -1 : 1));
      body.append(...rows);
    });
  });
  by("filter")?.addEventListener("input", (event) => {
    const wanted = /** @type {HTMLInputElement} */ (event.target).value.toLowerCase();
    for (const row of rows) row.hidden = !(row.dataset.name || "").toLowerCase().includes(wanted);
  });
  by("clear")?.addEventListener("click", () => {
    for (const box of body.querySelectorAll("input")) box.checked = false;
    picked.clear();
    signal("picked", []);
  });
}

/** @param {HTMLTableRowElement[]} rows */
function sensitivities(rows) {
  return Math.max(1e-300, ...rows.map((row) => parseFloat(row.cells[row.cells.length - 1].textContent || "") || 0));
}

/** Compare numbers as numbers, and put what is none last. @param {string} a @param {string} b */
function order(a, b) {
  const [x, y] = [parseFloat(a), parseFloat(b)];
  if (Number.isNaN(x) && Number.isNaN(y)) return a.localeCompare(b);
  return Number.isNaN(x) ? 1 : Number.isNaN(y) ? -1 : x - y;
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

/** @param {Record<string, any[]>} columns */
function runsCsv(columns) {
  const names = Object.keys(columns);
  return csv([names, ...columns[names[0]].map((_, row) => names.map((name) => columns[name][row]))]);
}

/** A chart as a file of its own, the page's colours written out. @param {string} id */
async function svgOf(id) {
  const drawn = views[id] ? await views[id].toSVG() : /** @type {HTMLElement} */ (by(id)).innerHTML;
  const style = getComputedStyle(document.documentElement);
  const text = drawn.replace(/var\((--c\d+)\)/g, (/** @type {string} */ _, /** @type {string} */ name) => style.getPropertyValue(name).trim());
  const paper = style.getPropertyValue("--c2").trim();
  return text.replace(/(<svg[^>]*>)/, `$1<rect width="100%" height="100%" fill="${paper}"/>`);
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
  const { svg, png, table } = /** @type {HTMLElement} */ (event.target).dataset || {};
  if (svg) save(`${svg}.svg`, await svgOf(svg), "image/svg+xml");
  if (png) await savePng(png);
  if (table) {
    const rows = [.../** @type {HTMLElement} */ (by(`figure-${table}`)).querySelectorAll("tr")];
    save(`${table}.csv`, csv(rows.map((row) => [...row.cells].map((each) => each.textContent))), "text/csv");
  }
});
by("all-data")?.addEventListener("click", () => DATA.runs && save("runs.csv", runsCsv(DATA.runs), "text/csv"));
by("copy")?.addEventListener("click", () => navigator.clipboard?.writeText(by("toml")?.textContent || ""));

/* Explore: any axis and measure against another. */

/** @param {Record<string, any[]>} columns */
function explore(columns) {
  const measures = Object.keys(columns).filter((name) => /_(loss|accuracy)$/.test(name));
  const axes = (DATA.axes || []).filter((name) => name in columns && name !== "seed");
  const choices = { x: [...axes, ...measures], y: [...measures, ...axes], colour: ["series", ...axes, "outcome", "none"], facet: ["none", "series", ...axes] };
  const start = { x: axes.includes("learning_rate") ? "learning_rate" : axes[0], y: "validation_loss", colour: "series", facet: "none" };
  const rows = columns.series.map((_, n) => Object.fromEntries(Object.keys(columns).map((name) => [name, columns[name][n]])));
  const place = /** @type {HTMLElement} */ (by("pickers"));
  /** @type {Record<string, HTMLSelectElement>} */
  const pickers = {};
  for (const [name, options] of Object.entries({ ...choices, scale: ["log", "linear"] })) {
    const label = document.createElement("label"), select = document.createElement("select");
    for (const option of new Set(options)) select.add(new Option(option.replaceAll("_", " "), option));
    if (name in start) select.value = /** @type {any} */ (start)[name];
    select.id = `pick-${name}`;
    label.append(`${name} `, select);
    place.append(label);
    pickers[name] = select;
    select.addEventListener("change", show);
  }
  function show() {
    const chosen = Object.fromEntries(Object.entries(pickers).map(([name, select]) => [name, select.value]));
    const note = by("explored-note");
    const shown = rows.filter((row) => row[chosen.x] !== null && row[chosen.y] !== null);
    if (note) note.textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} runs; click a point for its run.`;
    draw("explored", exploreSpec(shown, chosen)).then((view) => view.addEventListener("click", (/** @type {any} */ _, /** @type {any} */ item) => {
      if (item?.datum?.series && note) note.textContent = Object.entries(item.datum).filter(([name]) => name in columns).map(([name, value]) => `${name} ${typeof value === "number" ? short(value) : value}`).join(", ");
    }));
  }
  show();
}

/** @param {Row[]} rows @param {Record<string, string>} chosen */
function exploreSpec(rows, chosen) {
  const numeric = (/** @type {string} */ name) => rows.every((row) => typeof row[name] === "number");
  const scale = (/** @type {string} */ name) => chosen.scale === "log" && !/accuracy/.test(name) && rows.every((row) => Number(row[name]) > 0) ? "log" : "linear";
  const axis = (/** @type {string} */ name) => numeric(name)
    ? { field: name, type: "quantitative", title: name.replaceAll("_", " "), scale: scale(name) === "log" ? { type: "log" } : { zero: false }, axis: { format: "~g", tickCount: 6, grid: false } }
    : { field: name, type: "nominal", title: name.replaceAll("_", " ") };
  const base = /** @type {any} */ (DATA.specs.loss_by_rate || Object.values(DATA.specs)[0]);
  const colors = [4, 5, 6, 7, 8, 9, 10].map((n) => `var(--c${n})`);
  const encoding = /** @type {any} */ ({ x: axis(chosen.x), y: axis(chosen.y), tooltip: ["series", chosen.x, chosen.y, "outcome"].map((field) => ({ field })) });
  if (chosen.colour !== "none") encoding.color = { field: chosen.colour, type: "nominal", scale: { range: colors }, legend: new Set(rows.map((row) => row[chosen.colour])).size > 20 ? null : {} };
  if (chosen.facet !== "none") encoding.facet = { field: chosen.facet, type: "nominal", columns: 3, title: null };
  const size = chosen.facet === "none" ? { width: "container", height: 300 } : { width: 220, height: 180 };
  return { $schema: base.$schema, config: base.config, data: { values: rows }, mark: { type: "point", filled: true, size: 22, opacity: 0.6 }, encoding, ...size };
}

/* Start: the charts in their order; Explore once it comes into sight. */

(async () => {
  const names = Object.keys(DATA.specs);
  for (const name of names) {
    const view = await draw(name, DATA.specs[name]);
    if (name === "answer" && slider) follow(view);
  }
  slider?.addEventListener("input", () => choose(Number(slider.value)));
  if (slider) choose(Number(slider.value));
  const table = /** @type {HTMLTableElement|null} */ (by("compared"));
  if (table) compareTable(table);
  const runs = DATA.runs, section = by("explore");
  if (runs && runs.series && section) new IntersectionObserver((seen, watcher) => {
    if (seen.some((each) => each.isIntersecting)) { watcher.disconnect(); explore(runs); }
  }, { rootMargin: "400px" }).observe(section);
  document.documentElement.dataset.ready = "yes";
})();
