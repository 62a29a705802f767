/**
 * Pictures side by side as one, in 256 colours (a third of what PNG takes otherwise), and what differs between two. A browser's page
 * decodes and compares: it does so by itself, and fast.
 */
import { crc32, deflateSync } from 'node:zlib';
import type { Page } from 'playwright-core';

// Runs on one machine differ by nothing; the vector units of another processor may round a glyph's edge otherwise.
const CHANNEL_TOLERANCE = 40;
const PIXEL_TOLERANCE = 25;

/** A picture with a palette: red, green, blue a colour, and one colour's number a pixel. */
type Indexed = { width: number; height: number; palette: Uint8Array; pixels: Uint8Array };

/** The pictures (base64 of PNG) side by side. */
export async function indexed(desk: Page, drawn: readonly string[]): Promise<Indexed> {
  const { width, height, palette, pixels } = await desk.evaluate<Record<'palette' | 'pixels', string> & Size>(
    `(async (drawn) => { ${library}
      const { width, height, palette, pixels } = reduced(layOut(await Promise.all(drawn.map(imageOf))));
      return { width, height, palette: await textOf(palette), pixels: await textOf(pixels) };
    })(${JSON.stringify(drawn)})`,
  );
  return { width, height, palette: Buffer.from(palette, 'base64'), pixels: Buffer.from(pixels, 'base64') };
}

type Size = { width: number; height: number };

/**
 * How many pixels differ from the picture that is kept, column by column (their widths in pixels), 0 where they are few enough; and a
 * picture of it: now, before, and in red what differs.
 */
export async function compare(
  desk: Page,
  drawn: readonly string[],
  kept: Buffer,
  widths: readonly number[],
): Promise<{ counts: number[]; picture: Buffer }> {
  const { counts, picture } = await desk.evaluate<{ counts: number[]; picture: string }>(
    `(async (drawn, kept, widths) => { ${library}
      const now = paint(reduced(layOut(await Promise.all(drawn.map(imageOf)))));
      const before = layOut([await imageOf(kept)]);
      const width = Math.max(now.width, before.width);
      const height = Math.max(now.height, before.height);
      const dataOf = (canvas) => canvas.getContext('2d').getImageData(0, 0, width, height).data;
      const [a, b] = [dataOf(now), dataOf(before)];
      const counts = widths.map(() => 0);
      const columns = widths.flatMap((one, index) => Array(one).fill(index));
      const marks = new ImageData(width, height);
      for (let at = 0; at < a.length; at += 4) {
        const isSame =
          Math.abs(a[at] - b[at]) <= ${CHANNEL_TOLERANCE} &&
          Math.abs(a[at + 1] - b[at + 1]) <= ${CHANNEL_TOLERANCE} &&
          Math.abs(a[at + 2] - b[at + 2]) <= ${CHANNEL_TOLERANCE} &&
          a[at + 3] === b[at + 3];
        if (isSame) continue;
        counts[columns[(at / 4) % width] ?? 0] += 1;
        marks.data.set([255, 0, 0, 255], at);
      }
      const many = counts.map((count) => (count > ${PIXEL_TOLERANCE} ? count : 0));
      if (many.every((count) => count === 0)) return { counts: many, picture: '' };
      const all = new OffscreenCanvas(width, height * 3);
      const context = all.getContext('2d');
      context.drawImage(now, 0, 0);
      context.drawImage(before, 0, height);
      context.putImageData(marks, 0, 2 * height);
      return { counts: many, picture: await textOf(await all.convertToBlob({ type: 'image/png' })) };
    })(${JSON.stringify(drawn)}, ${JSON.stringify(kept.toString('base64'))}, ${JSON.stringify(widths)})`,
  );
  return { counts, picture: Buffer.from(picture, 'base64') };
}

const library = `
  const imageOf = (text) =>
    createImageBitmap(new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type: 'image/png' }));
  const textOf = (content) => new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
    reader.readAsDataURL(new Blob([content]));
  });
  const layOut = (images) => {
    const width = images.reduce((sum, image) => sum + image.width, 0);
    const canvas = new OffscreenCanvas(width, Math.max(...images.map((image) => image.height)));
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.fillStyle = '#fff';
    context.fillRect(0, 0, canvas.width, canvas.height);
    let x = 0;
    for (const image of images) {
      context.drawImage(image, x, 0);
      x += image.width;
    }
    return canvas;
  };
  /** In its 256 most frequent colours; every other becomes the nearest of them. */
  const reduced = (canvas) => {
    const { width, height } = canvas;
    const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
    const words = new Uint32Array(data.buffer);
    const frequency = new Map();
    for (const word of words) frequency.set(word, (frequency.get(word) ?? 0) + 1);
    const byFrequency = [...frequency].sort((one, other) => other[1] - one[1] || one[0] - other[0]).map(([word]) => word);
    const kept = byFrequency.slice(0, 256);
    const channels = (word) => [word & 255, (word >> 8) & 255, (word >> 16) & 255];
    const palette = Uint8Array.from(kept.flatMap(channels));
    const numbers = new Map(kept.map((word, index) => [word, index]));
    for (const word of byFrequency.slice(256)) {
      const [red, green, blue] = channels(word);
      let [nearest, least] = [0, Infinity];
      for (let index = 0; index < kept.length; index += 1) {
        const distance =
          (palette[index * 3] - red) ** 2 + (palette[index * 3 + 1] - green) ** 2 + (palette[index * 3 + 2] - blue) ** 2;
        if (distance < least) [nearest, least] = [index, distance];
      }
      numbers.set(word, nearest);
    }
    return { width, height, palette, pixels: Uint8Array.from(words, (word) => numbers.get(word)) };
  };
  const paint = ({ width, height, palette, pixels }) => {
    const image = new ImageData(width, height);
    for (let at = 0; at < pixels.length; at += 1) {
      image.data.set(palette.subarray(pixels[at] * 3, pixels[at] * 3 + 3), at * 4);
      image.data[at * 4 + 3] = 255;
    }
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext('2d').putImageData(image, 0, 0);
    return canvas;
  };
`;

/** The picture as PNG, eight bits a pixel. */
export function writePng({ width, height, palette, pixels }: Indexed): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // Eight bits, palette.
  header.set([8, 3, 0, 0, 0], 8);
  // Each row begins with how it is filtered: not at all, which suits a palette best.
  const rows = Buffer.alloc(height * (width + 1));
  for (let y = 0; y < height; y += 1) rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const content = deflateSync(rows, { level: 9 });
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('PLTE', palette),
    chunk('IDAT', content),
    chunk('IEND', new Uint8Array()),
  ]);
}

function chunk(type: string, content: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(content.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}
