// Owns who signs: private keys, encrypted key files and remote signers, all behind one type. A key never leaves this file, and
// what a remote signer returns counts only when it is what was asked for, signed by whom it was asked from.
import * as Keystore from 'ox/Keystore';
import {
  type Address,
  type Hex,
  isHex,
  parseTransaction,
  recoverTransactionAddress,
  type TransactionSerializableEIP1559,
  type TransactionSerializedEIP1559,
  toHex,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { CoreError } from '../errors.ts';

/** A transaction that waits for its signature; fees and value in wei. */
export type UnsignedTransaction = {
  chainId: number;
  nonce: number;
  to: Address;
  data: Hex;
  gas: bigint;
  maxFeePerGas: bigint;
  maxPriorityFeePerGas: bigint;
};

/** Signs for one address, which is in lower case. */
export type Signer = {
  readonly address: Address;
  /** The serialized EIP-1559 transaction. @throws upstream_unavailable when a remote signer is down or lies. */
  sign(transaction: UnsignedTransaction): Promise<Hex>;
};

/** Signs with a private key of 32 bytes. @throws Error, which does not quote it, when it is none. */
export function keySigner(privateKey: string): Signer {
  if (!isHex(privateKey) || privateKey.length !== 66) throw new Error('A private key is 0x and 64 hex digits.');
  const account = privateKeyToAccount(privateKey);
  return {
    address: lower(account.address),
    sign: (transaction) => account.signTransaction({ type: 'eip1559', ...transaction }),
  };
}

/**
 * Signs with the key of a Web3 keystore (version 3, scrypt or PBKDF2).
 * @throws Error when the text is no keystore or the password is not its own.
 */
export async function keystoreSigner(text: string, password: string): Promise<Signer> {
  const keystore = parseKeystore(text);
  let key: Hex;
  try {
    key = Keystore.decrypt(keystore, await Keystore.toKeyAsync(keystore, { password }));
  } catch {
    throw new Error('The password does not open the keystore.');
  }
  const signer = keySigner(key);
  const stated = (JSON.parse(text) as { address?: unknown }).address;
  if (typeof stated === 'string' && `0x${stated.toLowerCase().replace(/^0x/, '')}` !== signer.address) {
    throw new Error(`The keystore says it is of ${stated}, but holds the key of ${signer.address}.`);
  }
  return signer;
}

function parseKeystore(text: string): Keystore.Keystore {
  let parsed: Partial<Keystore.Keystore> | null = null;
  try {
    parsed = JSON.parse(text);
  } catch {
    // Said below.
  }
  const crypto = parsed?.crypto;
  if (parsed?.version !== 3 || crypto?.cipher !== 'aes-128-ctr' || !['scrypt', 'pbkdf2'].includes(crypto.kdf ?? '')) {
    throw new Error('This is no Web3 keystore of version 3 (aes-128-ctr with scrypt or pbkdf2).');
  }
  return parsed as Keystore.Keystore;
}

/** A signer that is reached by HTTP. */
export type RemoteSignerSettings = {
  address: string;
  /** `https:`, or `http:` on this machine only. */
  url: string;
  /** Sent as `Authorization: Bearer`. */
  bearerToken?: string | undefined;
  timeoutMs?: number;
};

const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost']);
const REMOTE_TIMEOUT_MS = 10_000;

/**
 * Signs by JSON-RPC `eth_signTransaction`, as Web3Signer and clef speak it: one object with from, to, data, gas, nonce,
 * maxFeePerGas, maxPriorityFeePerGas, value and chainId in hex; the result is the serialized transaction, alone or as `raw`.
 * @throws Error when the address or the URL cannot be.
 * @see https://docs.web3signer.consensys.io/reference/api/json-rpc#eth_signtransaction
 */
export function remoteSigner({ address, url, bearerToken, timeoutMs }: RemoteSignerSettings): Signer {
  if (!/^0x[0-9a-f]{40}$/i.test(address)) throw new Error(`A remote signer's address is 0x and 40 hex digits.`);
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const local = parsed?.protocol === 'http:' && LOOPBACK.has(parsed.hostname);
  if (parsed?.protocol !== 'https:' && !local) {
    throw new Error(`The remote signer of ${address} needs an https URL; http only on this machine.`);
  }
  const from = lower(address as Address);
  const unavailable = (why: string) => new CoreError('upstream_unavailable', `The signer of ${from} ${why}.`);

  async function ask(transaction: UnsignedTransaction): Promise<unknown> {
    let response: Response;
    try {
      response = await fetch(url, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          ...(bearerToken !== undefined && { Authorization: `Bearer ${bearerToken}` }),
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'eth_signTransaction',
          params: [request(from, transaction)],
        }),
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs ?? REMOTE_TIMEOUT_MS),
      });
    } catch {
      throw unavailable('does not answer');
    }
    if (!response.ok) throw unavailable(`answers with status ${response.status}`);
    const answer = (await response.json().catch(() => null)) as { result?: unknown; error?: unknown } | null;
    if (answer?.error) throw unavailable('refuses to sign');
    return answer?.result;
  }

  return {
    address: from,
    async sign(transaction) {
      const result = await ask(transaction);
      const raw = typeof result === 'object' ? (result as { raw?: unknown } | null)?.raw : result;
      if (!(await isSigned(raw, transaction, from))) throw unavailable('signed something else than it was asked to');
      return raw as Hex;
    },
  };
}

function request(from: Address, { chainId, nonce, to, data, gas, ...fees }: UnsignedTransaction) {
  return {
    from,
    to,
    data,
    value: '0x0',
    type: '0x2',
    chainId: toHex(chainId),
    nonce: toHex(nonce),
    gas: toHex(gas),
    maxFeePerGas: toHex(fees.maxFeePerGas),
    maxPriorityFeePerGas: toHex(fees.maxPriorityFeePerGas),
  };
}

/** Whether `raw` is this very transaction, signed by `from`. */
async function isSigned(raw: unknown, asked: UnsignedTransaction, from: Address): Promise<boolean> {
  try {
    const serializedTransaction = raw as TransactionSerializedEIP1559;
    const signed: TransactionSerializableEIP1559 = parseTransaction(serializedTransaction);
    return (
      signed.type === 'eip1559' &&
      signed.chainId === asked.chainId &&
      (signed.nonce ?? 0) === asked.nonce &&
      signed.to?.toLowerCase() === asked.to.toLowerCase() &&
      (signed.data ?? '0x') === asked.data &&
      (signed.value ?? 0n) === 0n &&
      signed.gas === asked.gas &&
      signed.maxFeePerGas === asked.maxFeePerGas &&
      (signed.maxPriorityFeePerGas ?? 0n) === asked.maxPriorityFeePerGas &&
      (signed.accessList ?? []).length === 0 &&
      lower(await recoverTransactionAddress({ serializedTransaction })) === from
    );
  } catch {
    return false;
  }
}

function lower(address: Address): Address {
  return address.toLowerCase() as Address;
}
