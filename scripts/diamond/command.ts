/** What the command lines of deployment and upgrade share: reading the key and addresses, and saying what went wrong. */

import { InvalidArgumentError } from 'commander';
import { type Address, BaseError, type Hex, isAddress } from 'viem';

/** The key in DEPLOYER_KEY. @throws Error that never repeats it */
export function readKey(env: NodeJS.ProcessEnv): Hex {
  const key = env.DEPLOYER_KEY;
  if (!key || !isKey(key)) {
    throw new Error('DEPLOYER_KEY must hold the private key that signs: 0x and 64 hex digits');
  }
  return key;
}

function isKey(text: string): text is Hex {
  return /^0x[0-9a-f]{64}$/i.test(text);
}

/** An address as a flag's value. */
export function asAddress(text: string): Address {
  if (!isAddress(text)) throw new InvalidArgumentError('It is not an address: 0x and 40 hex digits.');
  return text;
}

/** Bytes as a flag's value. */
export function asHex(text: string): Hex {
  if (!/^0x([0-9a-f]{2})*$/i.test(text)) throw new InvalidArgumentError('It is not 0x and whole bytes in hex.');
  return text as Hex;
}

/** An amount of whole seconds, or a chain id, as a flag's value. */
export function asWholeNumber(text: string): number {
  if (!/^\d{1,12}$/.test(text)) throw new InvalidArgumentError('It is not a whole number.');
  return Number(text);
}

/** Prints what was thrown, without a stack, and ends with exit code 1. */
export function fail(error: unknown): never {
  if (error instanceof BaseError) console.error(`${error.shortMessage} ${error.details}`.trim());
  else console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
