// Owns what deployed code does, as one hash, so that the code on a chain can be held against what was compiled.
import { type Hex, hexToBytes, keccak256 } from 'viem';

/** A place in deployed code, in bytes. */
export type Span = { start: number; length: number };

/**
 * The hash of deployed code without the metadata that the compiler appends (it changes with every comment), and with `blanks`, where
 * the constructor writes immutables, left out.
 */
export function logicHash(code: Hex, blanks: readonly Span[] = []): Hex {
  const bytes = hexToBytes(code);
  for (const { start, length } of blanks) bytes.fill(0, start, start + length);
  // The last two bytes say how long the CBOR before them is; code that we did not compile may have none.
  const tail = bytes.length > 2 ? (bytes.at(-2) ?? 0) * 256 + (bytes.at(-1) ?? 0) + 2 : 0;
  const isMetadata = tail > 2 && tail < bytes.length && ((bytes.at(-tail) ?? 0) & 0xf0) === 0xa0;
  return keccak256(bytes.subarray(0, isMetadata ? bytes.length - tail : bytes.length));
}
