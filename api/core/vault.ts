// Owns how personal data is sealed at rest: AES-256-GCM under a key derived from a master secret, bound to the row it
// belongs to. Knows no table, stores nothing, and never says what a value that it could not open looked like.
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { derivationOf } from './secret.ts';

/** Where a sealed value lives: table, node and the row's own ids. It opens nowhere else. */
export type Place = readonly [table: string, nodeId: string, ...ids: string[]];

// version 1 | key id 8 | nonce 12 | ciphertext | tag 16
const VERSION = 1;
const KEY_ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** The part of a sealed value, in bytes, that says under which key it is; see {@link Vault.prefix}. */
export const PREFIX_BYTES = 1 + KEY_ID_BYTES;

// Random nonces of 96 bits are good for 2^32 values under one key (NIST SP 800-38D, 8.3); rotate long before.
type Key = { prefix: Buffer; key: KeyObject };

function deriveKey(masterSecret: string): Key {
  const derive = derivationOf(masterSecret);
  const prefix = Buffer.concat([Buffer.of(VERSION), derive('vault-key-id', KEY_ID_BYTES)]);
  // A key object halves the time of sealing against bare bytes, which are examined each time.
  return { prefix, key: createSecretKey(derive('vault-key', 32)) };
}

/** Seals under the current master secret; opens what any of the given ones sealed. */
export class Vault {
  readonly #current: Key;
  readonly #keys = new Map<string, KeyObject>();

  /** @param currentSecret 32 bytes as hex, like each of `olderSecrets`; @throws invalid_request when one is anything else. */
  constructor(currentSecret: string, olderSecrets: readonly string[] = []) {
    this.#current = deriveKey(currentSecret);
    for (const { prefix, key } of [this.#current, ...olderSecrets.map(deriveKey)]) {
      this.#keys.set(prefix.toString('hex'), key);
    }
  }

  /** What every value begins with that is sealed under the current key: {@link PREFIX_BYTES} bytes. */
  get prefix(): Buffer {
    return Buffer.from(this.#current.prefix);
  }

  /** Seals a JSON value for one place; the same value never gives the same bytes twice. */
  seal(place: Place, value: unknown): Buffer {
    return this.sealText(place, JSON.stringify(value));
  }

  /** {@link seal} for a text as it is. */
  sealText(place: Place, text: string): Buffer {
    const { prefix, key } = this.#current;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(associatedData(prefix, place));
    return Buffer.concat([prefix, nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  }

  /** Opens what {@link seal} made for this very place. @throws Error when key, place or a single bit is another. */
  open<Value>(place: Place, sealed: Uint8Array): Value {
    return JSON.parse(this.openText(place, sealed)) as Value;
  }

  /** Opens what {@link sealText} made for this very place. @throws as {@link open} does */
  openText(place: Place, sealed: Uint8Array): string {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    const prefix = bytes.subarray(0, PREFIX_BYTES);
    const key = this.#keys.get(prefix.toString('hex'));
    if (!key) throw new Error(`A value in ${place[0]} is sealed under a key that this process was not given.`);
    const nonce = bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + NONCE_BYTES);
    const end = Math.max(bytes.length - TAG_BYTES, PREFIX_BYTES + NONCE_BYTES);
    try {
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(associatedData(prefix, place));
      decipher.setAuthTag(bytes.subarray(end));
      const sealedText = bytes.subarray(PREFIX_BYTES + NONCE_BYTES, end);
      return decipher.update(sealedText, undefined, 'utf8') + decipher.final('utf8');
    } catch {
      throw new Error(`A sealed value in ${place[0]} was changed or is not of this row.`);
    }
  }
}

function associatedData(prefix: Uint8Array, place: Place): Buffer {
  return Buffer.concat([prefix, Buffer.from(JSON.stringify(place))]);
}
