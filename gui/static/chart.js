// A small line chart: no library, drawn anew when its place gets wider or narrower.

import { number, svg } from "./page.js";
import { el } from "./shell.js";

const COLOURS = 6;
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 10, 8, 22];

/** About `wanted` round numbers from `low` to `high`. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => one >= rough);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high + step * 1e-9; at += 1)
    found.push(Number((at * step).toPrecision(12)));
  return found;
}

const isDrawn = Number.isFinite;

/** The lowest and the highest of many numbers. */
const span = (values) =>
  values.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  );

/**
 * Lines over a common axis: `[{ label, x, y, dashed, colour }, …]`. What isn't a number is a gap.
 * Pointing at it reads the values.
 */
export function lineChart(lines, label, { height = 190 } = {}) {
  const place = el("div", { class: "an-chart-place", role: "img", "aria-label": label });
  const read = el("p", { class: "an-chart-read an-small an-number", "aria-hidden": "true" }, "");
  const coloured = lines.map((line, index) => ({
    ...line,
    stroke: `var(--an-series-${((line.colour ?? index) % COLOURS) + 1})`,
  }));
  const points = coloured.flatMap(({ x, y }) =>
    x.map((one, i) => [one, y[i]]).filter(([a, b]) => isDrawn(a) && isDrawn(b)),
  );
  let width = 0;

  function draw() {
    let [left, right] = span(points.map(([x]) => x));
    let [low, high] = span(points.map(([, y]) => y));
    if (!points.length) [left, right, low, high] = [0, 1, 0, 1];
    if (left === right) [left, right] = [left - 0.5, right + 0.5];
    const air = (high - low || Math.abs(high) || 1) * 0.06;
    [low, high] = [low - air, high + air];
    const x = (value) => LEFT + ((value - left) / (right - left)) * (width - LEFT - RIGHT);
    const y = (value) => height - BOTTOM - ((value - low) / (high - low)) * (height - TOP - BOTTOM);
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height });
    for (const value of ticks(low, high, Math.max(2, height / 45))) {
      drawing.append(
        svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
        svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)),
      );
    }
    for (const value of ticks(left, right, Math.max(2, width / 110))) {
      drawing.append(
        svg("text", { x: x(value), y: height - 5, "text-anchor": "middle" }, number(value)),
      );
    }
    for (const line of coloured) {
      let path = "";
      let down = false;
      line.x.forEach((one, i) => {
        const seen = isDrawn(one) && isDrawn(line.y[i]);
        if (seen) path += `${down ? "L" : "M"}${x(one).toFixed(1)} ${y(line.y[i]).toFixed(1)}`;
        down = seen;
      });
      const dash = line.dashed ? { "stroke-dasharray": "5 4" } : {};
      drawing.append(svg("path", { class: "line", d: path, stroke: line.stroke, ...dash }));
    }
    const ruler = svg("line", { class: "ruler", y1: TOP, y2: height - BOTTOM, x1: -9, x2: -9 });
    drawing.append(ruler);
    drawing.addEventListener("pointermove", (event) => {
      const at = left + ((event.offsetX - LEFT) / (width - LEFT - RIGHT)) * (right - left);
      const near = points.reduce(
        (best, [one]) => (Math.abs(one - at) < Math.abs(best - at) ? one : best),
        Infinity,
      );
      if (!isDrawn(near)) return;
      ruler.setAttribute("x1", x(near));
      ruler.setAttribute("x2", x(near));
      const said = coloured
        .map((line) => [line.label, line.y[line.x.indexOf(near)]])
        .filter(([, value]) => isDrawn(value))
        .map(([name, value]) => `${name} ${number(value)}`);
      read.textContent = [number(near), ...said].join(" · ");
    });
    drawing.addEventListener("pointerleave", () => {
      ruler.setAttribute("x1", -9);
      ruler.setAttribute("x2", -9);
      read.textContent = "";
    });
    place.replaceChildren(drawing);
  }

  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (now < 60 || now === width) return;
    width = now;
    draw();
  }).observe(place);
  return el("div", { class: "an-chart" }, place, legend(coloured), read);
}

function legend(lines) {
  if (lines.length < 2) return null;
  return el(
    "ul",
    { class: "an-legend" },
    lines.map(({ label, stroke, dashed }) =>
      el(
        "li",
        {},
        el("i", {
          style: `border-top-color:${stroke};border-top-style:${dashed ? "dashed" : "solid"}`,
        }),
        label,
      ),
    ),
  );
}
