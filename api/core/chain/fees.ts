// Owns what a transaction may bid for gas: the nodes' estimate, and the ceiling above which a signer would rather wait. A node that
// asks for too much, or a network that is dear for an hour, must not empty a signer.
import { formatGwei, parseGwei } from 'viem';
import type { NetworkRow } from '../schema.ts';
import { type Chain, reachable } from './chain.ts';

/** Wei for a unit of gas. */
export type Fees = { maxFeePerGas: bigint; maxPriorityFeePerGas: bigint };

/** What the network asks for now, and the most that may be bid. */
export type Quote = { fees: Fees; ceilingWei: bigint };

// Ten times the base fee: tips beside it are small on every chain whose blocks are not full, and blocks that are full raise it.
const TIMES_BASE_FEE = 10n;
// Below this no chain is dear, however little its base fee is; Polygon alone asks for a tip of 25 gwei.
const NEVER_DEAR_WEI = parseGwei('100');

/** Asks the network's nodes. @throws upstream_unavailable */
export async function quoteFees(chain: Chain, network: NetworkRow): Promise<Quote> {
  const { maxFeePerGas, maxPriorityFeePerGas } = await reachable(network, () =>
    chain.client(network).estimateFeesPerGas(),
  );
  const fees = { maxFeePerGas, maxPriorityFeePerGas };
  return { fees, ceilingWei: network.maxFeeWei ?? saneCeiling(fees) };
}

/** Without a ceiling of the network's own: what the estimate says of the base fee (a fifth is its margin), times ten. */
function saneCeiling({ maxFeePerGas, maxPriorityFeePerGas }: Fees): bigint {
  const relative = TIMES_BASE_FEE * (maxFeePerGas - maxPriorityFeePerGas);
  return relative > NEVER_DEAR_WEI ? relative : NEVER_DEAR_WEI;
}

/** Whether a signer would rather wait than send at what the network asks for. */
export function isDear({ fees, ceilingWei }: Quote): boolean {
  return fees.maxFeePerGas > ceilingWei;
}

/**
 * The fees of a form that replaces one: what nodes ask of a replacement, or what the network asks for now if that is more and below
 * the ceiling; null when even a replacement's least is above it.
 */
export function raisedFees(before: Fees, { fees: now, ceilingWei }: Quote): Fees | null {
  const least = bumped(before.maxFeePerGas);
  if (least > ceilingWei) return null;
  const maxFeePerGas = smaller(larger(least, now.maxFeePerGas), ceilingWei);
  const tip = larger(bumped(before.maxPriorityFeePerGas), now.maxPriorityFeePerGas);
  return { maxFeePerGas, maxPriorityFeePerGas: smaller(tip, maxFeePerGas) };
}

/** Why a signer waits, for its standing. */
export function dearText({ name }: Pick<NetworkRow, 'name'>, { fees, ceilingWei }: Quote): string {
  const [asked, most] = [formatGwei(fees.maxFeePerGas), formatGwei(ceilingWei)];
  return `${name} asks for ${asked} gwei a unit of gas, its ceiling is ${most}: it sends nothing until fees fall.`;
}

// Nodes replace a transaction only for a tenth more of both fees; an eighth more is safe of rounding.
function bumped(fee: bigint): bigint {
  return fee + fee / 8n + 1n;
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
