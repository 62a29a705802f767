// Owns what the contract's refusals mean: an error's name, its arguments by name, and a sentence for whoever has to act on it.
import { decodeErrorResult, type Hex } from 'viem';
import { escrowAbi } from '../../../contracts/abi.ts';
import { statusNames } from '../../../contracts/terms.ts';
import type { Refusal } from '../schema.ts';

type Texts = Readonly<Record<string, string>>;

const time = (unixSeconds = '0') => new Date(Number(unixSeconds) * 1000).toISOString().replace('.000Z', 'Z');

/** What each error says to somebody who never saw the contract; arguments as {@link textOf} renders them. */
const sentences: Readonly<Record<string, (of: Texts) => string>> = {
  NotAllowed: ({ caller }) => `${caller} may not do this with this deal now.`,
  WrongStatus: ({ actual, expected }) => `The deal is ${actual} on chain; this needs it to be ${expected}.`,
  OfferClosed: () => 'The offer was closed before the deposit.',
  DepositAfterDeadline: ({ deadline }) => `Deposits ended at ${time(deadline)}.`,
  AfterDeadline: ({ timestamp, deadline }) =>
    `The last moment for this was ${time(deadline)}; it is ${time(timestamp)}.`,
  BeforeDeadline: ({ timestamp, deadline }) => `This is possible after ${time(deadline)}; it is ${time(timestamp)}.`,
  WrongOutcome: ({ actual }) => `The terms provide another outcome by default: ${actual}.`,
  NoArbiter: () => 'The deal has no arbiter, so nobody can dispute it.',
  BatchSize: ({ size, max }) => `A batch takes 1 to ${max} deals, not ${size}.`,
  SignatureInvalid: ({ signer }) => `The signature of ${signer} is not over these numbers of this deal.`,
  TokenNotAllowed: ({ token }) => `The escrow does not take the token ${token}.`,
  DepositsPaused: ({ token }) => `New deposits of ${token} are paused.`,
  AmountOutOfRange: ({ amount, max }) => `${amount} base units are not possible here; at most ${max} are.`,
  TransferFailed: ({ token, from, amount }) =>
    `The token ${token} refused to move ${amount} base units from ${from}: its balance or its allowance for the escrow is too small, or it is blocked.`,
  PushOutOfGas: ({ gasNeeded }) => `The transaction had too little gas to pay out; it needs ${gasNeeded} more.`,
  NothingToWithdraw: ({ account }) => `${account} has no credit to withdraw.`,
  Reentered: () => 'The token called back into the escrow.',
  Error: ({ message }) => `Refused: ${message}.`,
};

/** Explains revert data; null when it is no error of the diamond. */
export function explainRevert(data: Hex): Refusal | null {
  try {
    const { errorName, args = [], abiItem } = decodeErrorResult({ abi: escrowAbi, data });
    const names = 'inputs' in abiItem ? abiItem.inputs.map((input) => input.name) : [];
    const texts = Object.fromEntries(
      args.map((value, index) => [names[index] || String(index), textOf(errorName, value)]),
    );
    const message = sentences[errorName]?.(texts) ?? `The contract refused: ${errorName}.`;
    return { name: errorName, arguments: texts, message };
  } catch {
    return null;
  }
}

/** A failure that is no error of the contract. */
export function unexplained(message: string): Refusal {
  return { name: null, arguments: {}, message };
}

/** An argument as text; enums by their names in the contract. */
function textOf(errorName: string, value: unknown): string {
  if (typeof value !== 'number') return String(value);
  const names: readonly string[] = errorName === 'WrongOutcome' ? ['Refund', 'Release'] : statusNames;
  return names[value] ?? String(value);
}
