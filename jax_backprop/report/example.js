// @ts-check
// The worked example of the derivation's page, live: every number by the homework's equations.
"use strict";

/** @typedef {number | number[] | number[][]} Quantity */
/** @typedef {Record<string, any>} Values */

const sum = (/** @type {number[]} */ values) => values.reduce((a, b) => a + b, 0);
/** One element for each of a list, or of a list of lists. */
const each = (/** @type {any} */ list, /** @type {(...at: number[]) => number} */ f) =>
  list.map((/** @type {any} */ row, /** @type {number} */ i) => Array.isArray(row) ? row.map((_, j) => f(i, j)) : f(i));

/** Equations (1) to (5). @param {Values} p @returns {Values} */
function forward(p) {
  const pre_activations = each(p.hidden_biases, (h) => sum(each(p.inputs, (n) => p.inputs[n] * p.hidden_weights[n][h])) + p.hidden_biases[h]);
  const hidden = each(pre_activations, (h) => 1 / (1 + Math.exp(-pre_activations[h])));
  const logits = each(p.output_biases, (k) => sum(each(hidden, (h) => hidden[h] * p.output_weights[h][k])) + p.output_biases[k]);
  const shifted_logits = each(logits, (k) => logits[k] - Math.max(...logits));
  const total = sum(shifted_logits.map(Math.exp));
  const outputs = each(logits, (k) => Math.exp(shifted_logits[k]) / total);
  const loss = -sum(each(outputs, (k) => p.labels[k] && p.labels[k] * Math.log(outputs[k])));
  const label_output = sum(each(outputs, (k) => p.labels[k] * outputs[k]));
  return { pre_activations, minus_pre_activations: each(pre_activations, (h) => -pre_activations[h]), hidden, logits, shifted_logits, outputs, loss, label_output };
}

/** Equations (14) to (21) and the biases. @param {Values} p @param {Values} f @returns {Values} */
function backward(p, f) {
  const d_logits = each(f.outputs, (k) => f.outputs[k] - p.labels[k]);
  const d_output_weights = each(p.output_weights, (h, k) => f.hidden[h] * d_logits[k]);
  const d_hidden = each(f.hidden, (h) => sum(each(d_logits, (k) => d_logits[k] * p.output_weights[h][k])));
  const d_pre_activations = each(d_hidden, (h) => d_hidden[h] * f.hidden[h] * (1 - f.hidden[h]));
  const d_hidden_weights = each(p.hidden_weights, (n, h) => p.inputs[n] * d_pre_activations[h]);
  return { d_logits, d_output_weights, d_output_biases: d_logits, d_hidden, d_pre_activations, d_hidden_weights, d_hidden_biases: d_pre_activations };
}

const PARAMETERS = ["hidden_weights", "hidden_biases", "output_weights", "output_biases"];
const at = (/** @type {any} */ values, /** @type {number[]} */ index) => index.reduce((found, i) => found[i], values);

/** The update (U). @param {Values} p @param {Values} gradient @param {number} rate @returns {Values} */
function updated(p, gradient, rate) {
  const moved = PARAMETERS.map((name) => [name, each(p[name], (...index) => at(p[name], index) - rate * at(gradient[`d_${name}`], index))]);
  return { ...p, ...Object.fromEntries(moved) };
}

/** Every number of the example, by the names that Python gives them. @param {Values} p @param {number} rate @returns {Values} */
function quantities(p, rate) {
  const f = forward(p), gradient = backward(p, f), next = updated(p, gradient, rate);
  const gradient_square = sum(PARAMETERS.map((name) => sum(gradient[`d_${name}`].flat().map((/** @type {number} */ g) => g * g))));
  const moved = Object.fromEntries(PARAMETERS.map((name) => [`new_${name}`, next[name]]));
  return { ...p, ...f, ...gradient, ...moved, learning_rate: rate, gradient_square, first_order_loss: f.loss - rate * gradient_square, updated_loss: forward(next).loss };
}

