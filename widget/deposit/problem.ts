/**
 * Owns what can go wrong with wallet and chain, as one code each: from EIP-1193 error codes and from the contract's own
 * errors, told apart by selector. The words for a code are in words.ts.
 */
import { type Hex, isHex, slice, toFunctionSelector } from 'viem';
import type { ProblemCode } from '../snapshot.ts';

/** Something a buyer has to be told. */
export class Problem extends Error {
  override name = 'Problem';
  readonly code: ProblemCode;
  constructor(code: ProblemCode, options?: ErrorOptions) {
    super(code, options);
    this.code = code;
  }
}

/** The contract's errors that a deposit can meet, and what each means for a buyer. @see contracts/interfaces/IEscrow.sol */
export const contractErrors: Record<string, ProblemCode> = {
  'OfferClosed(bytes32)': 'offer_closed',
  'DepositAfterDeadline(uint256,uint256)': 'too_late',
  'DepositsPaused(address)': 'deposits_paused',
  'TokenNotAllowed(address)': 'deposits_paused',
  'WrongStatus(uint8,uint8)': 'already_paid',
  'TransferFailed(address,address,address,uint256)': 'token_refused',
  'WrongDelta(uint256,uint256)': 'token_refused',
};

const bySelector = new Map<Hex, ProblemCode>(
  Object.entries(contractErrors).map(([signature, code]) => [toFunctionSelector(signature), code]),
);

/** EIP-1193, EIP-1474 and EIP-3326 codes. */
const byCode: Record<number, ProblemCode> = {
  4001: 'rejected',
  4100: 'rejected',
  4900: 'network_down',
  4901: 'network_down',
  4902: 'unknown_chain',
  // EIP-5792: the wallet cannot do it for this account or chain after all.
  5700: 'wallet_failed',
  5710: 'wallet_failed',
  5740: 'wallet_failed',
  5750: 'rejected',
  5760: 'wallet_failed',
  [-32002]: 'wallet_busy',
  [-32005]: 'network_down',
  5000: 'rejected',
};

/** The problem behind anything that a wallet, a node or wagmi threw; what nobody knows is `wallet_failed`. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const data = revertDataOf(error);
  if (data) return new Problem(bySelector.get(slice(data, 0, 4)) ?? 'reverted', { cause: error });
  const chain = causes(error);
  // The innermost code counts: wagmi wraps every failure to add a chain into a rejection.
  const innermost = chain.findLast((link) => typeof Reflect.get(link, 'code') === 'number');
  const code = innermost && byCode[Number(Reflect.get(innermost, 'code'))];
  if (code) return new Problem(code, { cause: error });
  if (chain.some((link) => /revert/i.test(String(Reflect.get(link, 'message'))))) {
    return new Problem('reverted', { cause: error });
  }
  return new Problem('wallet_failed', { cause: error });
}

/** What a contract said when it reverted, behind whatever was thrown; null where it is not told. */
export function revertDataOf(error: unknown): Hex | null {
  return (
    causes(error)
      .map(revertData)
      .find((data) => data !== null) ?? null
  );
}

/** The error and what it was caused by, outermost first; wallets put the node's error into `data` or `data.originalError`. */
function causes(error: unknown): object[] {
  const found: object[] = [];
  let queue: unknown[] = [error];
  while (queue.length > 0 && found.length < 12) {
    const links = queue.filter((link): link is object => typeof link === 'object' && link !== null);
    found.push(...links);
    queue = links.flatMap((link) => ['cause', 'data', 'originalError', 'error'].map((name) => Reflect.get(link, name)));
  }
  return found;
}

function revertData(link: object): Hex | null {
  const data: unknown = Reflect.get(link, 'data');
  return isHex(data) && data.length >= 10 ? data : null;
}
