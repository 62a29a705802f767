// Owns checking what an API says of a payment against the chain, with the reader's own RPC node: it believes nothing of the API
// but the payment that it is to check. Anybody may import it; it needs viem and nothing else of ours but the terms' hash.
import {
  type Address,
  formatUnits,
  getAddress,
  type Hex,
  isAddressEqual,
  type PublicClient,
  parseEventLogs,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
  zeroAddress,
} from 'viem';
import { escrowAbi, usdcAbi } from './abi.ts';
import { dealId, statusNames, type Terms } from './terms.ts';

/** A leg as `GET /api/v1/payments/{id}` answers it; amounts are base units as text. */
export type ClaimedLeg = {
  leg: number;
  status: string;
  deal_id: number | null;
  ref: string | null;
  offer_hash: string | null;
  hash: string | null;
  payee: string | null;
  payer: string | null;
  token: string;
  amount_units: string;
  fee_units: string;
  released_units: string;
  refunded_units: string;
  fee_recipient: string;
  operator: string;
  arbiter: string;
  deposit_deadline: string;
  settlement_deadline: string;
  resolution_deadline: string;
  default_outcome: string;
  proof: {
    chain_id: number;
    block: number;
    transaction: string;
    log_index: number;
    confirmations: number;
    diamond: string;
    deal: string;
  } | null;
};

/** A payment as the API answers it, as far as it can be checked. */
export type ClaimedPayment = {
  id: string;
  status: string;
  payment_method: string;
  paid_price: number;
  paid_price_units: string;
  transaction_hash: string | null;
  deal: ClaimedLeg;
  legs: readonly ClaimedLeg[];
};

/** One field: what the API claims, what the chain says, and whether they agree. */
export type Finding = { leg: number | null; field: string; claimed: string; found: string; agrees: boolean };

/**
 * Re-reads everything that a payment claims to have on chain. `diamond` is the escrow's address as you know it: without it, a
 * contract that merely looks like one can answer for it, and a leg without a proof is only held to claim nothing. A deposit that
 * the API hides together with its payer is not found.
 * @throws viem's errors when the node does not answer.
 */
export async function verify(
  payment: ClaimedPayment,
  client: PublicClient,
  { diamond }: { diamond?: Address } = {},
): Promise<Finding[]> {
  const { legs } = payment;
  const [first] = legs;
  const sum = legs.reduce((total, leg) => total + BigInt(leg.amount_units), 0n);
  const findings = [
    finding(null, 'status', payment.status, sumOf(legs.map(({ status }) => status))),
    finding(null, 'paid_price_units', payment.paid_price_units, sum.toString()),
    finding(null, 'deal', 'the first leg', isSame(payment.deal, first) ? 'the first leg' : 'something else'),
  ];
  if (first?.proof) {
    const decimals = await client.readContract({
      address: address(first.token),
      abi: usdcAbi,
      functionName: 'decimals',
    });
    const price = formatUnits(BigInt(payment.paid_price_units), decimals);
    findings.push(finding(null, 'paid_price', String(payment.paid_price), String(Number(price))));
  }
  const { transaction_hash: hash } = payment;
  if (first && hash !== null) findings.push(await verifyDeposit(first, hash as Hex, client));
  // What a provider says of cards and transfers is not on chain.
  if (payment.payment_method !== 'web3') return findings;
  for (const leg of legs) findings.push(...(await (leg.proof ? verifyLeg : verifyUnproven)(leg, client, diamond)));
  return findings;
}

