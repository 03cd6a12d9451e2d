// @ts-check
// Explore: any axis and measure against another; brushed runs; one run, and the command for it alone.
"use strict";

/** @typedef {{values: any[], codes: number[], key?: string, toml?: string[]}} Column */
/** @typedef {{axes: Record<string, Column>, series: Column, outcome: Column, measures: Record<string, (number|null)[]>, cell: string[], labels: string[], labelled: string, curves?: {steps: number[][], of: number[], losses: (number|null)[][]}}} Runs */
/** @type {Runs} */
let RUNS;
/** Of a column the interval that runs have to lie in: of names, by their order. @type {Map<string, [number, number]>} */
const brushes = new Map();
/** @type {(() => void)[]} */
const onBrush = [];
const MOST_CURVES = 100, LARGE = 1e6;
const OUTCOMES = "Outcome, of the training loss. Diverged: ended above its start. Ended over ten times the best of its series and seed: degraded if it ever rose, else slow. Else: edge if it ever rose, monotone if not.";
const REPEATS = ["seed", "split_seed"];

/** @param {string} name @returns {(run: number) => any} */
function reader(name) {
  if (name in RUNS.measures) return (run) => RUNS.measures[name][run];
  if (name === "cell") return (run) => RUNS.cell[run];
  const column = RUNS.axes[name] || /** @type {any} */ (RUNS)[name];
  return (run) => column.values[column.codes[run]];
}

const columnNames = () => ["series", ...Object.keys(RUNS.axes), ...Object.keys(RUNS.measures), "outcome", "cell"];
const words = (/** @type {string} */ name) => name.replaceAll("_", " ");
const isNumeric = (/** @type {string} */ name) => name in RUNS.measures || (RUNS.axes[name]?.values || [""]).every((each) => typeof each === "number");
const varied = () => Object.keys(RUNS.axes).filter((name) => !REPEATS.includes(name) && RUNS.axes[name].values.length > 1);

/** As ``reader``, but a series by its label. @param {string} name @returns {(run: number) => any} */
const labelled = (name) => name === "series" ? (run) => RUNS.labels[RUNS.series.codes[run]] : reader(name);
const titled = (/** @type {string} */ name) => name === "series" ? RUNS.labelled || null : words(name);

/** The ends of losses: those over a million times the least lie at the upper one. @param {number[]} values */
function lossEnds(values) {
  const known = values.filter((each) => each > 0), least = known.reduce((a, b) => Math.min(a, b), Infinity);
  return [least, Math.min(known.reduce((a, b) => Math.max(a, b), 0), LARGE * least)];
}

/** Where a run lies along a column: a number, or a name's place. @param {string} name @returns {(run: number) => number|null} */
function placer(name) {
  if (isNumeric(name)) return reader(name);
  return (run) => (RUNS.axes[name] || /** @type {any} */ (RUNS)[name]).codes[run];
}

function brushedRuns() {
  const tests = [...brushes].map(([name, ends]) => /** @type {const} */ ([placer(name), ends]));
  return RUNS.cell.map((_, run) => run).filter((run) => tests.every(([place, [low, high]]) => {
    const value = place(run);
    return value !== null && value >= low && value <= high;
  }));
}

/** @param {string} name @param {[number, number]|null} ends */
function brush(name, ends) {
  if (ends) brushes.set(name, ends); else brushes.delete(name);
  for (const each of onBrush) each();
}

/** @param {number[]} chosen */
function runsCsv(chosen) {
  const names = columnNames(), read = names.map(reader);
  return csv([names, ...chosen.map((run) => read.map((each) => each(run)))]);
}

STARTS.push(() => {
  const section = by("explore");
  const load = async () => { if (!RUNS) RUNS = JSON.parse(new TextDecoder().decode(await unpacked())); };
  by("all-data")?.addEventListener("click", async () => { await load(); save("runs.csv", runsCsv(RUNS.cell.map((_, run) => run)), "text/csv"); });
  if (section) new IntersectionObserver(async (seen, watcher) => {
    if (seen.some((each) => each.isIntersecting)) { watcher.disconnect(); await load(); explore(); }
  }, { rootMargin: "400px" }).observe(section);
});

