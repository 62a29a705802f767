/**
 * The terms of a deal in TypeScript: their shape, their hash and what storage keeps of a deal, computed as the diamond
 * does. It knows nothing of wallets, databases or HTTP.
 */
import { type Address, encodeAbiParameters, type Hex, keccak256, zeroAddress } from 'viem';

/** What payer and payee agree on; amounts in base units, times in Unix seconds. @see contracts/interfaces/IEscrow.sol */
export interface Terms {
  /** Deal number in the high 64 bits, random salt in the low 192. */
  ref: bigint;
  operator: Address;
  payee: Address;
  /** The zero address makes the terms an offer: the first depositor becomes the payer. */
  payer: Address;
  token: Address;
  amount: bigint;
  /** For the whole amount. */
  fee: bigint;
  feeRecipient: Address;
  /** The zero address: no disputes. */
  arbiter: Address;
  depositDeadline: bigint;
  settlementDeadline: bigint;
  resolutionDeadline: bigint;
  /** 0 refund, 1 release. */
  defaultOutcome: number;
}

/** The statuses of a deal on chain, in the order of the contract's enum. */
export const statusNames = ['None', 'Funded', 'Disputed', 'Cancelled', 'Settled'] as const;

/** One of the statuses of a deal on chain. */
export type StatusName = (typeof statusNames)[number];

/** The largest amount that a deal can hold, in base units. */
export const MAX_AMOUNT = (1n << 120n) - 1n;

/** The least number of seconds between deposit and settlement deadline, and between settlement and resolution deadline. */
export const MINIMUM_GAP_SECONDS = 3600n;

/** The most seconds from the deposit to the resolution deadline. */
export const MAXIMUM_HORIZON_SECONDS = 3650n * 86_400n;

/** The 13 words of terms as ABI parameters, in the order of the struct. */
export const termsParameters = [
  { name: 'ref', type: 'uint256' },
  { name: 'operator', type: 'address' },
  { name: 'payee', type: 'address' },
  { name: 'payer', type: 'address' },
  { name: 'token', type: 'address' },
  { name: 'amount', type: 'uint256' },
  { name: 'fee', type: 'uint256' },
  { name: 'feeRecipient', type: 'address' },
  { name: 'arbiter', type: 'address' },
  { name: 'depositDeadline', type: 'uint256' },
  { name: 'settlementDeadline', type: 'uint256' },
  { name: 'resolutionDeadline', type: 'uint256' },
  { name: 'defaultOutcome', type: 'uint8' },
] as const;

/** The id of the deal with these terms (32 bytes); with a zero payer it is the id of the offer. */
export function dealId(terms: Terms, chainId: number, diamond: Address): Hex {
  return keccak256(
    encodeAbiParameters(
      [{ type: 'tuple', components: termsParameters }, { type: 'uint256' }, { type: 'address' }],
      [terms, BigInt(chainId), diamond],
    ),
  );
}

/** The id of the offer that a deal with these terms came from: the id with the payer left out (32 bytes). */
export function offerId(terms: Terms, chainId: number, diamond: Address): Hex {
  return dealId({ ...terms, payer: zeroAddress }, chainId, diamond);
}

/** The fee taken once `released` (base units, fee included) has left towards the payee: floor(fee × released ÷ amount). */
export function feeAt(terms: Pick<Terms, 'fee' | 'amount'>, released: bigint): bigint {
  return (terms.fee * released) / terms.amount;
}

/** Unpacks the `state` word of an event: released and refunded in base units, and the status. */
export function decodeDealState(state: bigint): { released: bigint; refunded: bigint; status: StatusName } {
  const status = statusNames[Number((state >> 240n) & 0xffn)];
  if (!status) throw new RangeError(`no such status in deal state 0x${state.toString(16)}`);
  return { released: state & MAX_AMOUNT, refunded: (state >> 120n) & MAX_AMOUNT, status };
}
