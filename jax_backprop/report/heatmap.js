// @ts-check
// Explore: where x and y are axes of numbers, a heat map of the median of a measure.
"use strict";

const CLIPPED = 100; // times the least loss: above it all cells look alike

/** @param {Record<string, string>} chosen */
const isHeatMap = (chosen) => chosen.x !== chosen.y && [chosen.x, chosen.y].every((name) => name in RUNS.axes && isNumeric(name));

/** Both edges of each of an axis' values. @param {number[]} values @param {boolean} log @returns {Map<number, [number, number]>} */
function edgesOf(values, log) {
  const sorted = [...values].sort((a, b) => a - b), to = log ? Math.log : Number, from = log ? Math.exp : Number;
  const at = sorted.map(to), gap = (/** @type {number} */ n) => at.length > 1 ? at[n + 1] - at[n] : 1;
  return new Map(sorted.map((value, n) => [value, [from(at[n] - gap(Math.max(0, n - 1)) / 2), from(at[n] + gap(Math.min(n, at.length - 2)) / 2)]]));
}

/** A row a cell: its edges, the median over its runs, and how many of them have no finite value. @param {Record<string, string>} chosen @param {string} measure @param {boolean[]} log */
function heatRows(chosen, measure, log) {
  const [x, y, facet] = [chosen.x, chosen.y, chosen.facet].map((name) => name === "none" ? () => "" : reader(name));
  const value = reader(measure), edges = [chosen.x, chosen.y].map((name, n) => edgesOf(RUNS.axes[name].values, log[n]));
  /** @type {Map<string, number[]>} */
  const cells = new Map();
  RUNS.cell.forEach((_, run) => {
    const key = JSON.stringify([x(run), y(run), facet(run)]);
    cells.set(key, [...(cells.get(key) || []), run]);
  });
  return [...cells.values()].map((runs) => {
    const known = runs.map(value).map((each) => each === null ? Infinity : Number(each)).sort((a, b) => a - b);
    const middle = (known[Math.floor((known.length - 1) / 2)] + known[Math.floor(known.length / 2)]) / 2;
    const [left, right] = /** @type {number[]} */ (edges[0].get(x(runs[0]))), [low, high] = /** @type {number[]} */ (edges[1].get(y(runs[0])));
    return { left, right, low, high, x: x(runs[0]), y: y(runs[0]), facet: facet(runs[0]), runs: runs.length, median: Number.isFinite(middle) ? middle : null, "not finite": known.filter((each) => !Number.isFinite(each)).length };
  });
}

/** @param {Record<string, string>} chosen */
function heatSpec(chosen) {
  const measure = chosen.colour in RUNS.measures ? chosen.colour : "validation_loss" in RUNS.measures ? "validation_loss" : Object.keys(RUNS.measures)[0];
  const log = [chosen.x, chosen.y].map((name) => chosen.scale === "log" && RUNS.axes[name].values.every((each) => each > 0));
  const rows = heatRows(chosen, measure, log), known = rows.flatMap((row) => row.median === null ? [] : [row]);
  const medians = known.map((row) => Number(row.median)), least = Math.min(...medians), most = Math.max(...medians);
  const loss = measure.endsWith("_loss") && least > 0, cap = loss ? Math.min(most, CLIPPED * least) : most;
  const title = `${words(measure)}, median${cap < most ? `; from ${short(cap)} on alike` : ""}; grey: not finite`;
  const best = known.find((row) => row.median === (loss || measure.endsWith("_loss") ? least : most));
  const axis = (/** @type {number} */ n, /** @type {string[]} */ ends, /** @type {string} */ name) => ({
    field: ends[0], type: "quantitative", title: words(name), axis: { format: "~g", tickCount: 6, grid: false },
    scale: { type: log[n] ? "log" : "linear", nice: false, domain: [Math.min(...rows.map((row) => /** @type {any} */ (row)[ends[0]])), Math.max(...rows.map((row) => /** @type {any} */ (row)[ends[1]]))] },
  });
  const color = { field: "median", type: "quantitative", title, scale: { type: loss && chosen.scale === "log" ? "log" : "linear", scheme: "viridis", reverse: measure.endsWith("_loss"), clamp: true, ...(medians.length ? { domain: least < cap ? [least, cap] : [least, least + Math.abs(least || 1)] } : {}) }, legend: { gradientLength: 200, format: "~g", titleLimit: 460, tickCount: 4 } };
  const encoding = /** @type {any} */ ({
    x: axis(0, ["left", "right"], chosen.x), x2: { field: "right" }, y: axis(1, ["low", "high"], chosen.y), y2: { field: "high" },
    color: { ...color, condition: { test: "!isValid(datum.median)", value: "var(--c10)" } },
    tooltip: [["x", chosen.x], ["y", chosen.y], ["median", measure], ["runs", "runs"], ["not finite", "not finite"]].map(([field, name]) => ({ field, title: words(name) })),
  });
  const one = chosen.facet === "none";
  if (!one) encoding.facet = { field: "facet", type: "nominal", columns: 3, title: null };
  const told = best ? ` Best: ${short(best.median)} at ${words(chosen.x)} ${short(best.x)}, ${words(chosen.y)} ${short(best.y)}.` : "";
  return { ...shared(), description: `Median ${words(measure)} over ${words(chosen.x)} and ${words(chosen.y)}.${told}`, data: { values: rows }, mark: { type: "rect" }, encoding, ...(one ? { width: "container", height: 320 } : { width: 220, height: 180 }) };
}