function explore() {
  const measures = Object.keys(RUNS.measures), axes = varied();
  const choices = { x: [...axes, ...measures], y: [...measures, ...axes], colour: ["series", ...axes, "outcome", "none", ...measures], facet: ["none", "series", ...axes] };
  const many = RUNS.series.values.length > 20;
  /** @type {Record<string, string>} */
  const start = { x: axes.includes("learning_rate") ? "learning_rate" : axes[0] || measures[0], y: "validation_loss", colour: many ? "outcome" : "series", facet: "none" };
  /** @type {Record<string, HTMLSelectElement>} */
  const pickers = {};
  for (const [name, options] of Object.entries({ ...choices, scale: ["log", "linear"] })) {
    const label = document.createElement("label"), select = document.createElement("select");
    for (const option of new Set(options)) select.add(new Option(words(option), option));
    if (name in start) select.value = start[name];
    select.id = `pick-${name}`;
    label.append(`${name} `, select);
    have("pickers").append(label);
    pickers[name] = select;
    select.addEventListener("change", scatter);
  }
  /** Columns that the scatter plot has brushed. @type {string[]} */
  let mine = [];
  async function scatter() {
    const chosen = Object.fromEntries(Object.entries(pickers).map(([name, select]) => [name, select.value]));
    for (const name of mine) brushes.delete(name);
    mine = [];
    const map = isHeatMap(chosen), spec = map ? heatSpec(chosen) : exploreSpec(chosen);
    have("explored").setAttribute("aria-label", spec.description || "The runs, by the axes that are picked");
    have("explore-hint").textContent = map ? spec.description : [chosen.colour, chosen.facet].includes("outcome") ? OUTCOMES : "";
    const view = await draw("explored", spec, RUNS.cell.length > 2000 ? "canvas" : "svg");
    view.addEventListener("click", (/** @type {any} */ _, /** @type {any} */ item) => { if (item?.datum?.run !== undefined) showRun(item.datum.run); });
    if (chosen.facet === "none" && !map) view.addSignalListener("brush", (/** @type {string} */ _, /** @type {Record<string, any>} */ found) => {
      for (const name of mine) brushes.delete(name);
      mine = Object.keys(found).filter((name) => isNumeric(name) && typeof found[name][0] === "number");
      for (const name of mine) brushes.set(name, [Math.min(...found[name]), Math.max(...found[name])]);
      for (const each of onBrush) each();
    });
    for (const each of onBrush) each();
  }
  let waiting = 0;
  onBrush.push(() => { clearTimeout(waiting); waiting = window.setTimeout(told, 60); });
  by("clear-brushes")?.addEventListener("click", () => { brushes.clear(); scatter(); });
  by("brushed-csv")?.addEventListener("click", () => save("brushed.csv", runsCsv(brushedRuns()), "text/csv"));
  if (axes.length > 2) parallel([...axes, ...Object.keys(RUNS.measures).filter((name) => /^(validation_loss|test_(?!loss).*)$/.test(name))]);
  scatter();
}

/** Say which runs are brushed, and draw their curves. */
function told() {
  const found = brushedRuns(), curves = RUNS.curves;
  const count = found.length.toLocaleString("en"), every = RUNS.cell.length.toLocaleString("en");
  have("brushed-count").textContent = brushes.size
    ? `${count} of ${every} runs: ${[...brushes].map(([name, ends]) => `${words(name)} ${ends.map((end) => brushEnd(name, end)).join(" to ")}`).join(", ")}`
    : `${every} runs. Drag over points to brush; click a point for its run.`;
  const place = have("brushed-curves"), note = have("brushed-note");
  place.hidden = note.hidden = !brushes.size || !curves || !found.length;
  if (place.hidden || !curves) return;
  const step = Math.max(1, found.length / MOST_CURVES);
  const shown = found.filter((_, n) => Math.floor(n / step) !== Math.floor((n - 1) / step) || !n).slice(0, MOST_CURVES);
  note.textContent = `Training loss, thinned to at most ${DATA.points} points a run${shown.length < found.length ? `; ${shown.length} of ${count} brushed runs` : ""}. curves/ beside this page has every point.`;
  draw("brushed-curves", curveSpec(shown, 0.5));
}

/** @param {string} name @param {number} end */
const brushEnd = (name, end) => isNumeric(name) ? short(end) : RUNS.axes[name].values[Math.max(0, Math.min(RUNS.axes[name].values.length - 1, Math.round(end)))];

