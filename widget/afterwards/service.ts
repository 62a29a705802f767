/**
 * Owns what the panel says to the payment service: a refund is asked for or no longer, a split is signed for the other side. The
 * service moves nothing by it.
 * @see POST /api/v1/widget/payments/{id}/refund-requests, POST /api/v1/widget/payments/{id}/split-proposals
 */
import { getAddress, type Hex, isHex } from 'viem';
import { PaymentError, type PaymentSource, type RefundRequest, request, type SplitProposal } from '../payment.ts';
import type { DealNow } from './calls.ts';
import type { Proposal } from './proposal.ts';

/** Asks for a refund of a leg; `units` null: of everything that it holds. @throws PaymentError refused: not now, or too often */
export async function askForRefund(
  source: PaymentSource,
  leg: number,
  { units, reason }: { units: bigint | null; reason: string },
): Promise<RefundRequest> {
  const body = { leg, ...(units !== null && { amount_units: `${units}` }), ...(reason !== '' && { reason }) };
  return await answered(await request(source, '/refund-requests', body));
}

/** Takes a request back. @throws PaymentError refused: it has ended */
export async function withdrawRefund(source: PaymentSource, id: string): Promise<RefundRequest> {
  return await answered(await request(source, `/refund-requests/${encodeURIComponent(id)}/withdraw`, {}));
}

/** Has a signed split shown to the other side. @throws PaymentError */
export async function keepSplit(source: PaymentSource, leg: number, proposal: Proposal): Promise<void> {
  const { signedBy, toPayee, released, refunded, deadline, signature } = proposal;
  const signed = {
    ...{ leg, signed_by: signedBy, signature, to_payee_units: `${toPayee}` },
    ...{ released_units: `${released}`, refunded_units: `${refunded}` },
    deadline: new Date(Number(deadline) * 1_000).toISOString(),
  };
  await answered(await request(source, '/split-proposals', signed));
}

/** What the service shows as a split of this deal; null where its numbers are not the deal's. */
export function splitOf(deal: DealNow, shown: SplitProposal): Proposal | null {
  const { chainId, diamond, terms } = deal;
  const numbers = [shown.released_units, shown.refunded_units, shown.to_payee_units, shown.to_payer_units];
  const seconds = Date.parse(shown.deadline) / 1_000;
  const isWhole = numbers.every((text) => /^\d{1,78}$/.test(text)) && Number.isSafeInteger(seconds);
  if (!isWhole || !isHex(shown.signature, { strict: true })) return null;
  const [released = 0n, refunded = 0n, toPayee = 0n, toPayer = 0n] = numbers.map(BigInt);
  const deadline = BigInt(seconds);
  if (released + refunded + toPayee + toPayer !== terms.amount) return null;
  const signature: Hex = shown.signature;
  const place = { chainId, diamond: getAddress(diamond) };
  return { ...place, terms, released, refunded, toPayee, toPayer, deadline, signedBy: shown.signed_by, signature };
}

async function answered<T>(response: Response): Promise<T> {
  if (response.ok) return (await response.json()) as T;
  const code = response.status < 500 ? 'refused' : 'unreachable';
  throw new PaymentError(code, `The payment service answered ${response.status}.`);
}
