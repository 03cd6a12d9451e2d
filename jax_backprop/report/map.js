// @ts-check
// The map: a pixel a network, sharp at any zoom; pointer and keys say what a network is.
"use strict";

/** @typedef {{axes: string[], keys: string[], x: number[], y: number[], size: [number, number], colors: number[][], speeds: (number|null)[], shades: number}} Grid */

STARTS.push(async () => {
  const map = /** @type {Grid} */ (DATA.map), levels = new Uint8Array(await unpacked());
  const [columns, rows] = map.size, canvas = /** @type {HTMLCanvasElement} */ (have("map"));
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const picture = pictureOf(map, levels);
  const LEFT = 74, BOTTOM = 44, TOP = 8;
  /** The window, in networks. */
  let [left, top, across, down] = [0, 0, columns, rows];
  let [column, row] = [columns >> 1, rows >> 1];
  const whole = () => { [left, top, across, down] = [0, 0, columns, rows]; };
  const place = () => ({ wide: canvas.clientWidth - LEFT - 20, tall: canvas.clientHeight - BOTTOM - TOP });

  function paint() {
    const ratio = window.devicePixelRatio || 1, { wide, tall } = place();
    [canvas.width, canvas.height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(picture, left, top, across, down, LEFT, TOP, wide, tall);
    const style = getComputedStyle(document.documentElement);
    pen.fillStyle = pen.strokeStyle = style.getPropertyValue("--c0").trim();
    pen.font = "12px system-ui, sans-serif";
    ticks(wide, tall);
    if (column >= left && column < left + across && row >= top && row < top + down) {
      const [w, h] = [wide / across, tall / down], [x, y] = [LEFT + (column - left) * w, TOP + (row - top) * h];
      pen.strokeStyle = "#000"; pen.strokeRect(x - 2, y - 2, Math.max(w, 2) + 4, Math.max(h, 2) + 4);
      pen.strokeStyle = "#fff"; pen.strokeRect(x - 3, y - 3, Math.max(w, 2) + 6, Math.max(h, 2) + 6);
    }
  }

  /** @param {number} wide @param {number} tall */
  function ticks(wide, tall) {
    pen.textAlign = "center";
    for (let n = 0; n <= 4; n++) {
      const at = Math.min(columns - 1, Math.round(left + (n / 4) * (across - 1)));
      pen.fillText(short(map.x[at]), LEFT + ((at - left + 0.5) / across) * wide, TOP + tall + 16);
    }
    pen.fillText(map.axes[0], LEFT + wide / 2, TOP + tall + 36);
    pen.textAlign = "right";
    for (let n = 0; n <= 4; n++) {
      const at = Math.min(rows - 1, Math.round(top + (n / 4) * (down - 1)));
      pen.fillText(short(map.y[at]), LEFT - 6, TOP + ((at - top + 0.5) / down) * tall + 4);
    }
    pen.save();
    pen.translate(12, TOP + tall / 2);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "center";
    pen.fillText(map.axes[1], 0, 0);
    pen.restore();
  }

  function told() {
    const level = levels[row * columns + column], failed = level >= map.shades, speed = map.speeds[level];
    have("readout").textContent = `${map.axes[0]} ${short(map.x[column])}, ${map.axes[1]} ${short(map.y[row])}: ` +
      (failed ? `failed; its start was on average about ${short(speed)} times its loss` : `ended below its start; its loss was on average about ${short(speed)} times the start`);
    const ends = bounds();
    have("window").textContent = `Shown: ${map.axes.map((name, n) => `${name} ${ends[n].map(short).join(" to ")}`).join(", ")}.`;
    const set = map.keys.map((key, n) => `--set '${key}={low=${ends[n][0]}, high=${ends[n][1]}, count=512}'`);
    have("window-command").textContent = ["jax-backprop sweep study.toml --out window", ...set].join(" \\\n  ");
    paint();
  }

  function bounds() {
    const last = (/** @type {number} */ from, /** @type {number} */ count, /** @type {number} */ most) => Math.min(most - 1, Math.ceil(from + count) - 1);
    return [[map.x[Math.floor(left)], map.x[last(left, across, columns)]], [map.y[last(top, down, rows)], map.y[Math.floor(top)]]];
  }

  /** @param {number} factor @param {number} x @param {number} y the network that stays in place */
  function zoom(factor, x, y) {
    const [w, h] = [Math.max(8, Math.min(columns, across * factor)), Math.max(8, Math.min(rows, down * factor))];
    left = Math.max(0, Math.min(columns - w, x - ((x - left) * w) / across));
    top = Math.max(0, Math.min(rows - h, y - ((y - top) * h) / down));
    [across, down] = [w, h];
    told();
  }

  /** @param {MouseEvent} event @returns {[number, number]} */
  function under(event) {
    const box = canvas.getBoundingClientRect(), { wide, tall } = place();
    return [left + ((event.clientX - box.left - LEFT) / wide) * across, top + ((event.clientY - box.top - TOP) / tall) * down];
  }

  /** @param {number} x @param {number} y */
  function point(x, y) {
    [column, row] = [Math.max(0, Math.min(columns - 1, Math.floor(x))), Math.max(0, Math.min(rows - 1, Math.floor(y)))];
    left = Math.max(Math.min(left, column), column + 1 - across);
    top = Math.max(Math.min(top, row), row + 1 - down);
    told();
  }

  /** @type {[number, number]|null} */
  let dragged = null;
  canvas.addEventListener("pointerdown", (event) => { dragged = under(event); canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { dragged = null; });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = under(event);
    if (dragged) {
      left = Math.max(0, Math.min(columns - across, left + dragged[0] - x));
      top = Math.max(0, Math.min(rows - down, top + dragged[1] - y));
      told();
    } else if (x >= left && x < left + across && y >= top && y < top + down) point(x, y);
  });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); const [x, y] = under(event); zoom(event.deltaY < 0 ? 0.8 : 1.25, x, y); }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] })[event.key];
    const pace = event.shiftKey ? Math.max(1, Math.round(across / 10)) : 1;
    if (step) point(column + pace * step[0], row + pace * step[1]);
    else if (event.key === "+" || event.key === "=") zoom(0.8, column, row);
    else if (event.key === "-") zoom(1.25, column, row);
    else if (event.key === "0") { whole(); told(); }
    else return;
    event.preventDefault();
  });
  by("zoom-in")?.addEventListener("click", () => zoom(0.5, column, row));
  by("zoom-out")?.addEventListener("click", () => zoom(2, column, row));
  by("zoom-all")?.addEventListener("click", () => { whole(); told(); });
  by("map-png")?.addEventListener("click", () => picture.toBlob((blob) => blob && save("map.png", blob, "image/png")));
  by("map-csv")?.addEventListener("click", () => {
    const lines = [[...map.axes, "ended below its start", "mean speed, about"]];
    for (let y = Math.floor(top); y < Math.min(rows, top + down); y++) for (let x = Math.floor(left); x < Math.min(columns, left + across); x++) {
      const level = levels[y * columns + x];
      lines.push([map.x[x], map.y[y], level < map.shades, map.speeds[level]].map((each) => /** @type {any} */ (each)));
    }
    save("window.csv", csv(lines), "text/csv");
  });
  new ResizeObserver(told).observe(canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { told(); bar(map); });
  new ResizeObserver(() => bar(map)).observe(have("bar"));
  told();
});

