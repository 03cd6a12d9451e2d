// @ts-check
// The table of series: sorted by any column, filtered by name, ticked for the charts.
"use strict";

const SHOWN_ROWS = 100;
const labelOf = (/** @type {string} */ name) => DATA.labels?.[name] ?? name;

STARTS.push(() => {
  const table = /** @type {HTMLTableElement|null} */ (by("compared"));
  const head = table?.tHead?.rows[0], body = table?.tBodies[0];
  if (!head || !body) return;
  const heads = [...head.cells].map((each) => each.textContent || "");
  const ready = [...body.rows].map((row) => [...row.cells].map((each) => each.textContent || ""));
  const rows = [...ready, ...(DATA.compared || [])];
  const bars = heads[heads.length - 1] === "sensitivity";
  const most = Math.max(1e-300, ...rows.map((row) => parseFloat(row[row.length - 1]) || 0));
  const picked = new Set();
  let all = false, column = -1, down = false;

  /** @param {string[]} row */
  function made(row) {
    const line = document.createElement("tr");
    row.forEach((text, place) => {
      const shown = document.createElement(place ? "td" : "th");
      shown.textContent = place ? text : labelOf(text);
      line.append(shown);
      if (!place) { shown.scope = "row"; shown.prepend(box(text), " "); }
    });
    const value = parseFloat(row[row.length - 1]);
    if (bars && value > 0) {
      const bar = document.createElement("span");
      bar.className = "bar";
      bar.style.width = `${(40 * value) / most}px`;
      line.lastElementChild?.append(bar);
    }
    return line;
  }

  /** @param {string} name */
  function box(name) {
    const made = document.createElement("input");
    made.type = "checkbox";
    made.checked = picked.has(name);
    made.setAttribute("aria-label", `show ${labelOf(name)}`);
    made.addEventListener("change", () => { made.checked ? picked.add(name) : picked.delete(name); signal("picked", [...picked].flatMap((each) => [each, ...(DATA.sides || []).map((side) => `${side}: ${each}`)])); });
    return made;
  }

  function matching() {
    const wanted = /** @type {HTMLInputElement|null} */ (by("filter"))?.value.toLowerCase() || "";
    const found = rows.filter((row) => `${row[0]} ${labelOf(row[0])}`.toLowerCase().includes(wanted));
    if (column >= 0) found.sort((a, b) => order(a[column].trim(), b[column].trim()) * (down ? -1 : 1));
    return found;
  }

  function show() {
    const found = matching(), shown = all ? found : found.slice(0, SHOWN_ROWS);
    /** @type {HTMLElement} */ (body).replaceChildren(...shown.map(made));
    const more = by("all-rows"), count = by("shown-rows");
    if (more) { more.hidden = shown.length === found.length; more.textContent = `Show all ${found.length.toLocaleString("en")}`; }
    if (count) count.textContent = rows.length > SHOWN_ROWS ? `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} series` : "";
  }

  [...head.cells].forEach((each, place) => {
    const button = document.createElement("button");
    button.textContent = each.textContent;
    each.replaceChildren(button);
    button.addEventListener("click", () => {
      [down, column] = [place === column && !down, place];
      for (const other of head.cells) other.removeAttribute("aria-sort");
      each.setAttribute("aria-sort", down ? "descending" : "ascending");
      show();
    });
  });
  by("filter")?.addEventListener("input", show);
  by("all-rows")?.addEventListener("click", () => { all = true; show(); });
  by("clear")?.addEventListener("click", () => { picked.clear(); signal("picked", []); show(); });
  by("table-csv")?.addEventListener("click", () => save("series.csv", csv([heads, ...matching()]), "text/csv"));
  show();
});

/** Compare numbers as numbers, and put what is none last. @param {string} a @param {string} b */
function order(a, b) {
  const [x, y] = [parseFloat(a), parseFloat(b)];
  if (Number.isNaN(x) && Number.isNaN(y)) return a.localeCompare(b);
  return Number.isNaN(x) ? 1 : Number.isNaN(y) ? -1 : x - y;
}
