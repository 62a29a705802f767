// Owns drawing a QR code as one path of an SVG; loaded when somebody wants to pay on another device.
import { encode } from 'uqr';

/** The dark squares of the code for `text` as a path, in a square of `size` units with its quiet zone. */
export function qrPath(text: string): { path: string; size: number } {
  const { data, size } = encode(text, { ecc: 'M', border: 4 });
  const squares = data.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : '')));
  return { path: squares.join(''), size };
}
