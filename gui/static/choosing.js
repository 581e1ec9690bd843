// Files and folders that a person chose or dropped, as what is to be uploaded.

import { zipOfFiles } from "./packing.js";
import { el, text } from "./shell.js";

const PICTURES =
  "jpg jpeg jpe jfif png gif bmp webp tif tiff heic heif avif ppm pgm pbm tga ico".split(" ");
const SOUNDS = "wav flac ogg oga opus mp3 m4a aac aif aiff wma".split(" ");
const TABLES = "csv tsv txt jsonl ndjson json parquet npz ts en de fr".split(" ");
const ARCHIVES = "zip tar tgz gz bz2 xz".split(" ");

/** What the browser's own dialog offers. */
export const ACCEPTED = [
  ...[...ARCHIVES, ...TABLES, ...PICTURES, ...SOUNDS].map((ending) => `.${ending}`),
  "image/*",
  "audio/*",
].join(",");

const endingOf = (path) => path.slice(path.lastIndexOf(".") + 1).toLowerCase();
const among = (endings) => (one) => endings.includes(endingOf(one.path));
const isMedia = among([...PICTURES, ...SOUNDS]);

/** What systems leave in folders: “.DS_Store”, “Thumbs.db”. */
export const isLitter = ({ path }) =>
  path.split("/").some((part) => part.startsWith(".") || part === "__MACOSX") ||
  /(^|\/)(thumbs\.db|desktop\.ini)$/i.test(path);

/** A field for files, out of sight in its label; `take([{path, file}, …])` gets what is chosen. */
export function fileInput(take, how) {
  const input = el("input", { type: "file", class: "an-visually-hidden", ...how });
  input.addEventListener("change", () => {
    if (input.files.length) take(chosen(input.files));
    input.value = ""; // the same files, changed meanwhile, can be chosen again
  });
  return input;
}

/** A button for all that lies in a folder; out of sight where a telephone's browser has none. */
export function folderButton(take) {
  const input = fileInput(take, { webkitdirectory: true });
  const button = el("label", { class: "an-button" }, text("bring.folder"), input);
  button.hidden = !("webkitdirectory" in input);
  return button;
}

/** The files of an input, `[{path, file}, …]`: with their folders where a folder was chosen. */
export function chosen(files) {
  return [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** The files of what was dropped, also those in folders. To be called while the event lasts. */
export function dropped(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  // Both are there only now; what comes after an await finds nothing.
  const found = items.map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  return Promise.all(
    found.map(([entry, file]) =>
      entry?.isDirectory ? inFolder(entry) : file ? [{ path: file.name, file }] : [],
    ),
  ).then((all) => all.flat());
}

async function inFolder(folder) {
  const reader = folder.createReader();
  const found = [];
  for (;;) {
    // A hundred at a time, until there are none.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const entry of some) {
      if (entry.isDirectory) found.push(...(await inFolder(entry)));
      else {
        const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
        found.push({ path: entry.fullPath.replace(/^\//, ""), file });
      }
    }
  }
}

/**
 * What to upload of `[{path, file}, …]`, and `pack`: those that become one zip, of that `name`.
 *
 * Pictures and recordings are packed with the tables beside them that may name them, and whatever
 * lies in folders of a folder. Other files go as they are.
 */
export function sorted(files) {
  const kept = files.filter((one) => !isLitter(one));
  const top = ({ path }) => (path.includes("/") ? path.split("/")[0] : "");
  const folders = new Set(kept.map(top).filter(Boolean));
  // Folders in a folder, or several dropped at once: they may be the classes.
  const deep = folders.size > 1 || kept.some(({ path }) => path.split("/").length > 2);
  if (!deep && !kept.some(isMedia)) return { whole: kept.map(({ file }) => file), pack: [] };
  const packs = (one) => deep || isMedia(one) || !among(ARCHIVES)(one);
  const pack = kept.filter(packs);
  const kind = pack.some(among(PICTURES)) ? "pictures" : "recordings";
  const [folder] = folders;
  const name = folders.size === 1 && pack.every(top) ? folder : text(`bring.pack.${kind}`);
  return { whole: kept.filter((one) => !packs(one)).map(({ file }) => file), pack, name };
}

/** One zip of them; null when it was stopped. `shown(n)` is told how far it is. */
export async function packedAs(name, files, shown, stopped) {
  const made = await zipOfFiles(files, shown, stopped);
  return made && new File([made], `${name}.zip`, { type: "application/zip" });
}
