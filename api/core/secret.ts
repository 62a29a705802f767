// Owns the form of a master secret and what is derived from one. Never repeats a secret in an error.
import { hkdfSync } from 'node:crypto';
import { CoreError } from './errors.ts';

/** Derives `length` bytes for one purpose; the same secret and purpose always give the same bytes. */
export type Derive = (purpose: string, length: number) => Buffer;

/** What derives keys from a master secret, 32 bytes as hex. @throws invalid_request when it is anything else. */
export function derivationOf(masterSecret: string): Derive {
  if (!/^(0x)?[0-9a-f]{64}$/i.test(masterSecret)) {
    throw new CoreError('invalid_request', 'Each master secret must be 32 bytes as hex.');
  }
  const secret = Buffer.from(masterSecret.replace(/^0x/, ''), 'hex');
  return (purpose, length) => Buffer.from(hkdfSync('sha256', secret, '', purpose, length));
}
