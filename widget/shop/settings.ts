// Owns what the demo shop has to know, read from a stack's stack.json: the few fields that an integrator would be given too.
import { readFileSync } from 'node:fs';
import type { Address } from 'viem';

/** A shop's access to the API, and what it trusts. Ids are UUIDs of the API. */
export type ShopSettings = {
  apiUrl: string;
  clientId: string;
  clientSecret: string;
  nodeId: string;
  networkId: string;
  walletId: string;
  /** Whom the money is for. */
  payee: Address;
  /** By symbol. */
  currencies: Record<string, string>;
  /** What the widget must agree with before it lets anybody sign. */
  expected: { chainId: number; diamond: Address; tokens: Record<string, Address> };
  /** Local chains only: where its sandbox plays cards and banks, and that the shop may move the test clock. */
  sandboxUrl: string | null;
  /** Local chains only: the node that signs for an account that it has unlocked. */
  testWallet: { rpcUrl: string; account: Address } | null;
};

const LOCAL_CHAIN_ID = 31337;

/** Reads a stack.json. @throws Error when a field is missing, or a test wallet is asked for on a real chain */
export function readSettings(path: string, { testWallet }: { testWallet: boolean }): ShopSettings {
  const stack: unknown = JSON.parse(readFileSync(path, 'utf8'));
  const at = (...keys: string[]): unknown => {
    const value = keys.reduce<unknown>((inner, key) => Object(inner)[key], stack);
    if (value === undefined) throw new Error(`${path} lacks ${keys.join('.')}.`);
    return value;
  };
  const text = (...keys: string[]) => String(at(...keys));
  const address = (...keys: string[]) => text(...keys) as Address;
  const chainId = Number(at('eip155_id'));
  const names = Object.keys(Object(at('tokens')));
  return {
    apiUrl: text('api_url'),
    clientId: text('integration', 'client_id'),
    clientSecret: text('integration', 'client_secret'),
    nodeId: text('node_id'),
    networkId: text('network_id'),
    walletId: text('wallet_id'),
    payee: address('payment_address'),
    currencies: Object.fromEntries(
      Object.keys(Object(at('currencies'))).map((name) => [name, text('currencies', name)]),
    ),
    expected: {
      chainId,
      diamond: address('diamond'),
      tokens: Object.fromEntries(names.map((name) => [name, address('tokens', name, 'address')])),
    },
    sandboxUrl: chainId === LOCAL_CHAIN_ID ? text('sandbox_url') : null,
    testWallet: testWallet
      ? localOnly(chainId, { rpcUrl: text('rpc_url'), account: address('buyers', '0', 'address') })
      : null,
  };
}

/** @throws Error off the local chain: a page that signs with known keys is for play money alone. */
export function localOnly<T>(chainId: number, value: T): T {
  if (chainId !== LOCAL_CHAIN_ID) throw new Error(`A test wallet exists on chain ${LOCAL_CHAIN_ID} only.`);
  return value;
}