/** @param {Grid} map @param {Uint8Array} levels */
function pictureOf(map, levels) {
  const picture = document.createElement("canvas");
  [picture.width, picture.height] = map.size;
  const pen = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d")), image = pen.createImageData(...map.size);
  levels.forEach((level, n) => image.data.set([...map.colors[level], 255], 4 * n));
  pen.putImageData(image, 0, 0);
  return picture;
}

/** What the colours mean. @param {Grid} map */
function bar(map) {
  const canvas = /** @type {HTMLCanvasElement} */ (have("bar")), ratio = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")), half = canvas.clientWidth / 2 - 8;
  pen.scale(ratio, ratio);
  pen.font = "12px system-ui, sans-serif";
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--c0").trim();
  for (const [n, name] of ["ended below its start", "failed"].entries()) {
    const from = n * (half + 16);
    for (let shade = 0; shade < map.shades; shade++) {
      pen.fillStyle = `rgb(${map.colors[n * map.shades + shade].join()})`;
      pen.fillRect(from + (shade * half) / map.shades, 16, half / map.shades + 1, 16);
    }
    pen.fillStyle = ink;
    pen.textAlign = "center";
    pen.fillText(name, from + half / 2, 11);
    pen.textAlign = "left";
    pen.fillText("fast", from, 46);
    pen.textAlign = "right";
    pen.fillText("slow", from + half, 46);
  }
}
