// Files made on the page: a zip without compression, and a WAV.

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** The CRC of what came before, with some bytes more; `before` and the result are inverted. */
function crcOf(bytes, before) {
  let crc = before;
  for (let i = 0; i < bytes.length; i += 1) {
    crc = CRC_TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  }
  return crc;
}

/** The CRC-32 of some bytes, as zip and PNG have it. */
export function crc32(bytes) {
  return (crcOf(bytes, 0xffffffff) ^ 0xffffffff) >>> 0;
}

/** What two bytes and what four can say; they stand for “see the 64-bit record” in a zip. */
const MOST_FILES = 0xffff;
const MOST_BYTES = 0xffffffff;
const UTF8 = 0x0800;
const STORED = 20; // the version of the format that is needed to read it
const LARGE = 45; // the same, with 64-bit records
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

/** A zip that grows: `add(name, content, size, crc)`, then `blob()`. Nothing in it is compressed. */
function growing() {
  const encoder = new TextEncoder();
  const parts = [];
  const directory = [];
  let offset = 0;
  let count = 0;

  function add(name, content, size, crc) {
    if (size >= MOST_BYTES) throw new RangeError("too large a file for a zip");
    const path = encoder.encode(name);
    const far = offset >= MOST_BYTES;
    const where = far
      ? packed([
          [1, 2],
          [8, 2],
          [offset, 8],
        ])
      : new Uint8Array(0);
    const common = (extra) => [
      [far ? LARGE : STORED, 2],
      [UTF8, 2],
      [0, 2], // stored
      [0, 2],
      [DAY, 2],
      [crc, 4],
      [size, 4],
      [size, 4],
      [path.length, 2],
      [extra, 2],
    ];
    const head = packed([[0x04034b50, 4], ...common(0)]);
    directory.push(
      packed([
        [0x02014b50, 4],
        [far ? LARGE : STORED, 2],
        ...common(where.length),
        [0, 2],
        [0, 2],
        [0, 2],
        [0, 4],
        [far ? MOST_BYTES : offset, 4],
      ]),
      path,
      where,
    );
    parts.push(head, path, content);
    offset += head.length + path.length + size;
    count += 1;
  }

  function blob() {
    const size = directory.reduce((sum, part) => sum + part.length, 0);
    const end = [];
    if (count >= MOST_FILES || offset + size >= MOST_BYTES) {
      end.push(
        packed([
          [0x06064b50, 4],
          [44, 8],
          [LARGE, 2],
          [LARGE, 2],
          [0, 4],
          [0, 4],
          [count, 8],
          [count, 8],
          [size, 8],
          [offset, 8],
        ]),
        packed([
          [0x07064b50, 4],
          [0, 4],
          [offset + size, 8],
          [1, 4],
        ]),
      );
    }
    end.push(
      packed([
        [0x06054b50, 4],
        [0, 2],
        [0, 2],
        [Math.min(count, MOST_FILES), 2],
        [Math.min(count, MOST_FILES), 2],
        [Math.min(size, MOST_BYTES), 4],
        [Math.min(offset, MOST_BYTES), 4],
        [0, 2],
      ]),
    );
    return new Blob([...parts, ...directory, ...end], { type: "application/zip" });
  }

  return { add, blob };
}

/** A zip of `[{name, bytes}, …]`, stored as they are: pictures and sound don't get smaller. */
export function zip(files) {
  const made = growing();
  for (const { name, bytes } of files) made.add(name, bytes, bytes.length, crc32(bytes));
  return made.blob();
}

/**
 * The same of `[{path, file}, …]`, files of the disk. They are read once for their CRC, a part at
 * a time, and again by who sends the zip: it never is in memory.
 *
 * `shown(n)` is told how many are done; null when `stopped()` says so.
 */
export async function zipOfFiles(files, shown, stopped) {
  const made = growing();
  for (const [index, { path, file }] of files.entries()) {
    shown(index);
    let crc = 0xffffffff;
    const reader = file.stream().getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (stopped()) {
        await reader.cancel();
        return null;
      }
      crc = crcOf(part.value, crc);
    }
    made.add(path, file, file.size, (crc ^ 0xffffffff) >>> 0);
  }
  shown(files.length);
  return stopped() ? null : made.blob();
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
