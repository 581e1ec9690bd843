// What the microphone hears, as samples.

import { text } from "./shell.js";

const STATIC = new URL(".", import.meta.url).pathname.replace(/\/$/, "");
/** Parts of a drawn recording. */
const POINTS = 100;

/** The sentence for what the browser says when there is no camera or microphone. */
export function refused(trouble, device) {
  if (!navigator.mediaDevices) return text("capture.insecure");
  if (trouble.name === "NotAllowedError") return text(`capture.${device}.denied`);
  if (["NotFoundError", "OverconstrainedError"].includes(trouble.name))
    return text(`capture.${device}.none`);
  return text(`capture.${device}.failed`);
}

/**
 * Listens to a stream: `rate` samples a second, `hear(act)` to be told each part of them as it
 * comes, `resume()` after a click, `close()` in the end.
 */
export async function listening(stream) {
  const context = new AudioContext();
  try {
    await context.audioWorklet.addModule(`${STATIC}/recorder.js`);
  } catch (trouble) {
    context.close();
    throw trouble;
  }
  const node = new AudioWorkletNode(context, "anneal-recorder", { numberOfOutputs: 0 });
  context.createMediaStreamSource(stream).connect(node);
  return {
    rate: context.sampleRate,
    hear: (act) => {
      node.port.onmessage = ({ data }) => act(data);
    },
    resume: () => context.resume(),
    close: () => {
      node.port.onmessage = null;
      if (context.state !== "closed") context.close();
    },
  };
}

/** How wide a bar is for the loudest sample of a part. */
export function loudness(part) {
  const loudest = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return `${Math.min(100, 100 * loudest)}%`;
}

/** The lowest and highest sample of each part of a recording: `[[min, max], …]`. */
export function envelope(samples) {
  const each = Math.max(1, Math.ceil(samples.length / POINTS));
  return Array.from({ length: Math.ceil(samples.length / each) }, (_, index) => {
    const part = samples.subarray(index * each, (index + 1) * each);
    return part.reduce(
      ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
      [Infinity, -Infinity],
    );
  });
}
