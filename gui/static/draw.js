// A small canvas to draw on: white on black, as handwritten digits are kept.

import { el } from "./shell.js";

const SIDE = 280;
const PEN = 20;

/**
 * A drawing area; `ended()` is called after every stroke, undo and clear.
 * Gives the canvas and `png()` (base64), `undo()`, `clear()` and `empty()`.
 */
export function drawing(label, ended) {
  const canvas = el("canvas", {
    class: "an-canvas",
    width: SIDE,
    height: SIDE,
    role: "img",
    "aria-label": label,
  });
  const pen = canvas.getContext("2d");
  /** Every stroke is the list of its points, so that the last one can be taken back. */
  let strokes = [];
  let current = null;

  function redraw() {
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, SIDE, SIDE);
    pen.strokeStyle = "#fff";
    pen.fillStyle = "#fff";
    pen.lineWidth = PEN;
    pen.lineCap = "round";
    pen.lineJoin = "round";
    for (const points of strokes) {
      pen.beginPath();
      if (points.length === 1) {
        pen.arc(points[0][0], points[0][1], PEN / 2, 0, 2 * Math.PI);
        pen.fill();
        continue;
      }
      pen.moveTo(...points[0]);
      // Through the middles of the pieces: a smooth line from few points.
      for (let i = 1; i < points.length - 1; i += 1) {
        const [x, y] = points[i];
        const [nextX, nextY] = points[i + 1];
        pen.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
      }
      pen.lineTo(...points.at(-1));
      pen.stroke();
    }
  }

  function at(event) {
    const box = canvas.getBoundingClientRect();
    const scale = SIDE / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || current) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    current = { id: event.pointerId, points: [at(event)] };
    strokes.push(current.points);
    redraw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (current?.id !== event.pointerId) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) current.points.push(at(move));
    redraw();
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => {
      if (current?.id !== event.pointerId) return;
      current = null;
      ended();
    });
  }

  redraw();
  return {
    canvas,
    empty: () => strokes.length === 0,
    png: () => canvas.toDataURL("image/png").split(",")[1],
    undo() {
      strokes.pop();
      redraw();
      ended();
    },
    clear() {
      strokes = [];
      redraw();
      ended();
    },
  };
}
