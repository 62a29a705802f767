// Owns checking what an API says of a payment against the chain, with the reader's own RPC node: it believes nothing of the API
// but the payment that it is to check. Anybody may import it; it needs viem and nothing else of ours but the terms' hash.
import { type Address, formatUnits, getAddress, type Hex, isAddressEqual, type PublicClient, zeroAddress } from 'viem';
import { escrowAbi, usdcAbi } from './abi.ts';
import { dealId, statusNames, type Terms } from './terms.ts';

/** A leg as `GET /api/v1/payments/{id}` answers it; amounts are base units as text. */
export type ClaimedLeg = {
  leg: number;
  status: string;
  ref: string | null;
  offer_hash: string | null;
  hash: string | null;
  payee: string;
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
export type ClaimedPayment = { id: string; paid_price: number; paid_price_units: string; legs: readonly ClaimedLeg[] };

/** One field: what the API claims, what the chain says, and whether they agree. */
export type Finding = { leg: number | null; field: string; claimed: string; found: string; agrees: boolean };

/**
 * Re-reads everything that a payment claims to have on chain. A leg without a proof claims nothing and is reported as such.
 * @throws viem's errors when the node does not answer.
 */
export async function verify(payment: ClaimedPayment, client: PublicClient): Promise<Finding[]> {
  const sum = payment.legs.reduce((total, leg) => total + BigInt(leg.amount_units), 0n);
  const findings = [finding(null, 'paid_price_units', payment.paid_price_units, sum.toString())];
  const [first] = payment.legs;
  if (first?.proof) {
    const decimals = await client.readContract({
      address: address(first.token),
      abi: usdcAbi,
      functionName: 'decimals',
    });
    const price = formatUnits(BigInt(payment.paid_price_units), decimals);
    findings.push(finding(null, 'paid_price', String(payment.paid_price), String(Number(price))));
  }
  for (const leg of payment.legs) findings.push(...(await verifyLeg(leg, client)));
  return findings;
}

async function verifyLeg(leg: ClaimedLeg, client: PublicClient): Promise<Finding[]> {
  const { proof } = leg;
  const say = (field: string, claimed: unknown, found: unknown) =>
    finding(leg.leg, field, String(claimed), String(found));
  if (!proof) return [say('proof', 'nothing on chain', 'nothing on chain')];
  const chainId = await client.getChainId();
  // On another chain there is nothing to compare.
  if (chainId !== proof.chain_id) return [say('proof.chain_id', proof.chain_id, chainId)];
  const diamond = address(proof.diamond);
  const [code, head, receipt, slot] = await Promise.all([
    client.getCode({ address: diamond }),
    client.getBlockNumber({ cacheTime: 0 }),
    client.getTransactionReceipt({ hash: proof.transaction as Hex }).catch(() => null),
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
    say('proof.diamond', 'a contract', code ? 'a contract' : 'no contract'),
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
    payee: address(leg.payee),
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