/** A number in four digits, as Python's ".4g" writes it. @param {number} value */
function shown(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  if (value === 0) return "0";
  const [digits, power] = value.toExponential(3).split("e"), exponent = Number(power);
  if (exponent >= -4 && exponent < 4) return String(Number(value.toPrecision(4)));
  return `${Number(digits)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

/* The page. */

const DATA = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("data")).textContent || "{}");
const by = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const all = (/** @type {string} */ chosen) => /** @type {any[]} */ ([...document.querySelectorAll(chosen)]);
const LAST = DATA.parts.length - 1;
const state = { point: structuredClone(DATA.point), rate: DATA.learning_rate, stage: LAST, losses: /** @type {number[]} */ ([]), values: /** @type {Values} */ ({}) };

function render() {
  const values = state.values = quantities(state.point, state.rate);
  for (const place of all("[data-number]")) {
    const [name, ...index] = place.dataset.number.split("."), text = shown(at(values[name], index.map(Number)));
    place.textContent = "factor" in place.dataset && text.startsWith("-") ? `(${text})` : text;
  }
  for (const edge of all("[data-weight]")) {
    const [name, ...index] = edge.dataset.weight.split("."), weight = at(values[name], index.map(Number));
    edge.style.strokeWidth = String(Math.min(7, 1 + 1.5 * Math.abs(weight)));
  }
  for (const place of all("[data-stage]")) {
    place.classList.toggle("later", Number(place.dataset.stage) > state.stage);
    place.classList.toggle("now", Number(place.dataset.stage) === state.stage);
  }
  for (const edge of all("[data-stages]")) {
    const now = edge.dataset.stages.split(" ").includes(String(state.stage));
    edge.setAttribute("class", now ? `flow ${state.stage === 2 || state.stage === 3 ? "back" : "forth"}` : "");
  }
  by("stage").textContent = `${state.stage + 1} of ${LAST + 1}: ${DATA.parts[state.stage]}`;
  by("previous").disabled = state.stage === 0;
  by("next").disabled = state.stage === LAST;
  by("updates").textContent = state.losses.length ? `After ${state.losses.length} update${state.losses.length > 1 ? "s" : ""}: loss ${[...state.losses.slice(-5), values.loss].map(shown).join(" → ")}` : "No update taken yet.";
  sliders(values);
  along(values);
}

/** @param {Values} values */
function sliders(values) {
  for (const kind of ["weight", "input"]) {
    const [name, ...index] = by(`${kind}-name`).value.split(".");
    by(kind).value = by(`${kind}-value`).textContent = shown(at(values[name], index.map(Number)));
  }
  by("rate").value = String(Math.log10(state.rate));
  by("rate-value").textContent = shown(state.rate);
  by("rate").setAttribute("aria-valuetext", shown(state.rate));
}

/** Draw the loss after one update over the rate, and what the gradient alone expects. @param {Values} values */
function along(values) {
  const gradient = values, rates = Array.from({ length: 121 }, (_, i) => 10 ** (-2 + i / 30));
  const losses = rates.map((rate) => forward(updated(state.point, gradient, rate)).loss);
  const line = rates.map((rate) => values.loss - rate * values.gradient_square);
  const top = Math.max(values.loss, Math.min(Math.max(...losses), 4 * values.loss)) * 1.05 || 1;
  const x = (/** @type {number} */ rate) => 44 + 150 * (Math.log10(rate) + 2), y = (/** @type {number} */ loss) => 12 + 170 * (1 - Math.min(Math.max(loss, -top), 2 * top) / top);
  const path = (/** @type {number[]} */ ys) => "M" + rates.map((rate, i) => `${x(rate).toFixed(1)} ${y(ys[i]).toFixed(1)}`).join("L");
  by("real").setAttribute("d", path(losses));
  by("expected").setAttribute("d", path(line));
  by("before").setAttribute("d", `M44 ${y(values.loss)}H644`);
  const inside = Math.min(100, Math.max(0.01, state.rate));
  by("dot").setAttribute("cx", String(x(inside)));
  by("dot").setAttribute("cy", String(y(values.updated_loss)));
  by("top").textContent = shown(top);
  const [fell, hoped] = [values.loss - values.updated_loss, state.rate * values.gradient_square];
  by("said").textContent = `At rate ${shown(state.rate)} the loss goes from ${shown(values.loss)} to ${shown(values.updated_loss)}; the gradient alone expects ${shown(values.first_order_loss)}. ` +
    (fell < 0 ? "The step is too long: the loss grows." : fell > 0.9 * hoped ? "The slope still holds: a longer step would do more." : "The loss bends away from its slope: the curvature decides now.");
}

/** Show an equation with this unit's numbers, and its code, below the drawing. @param {any} link */
function detail(link) {
  const { unit, label } = link.dataset, article = by(`eq${label}`), place = by("detail");
  const copy = (/** @type {string} */ chosen) => [...article.querySelectorAll(chosen)].map((found) => found.cloneNode(true));
  const title = document.createElement("h3"), more = document.createElement("a");
  more.href = `#eq${label}`;
  more.textContent = `(${label}) ${article.querySelector("h3").textContent}`;
  title.append(more);
  const lines = all(`.line[data-unit="${unit}"][data-label="${label}"]`).map((found) => found.cloneNode(true));
  place.replaceChildren(title, ...copy(".math.whole"), ...lines, ...copy(".file, .source"));
  render();
}

function start() {
  for (const hidden of all(".needs-script")) hidden.classList.remove("needs-script");
  const on = (/** @type {string} */ id, /** @type {string} */ event, /** @type {() => void} */ change) => by(id).addEventListener(event, () => { change(); render(); });
  for (const kind of ["weight", "input"]) {
    on(`${kind}-name`, "change", () => {});
    on(kind, "input", () => {
      const [name, ...index] = by(`${kind}-name`).value.split(".").map((/** @type {string} */ part) => Number.isNaN(Number(part)) ? part : Number(part));
      at(state.point[name], index.slice(0, -1))[index[index.length - 1]] = Number(by(kind).value);
    });
  }
  on("rate", "input", () => { state.rate = 10 ** Number(by("rate").value); });
  on("first", "click", () => { state.stage = 0; });
  on("previous", "click", () => { state.stage = Math.max(0, state.stage - 1); });
  on("next", "click", () => { state.stage = Math.min(LAST, state.stage + 1); });
  on("take", "click", () => { state.losses.push(state.values.loss); state.point = updated(state.point, state.values, state.rate); });
  on("again", "click", () => { Object.assign(state, { point: structuredClone(DATA.point), rate: DATA.learning_rate, stage: LAST, losses: [] }); });
  for (const link of all("#network a")) link.addEventListener("click", (/** @type {Event} */ event) => { event.preventDefault(); detail(link); });
  render();
  document.documentElement.dataset.ready = "";
}

start();