/** @param {number[]} chosen @param {number} opacity */
function curveSpec(chosen, opacity) {
  const curves = /** @type {NonNullable<Runs["curves"]>} */ (RUNS.curves), series = labelled("series");
  const values = chosen.flatMap((run) => curves.of[run] < 0 ? [] : curves.steps[curves.of[run]].map((step, n) => ({ run, series: series(run), step, loss: curves.losses[run][n] })));
  const few = new Set(values.map((each) => each.series)).size <= 14;
  const positive = values.every((each) => each.loss === null || each.loss > 0);
  return {
    ...shared(), data: { values: values.filter((each) => each.loss !== null) }, width: "container", height: 220,
    mark: { type: "line", opacity, strokeWidth: 1.4, clip: true },
    encoding: {
      x: { field: "step", type: "quantitative", axis: { grid: false, tickCount: 6 } },
      y: { field: "loss", type: "quantitative", title: "training loss", scale: { type: positive ? "log" : "linear" }, axis: { grid: false, format: "~g", tickCount: 5 } },
      color: few ? { field: "series", type: "nominal", scale: { range: colours() }, legend: { title: titled("series"), labelLimit: 420, columns: 2 } } : { value: "var(--c4)" },
      detail: { field: "run" }, tooltip: ["series", "step", "loss"].map((field) => ({ field })),
    },
  };
}

/** One run: its settings, its curve, and the command that repeats it alone. @param {number} run */
function showRun(run) {
  const table = document.createElement("table");
  for (const name of columnNames()) {
    const row = table.insertRow(), head = document.createElement("th"), value = reader(name)(run);
    head.textContent = words(name);
    head.scope = "row";
    row.append(head);
    row.insertCell().textContent = value === null ? "not finite" : String(value);
  }
  have("run-facts").replaceChildren(table);
  const command = alone(run);
  have("run-alone").hidden = !command;
  have("run-command").textContent = command;
  have("run").hidden = false;
  const curves = RUNS.curves, place = have("run-curve");
  place.hidden = !curves || curves.of[run] < 0;
  if (!place.hidden) draw("run-curve", curveSpec([run], 1));
}

/** @param {number} run */
function alone(run) {
  if (!DATA.again) return "";
  const quoted = (/** @type {string} */ text) => `'${text.replaceAll("'", "'\\''")}'`;
  const named = Object.values(RUNS.axes).map((axis) => `${axis.key}=[${axis.toml?.[axis.codes[run]]}]`);
  return ["jax-backprop sweep study.toml --out alone", ...[...named, ...DATA.again].map((each) => `--set ${quoted(each)}`)].join(" \\\n  ");
}

const colours = () => [4, 5, 6, 7, 8, 9, 10].map((n) => `var(--c${n})`);
function shared() {
  const base = /** @type {any} */ (Object.values(DATA.specs)[0]);
  return { $schema: base.$schema, config: base.config };
}

/** @param {Record<string, string>} chosen */
function exploreSpec(chosen) {
  const names = [...new Set(["series", "outcome", chosen.x, chosen.y, chosen.colour, chosen.facet])].filter((name) => name !== "none");
  const read = names.map((name) => /** @type {const} */ ([name, labelled(name)]));
  const rows = RUNS.cell.map((_, run) => Object.fromEntries([["run", run], ...read.map(([name, each]) => [name, each(run)])])).filter((row) => row[chosen.x] !== null && row[chosen.y] !== null);
  /** @param {string} name */
  const scale = (name) => {
    if (chosen.scale !== "log" || /^(train|validation|test)_(?!loss)/.test(name) || !rows.every((row) => Number(row[name]) > 0)) return { zero: false };
    if (!name.endsWith("_loss")) return { type: "log" };
    return { type: "log", domain: lossEnds(rows.map((row) => Number(row[name]))), clamp: true };
  };
  const axis = (/** @type {string} */ name) => isNumeric(name)
    ? { field: name, type: "quantitative", title: words(name), scale: scale(name), axis: { format: "~g", tickCount: 6, grid: false } }
    : { field: name, type: "nominal", title: words(name), sort: null };
  const encoding = /** @type {any} */ ({ x: axis(chosen.x), y: axis(chosen.y), tooltip: names.map((field) => ({ field })) });
  if (chosen.colour !== "none") encoding.color = chosen.colour in RUNS.measures ? { ...axis(chosen.colour), axis: undefined, scale: { ...scale(chosen.colour), scheme: "viridis" } } : { field: chosen.colour, type: "nominal", scale: { range: colours() }, legend: new Set(rows.map((row) => row[chosen.colour])).size > 20 ? null : { title: titled(chosen.colour), labelLimit: 420, columns: 2 } };
  if (chosen.facet !== "none") encoding.facet = { field: chosen.facet, type: "nominal", columns: 3, title: null };
  const one = chosen.facet === "none";
  const size = one ? { width: "container", height: 300 } : { width: 220, height: 180 };
  const params = one ? { params: [{ name: "brush", select: { type: "interval" } }] } : {};
  return { ...shared(), ...params, data: { values: rows }, mark: { type: "point", filled: true, size: 22, opacity: 0.6 }, encoding, ...size };
}