function isSame(one: object, other: object | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The status that a payment has when its legs have these: what needs somebody first, then what still lives, then its mixtures. */
function sumOf(legs: readonly string[]): string {
  const urgent = ['disputed', 'cancel_requested'].find((status) => legs.includes(status));
  if (urgent) return urgent;
  const live = legs.filter((status) => status !== 'cancelled' && status !== 'expired');
  if (live.length === 0) return legs.includes('expired') ? 'expired' : 'cancelled';
  const kinds = new Set(live);
  if (kinds.size === 1) return live[0] ?? '';
  if (['pending', 'awaiting_deposit', 'confirming'].some((status) => kinds.has(status))) return 'confirming';
  if (!kinds.has('funded') && !kinds.has('partially_released')) return 'partially_refunded';
  return live.every((status) => status === 'funded' || status === 'refunded') ? 'funded' : 'partially_released';
}

/** Whether the transaction that the payment names deposited into its first leg's deal. */
async function verifyDeposit({ hash, proof }: ClaimedLeg, transaction: Hex, client: PublicClient): Promise<Finding> {
  const receipt = await receiptOf(transaction, client);
  const deposits = parseEventLogs({ abi: escrowAbi, eventName: 'Deposited', logs: receipt?.logs ?? [] });
  const own = deposits.find(({ topics }) => hash !== null && topics[1] === hash.toLowerCase());
  const isOurs = own !== undefined && proof !== null && isAddressEqual(own.address, address(proof.diamond));
  const found = isOurs ? `the deposit of deal ${hash}` : receipt ? 'no deposit of it' : 'no such transaction';
  return finding(null, 'transaction_hash', `the deposit of deal ${hash}`, found);
}

async function receiptOf(hash: Hex, client: PublicClient): Promise<TransactionReceipt | null> {
  return await client.getTransactionReceipt({ hash }).catch((error) => {
    if (error instanceof TransactionReceiptNotFoundError) return null;
    throw error;
  });
}

// What a leg can be before anything of it is on chain, or that the API knows of.
const UNPROVEN = ['pending', 'awaiting_deposit', 'confirming', 'cancel_requested', 'cancelled', 'expired'];

/** A leg that claims to have nothing on chain must claim no money either, and its offer's slot must be empty. */
async function verifyUnproven(leg: ClaimedLeg, client: PublicClient, diamond?: Address): Promise<Finding[]> {
  const say = (field: string, claimed: unknown, found: unknown) =>
    finding(leg.leg, field, String(claimed), String(found));
  const findings = [
    finding(leg.leg, 'status', leg.status, UNPROVEN.includes(leg.status) ? leg.status : 'nothing that proves it'),
    say('released_units', leg.released_units, 0),
    say('refunded_units', leg.refunded_units, 0),
  ];
  if (leg.status === 'expired') {
    const { timestamp } = await client.getBlock();
    const isOver = timestamp > unixSeconds(leg.deposit_deadline);
    findings.push(finding(leg.leg, 'deposit_deadline', leg.deposit_deadline, isoTime(timestamp), isOver));
  }
  if (!diamond || leg.offer_hash === null) return findings;
  const chainId = await client.getChainId();
  const terms = hashes(leg).map((one) => say(one.field, one.claimed, dealId(one.terms, chainId, diamond)));
  const args = [leg.offer_hash as Hex] as const;
  const slot = await client.readContract({ address: diamond, abi: escrowAbi, functionName: 'getDeal', args });
  const found = statusNames[slot.status] ?? 'unknown';
  // A cancellation may be in a block that the API has not seen yet.
  const agrees = found === 'None' || (found === 'Cancelled' && leg.status === 'cancel_requested');
  return [...findings, ...terms, finding(leg.leg, 'proof', 'nothing on chain', found, agrees)];
}

async function verifyLeg(leg: ClaimedLeg, client: PublicClient, known?: Address): Promise<Finding[]> {
  const { proof } = leg;
  const say = (field: string, claimed: unknown, found: unknown) =>
    finding(leg.leg, field, String(claimed), String(found));
  if (!proof) return [];
  const chainId = await client.getChainId();
  // On another chain there is nothing to compare.
  if (chainId !== proof.chain_id) return [say('proof.chain_id', proof.chain_id, chainId)];
  const diamond = address(proof.diamond);
  // Another contract may say whatever the API says.
  if (known && !isAddressEqual(known, diamond)) return [say('proof.diamond', diamond, known)];
  const [code, head, receipt, slot] = await Promise.all([
    client.getCode({ address: diamond }),
    client.getBlockNumber({ cacheTime: 0 }),
    receiptOf(proof.transaction as Hex, client),
    client.readContract({
      address: diamond,
      abi: escrowAbi,
      functionName: 'getDeal',
      args: [proof.deal as Hex],
    }),
  ]);
  const event = receipt?.logs.find((log) => log.logIndex === proof.log_index);
  const confirmations = head - BigInt(proof.block) + 1n;
  return [
    say('proof.chain_id', proof.chain_id, chainId),
    say('proof.diamond', known ? diamond : 'a contract', code ? (known ?? 'a contract') : 'no contract'),
    say('deal_id', leg.deal_id, BigInt(leg.ref ?? 0) >> 192n),
    ...hashes(leg).map(({ field, claimed, terms }) => say(field, claimed, dealId(terms, chainId, diamond))),
    say('proof.deal', proof.deal, leg.hash ?? leg.offer_hash),
    say('proof.block', proof.block, receipt?.blockNumber ?? 'no such transaction'),
    say(
      'proof.log_index',
      `an event of deal ${proof.deal}`,
      event && isAddressEqual(event.address, diamond)
        ? `an event of deal ${event.topics[1]}`
        : 'no event of the diamond',
    ),
    finding(
      leg.leg,
      'proof.confirmations',
      String(proof.confirmations),
      String(confirmations),
      confirmations >= BigInt(proof.confirmations),
    ),
    say('released_units', leg.released_units, slot.released),
    say('refunded_units', leg.refunded_units, slot.refunded),
    finding(leg.leg, 'status', leg.status, statusNames[slot.status] ?? 'unknown', explains(leg, slot)),
  ];
}

/** The hashes that a leg's terms must have: the offer's, and with a payer the deal's. */
function hashes(leg: ClaimedLeg): { field: string; claimed: string; terms: Terms }[] {
  const terms: Terms = {
    ref: BigInt(leg.ref ?? 0),
    operator: address(leg.operator),
    payee: address(leg.payee ?? zeroAddress),
    payer: zeroAddress,
    token: address(leg.token),
    amount: BigInt(leg.amount_units),
    fee: BigInt(leg.fee_units),
    feeRecipient: address(leg.fee_recipient),
    arbiter: address(leg.arbiter),
    depositDeadline: unixSeconds(leg.deposit_deadline),
    settlementDeadline: unixSeconds(leg.settlement_deadline),
    resolutionDeadline: unixSeconds(leg.resolution_deadline),
    defaultOutcome: leg.default_outcome === 'release' ? 1 : 0,
  };
  const offer = { field: 'offer_hash', claimed: leg.offer_hash ?? 'none', terms };
  if (!leg.hash || !leg.payer) return [offer];
  return [offer, { field: 'hash', claimed: leg.hash, terms: { ...terms, payer: address(leg.payer) } }];
}

// A leg that the operator is asked to cancel is on chain what it was before.
const HELD = ['confirming', 'funded', 'partially_released', 'cancel_requested'];

/** Whether the slot on chain is one in which a leg may have the status that is claimed. */
function explains(leg: ClaimedLeg, slot: { released: bigint; refunded: bigint; status: number }): boolean {
  switch (statusNames[slot.status]) {
    case 'Funded':
      return HELD.includes(leg.status) && (leg.status !== 'partially_released' || slot.released > 0n);
    case 'Disputed':
      return leg.status === 'disputed';
    case 'Cancelled':
      return leg.status === 'cancelled' || (leg.status === 'cancel_requested' && leg.hash === null);
    case 'Settled': {
      if (slot.refunded === 0n) return leg.status === 'released';
      return leg.status === (slot.refunded === BigInt(leg.amount_units) ? 'refunded' : 'partially_refunded');
    }
    default:
      return false;
  }
}

function finding(
  leg: number | null,
  field: string,
  claimed: string,
  found: string,
  agrees = claimed.toLowerCase() === found.toLowerCase(),
): Finding {
  return { leg, field, claimed, found, agrees };
}

function address(text: string): Address {
  return getAddress(text);
}

function unixSeconds(time: string): bigint {
  return BigInt(Date.parse(time) / 1000);
}

function isoTime(seconds: bigint): string {
  return new Date(Number(seconds) * 1000).toISOString();
}
