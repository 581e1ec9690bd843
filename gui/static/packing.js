// Files made on the page: a zip without compression, and a WAV.

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** The CRC-32 of some bytes, as zip and PNG have it. */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

const MOST_FILES = 0xffff;
const UTF8 = 0x0800;
const STORED = 20; // the version of the format that is needed to read it
/** Midnight of 1 January 1980, the first moment that a zip can say: the same files, the same zip. */
const DAY = 0x0021;

/** Numbers, little end first: `[[value, bytes], …]`. */
function packed(fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [, size]) => sum + size, 0));
  let at = 0;
  for (const [value, size] of fields) {
    for (let i = 0; i < size; i += 1) bytes[at + i] = (value / 2 ** (8 * i)) & 0xff;
    at += size;
  }
  return bytes;
}

/** A zip of `[{name, bytes}, …]`, stored as they are: pictures and sound don't get smaller. */
export function zip(files) {
  if (files.length > MOST_FILES) throw new RangeError("too many files for a zip");
  const encoder = new TextEncoder();
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, bytes } of files) {
    const path = encoder.encode(name);
    const common = [
      [STORED, 2],
      [UTF8, 2],
      [0, 2], // stored
      [0, 2],
      [DAY, 2],
      [crc32(bytes), 4],
      [bytes.length, 4],
      [bytes.length, 4],
      [path.length, 2],
      [0, 2],
    ];
    const head = packed([[0x04034b50, 4], ...common]);
    directory.push(
      packed([
        [0x02014b50, 4],
        [STORED, 2],
        ...common,
        [0, 2],
        [0, 2],
        [0, 2],
        [0, 4],
        [offset, 4],
      ]),
      path,
    );
    parts.push(head, path, bytes);
    offset += head.length + path.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = packed([
    [0x06054b50, 4],
    [0, 2],
    [0, 2],
    [files.length, 2],
    [files.length, 2],
    [size, 4],
    [offset, 4],
    [0, 2],
  ]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** A WAV of 16 bits and one channel, as bytes; `samples` are in −1…1. */
export function wav(samples, rate) {
  const bytes = new Uint8Array(44 + 2 * samples.length);
  const view = new DataView(bytes.buffer);
  const word = (at, letters) => bytes.set(new TextEncoder().encode(letters), at);
  word(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  word(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, index) => {
    const held = Math.max(-1, Math.min(1, value));
    view.setInt16(44 + 2 * index, Math.round(held * 32767), true);
  });
  return bytes;
}
