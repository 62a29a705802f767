/**
 * The one token of the model: balances, what the diamond may take, and what signatures move. An honest token like
 * USDC, with Permit2 beside it; it refuses by the names of their errors.
 */
import type { Address } from 'viem';

/** A refusal, by the name of the contract's error. */
export class Refusal extends Error {
  constructor(name: string) {
    super(name);
    this.name = name;
  }
}

/** What a signature says, which may not be what is sent with it. */
export interface Signed {
  signer: Address;
  amount: bigint;
}

/** A token whose holders all gave the diamond and Permit2 unlimited allowances in the beginning. */
export class TokenModel {
  readonly balances = new Map<Address, bigint>();
  /** Towards the diamond; unlimited when absent. */
  readonly allowances = new Map<Address, bigint>();
  /** `owner nonce` */
  readonly spentNonces = new Set<string>();

  move(from: Address, to: Address, amount: bigint, refusal: string): void {
    const balance = this.balances.get(from) ?? 0n;
    if (balance < amount) throw new Refusal(refusal);
    this.balances.set(from, balance - amount);
    this.balances.set(to, (this.balances.get(to) ?? 0n) + amount);
  }

  /** The diamond takes by allowance; an unlimited one never shrinks. */
  take(from: Address, to: Address, amount: bigint): void {
    const allowance = this.allowances.get(from);
    if (allowance !== undefined && allowance < amount) throw new Refusal('TransferFailed');
    this.move(from, to, amount, 'TransferFailed');
    if (allowance !== undefined) this.allowances.set(from, allowance - amount);
  }

  /** ERC-2612: a good permit sets the allowance, another one does nothing; what counts is the allowance. */
  takeByPermit(
    owner: Address,
    to: Address,
    amount: bigint,
    { deadline, now, signed }: { deadline: bigint; now: bigint; signed: Signed },
  ): void {
    const isGood = now <= deadline && signed.signer === owner && signed.amount === amount;
    if (!isGood) {
      this.take(owner, to, amount);
      return;
    }
    this.move(owner, to, amount, 'TransferFailed');
    this.allowances.set(owner, 0n);
  }

  /** ERC-3009: `validBefore` is the first second in which it is too late. */
  receive(from: Address, to: Address, amount: bigint, validBefore: bigint, now: bigint, signed: Signed): void {
    if (signed.signer !== from || signed.amount !== amount) throw new Refusal('ERC3009InvalidSignature');
    if (now >= validBefore) throw new Refusal('ERC3009InvalidAuthorizationTime');
    this.move(from, to, amount, 'ERC20InsufficientBalance');
  }

  /** Permit2: `deadline` is the last second. */
  receiveByPermit2(
    from: Address,
    to: Address,
    amount: bigint,
    { nonce, deadline, now, signed }: { nonce: bigint; deadline: bigint; now: bigint; signed: Signed },
  ): void {
    if (now > deadline) throw new Refusal('SignatureExpired');
    const spent = `${from} ${nonce}`;
    if (this.spentNonces.has(spent)) throw new Refusal('InvalidNonce');
    if (signed.signer !== from || signed.amount !== amount) throw new Refusal('InvalidSigner');
    this.move(from, to, amount, 'ERC20InsufficientBalance');
    this.spentNonces.add(spent);
  }
}
