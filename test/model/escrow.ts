/**
 * The escrow once more, as a few rules over maps: what each verb does to deals, balances and credits, or which error it
 * ends with. It knows no chain and no encoding; the differential test holds the contract against it.
 */
import { type Address, type Hex, zeroAddress } from 'viem';
import { MAX_AMOUNT, MAXIMUM_HORIZON_SECONDS, MINIMUM_GAP_SECONDS, type Terms } from '../../contracts/terms.ts';

/** A deal as the model keeps it; amounts in base units. */
export interface ModelDeal {
  status: 'None' | 'Funded' | 'Disputed' | 'Cancelled' | 'Settled';
  released: bigint;
  refunded: bigint;
  disputedBy?: Address;
}

/** One call of a verb. `terms` may be an offer (payer zero) for deposits and closings. */
export type Call = { from: Address } & (
  | {
      verb: 'deposit' | 'release' | 'cancelDeal' | 'claim' | 'reclaim' | 'openDispute' | 'withdrawDispute';
      terms: Terms;
    }
  | { verb: 'releasePart' | 'refundPart' | 'returnPayment' | 'resolve'; terms: Terms; amount: bigint }
  | { verb: 'depositMany' | 'releaseMany' | 'cancelMany'; list: Terms[] }
  | {
      verb: 'settle';
      terms: Terms;
      amount: bigint;
      deadline: bigint;
      /** What the parties signed: released, refunded, to the payee, to the payer, deadline. */
      signed: { payer: readonly bigint[]; payee: readonly bigint[] };
    }
  | { verb: 'withdraw'; account: Address }
  | { verb: 'setDelegate'; delegate: Address; allowed: boolean }
);

/** A verb's refusal, by the name of the contract's error. */
export class Refusal extends Error {
  constructor(name: string) {
    super(name);
    this.name = name;
  }
}

const none: ModelDeal = { status: 'None', released: 0n, refunded: 0n };
const MAX_BATCH = 100;

/** The escrow of one honest token whose holders all gave the diamond an unlimited allowance. */
export class EscrowModel {
  /** Unix seconds of the next call's block. */
  now = 0n;
  readonly deals = new Map<Hex, ModelDeal>();
  readonly balances = new Map<Address, bigint>();
  readonly credits = new Map<Address, bigint>();
  readonly delegates = new Set<string>();
  private readonly idOf: (terms: Terms) => Hex;
  private readonly diamond: Address;

  constructor(idOf: (terms: Terms) => Hex, diamond: Address) {
    this.idOf = idOf;
    this.diamond = diamond;
  }

  /** The deal with these terms; none when it was never opened. */
  deal(terms: Terms): ModelDeal {
    return this.deals.get(this.idOf(terms)) ?? none;
  }

  /** Does what the verb does, or nothing. @throws Refusal by the name of the contract's error */
  call(call: Call): void {
    switch (call.verb) {
      case 'deposit':
        this.deposit(call.from, [call.terms]);
        return;
      case 'depositMany':
        requireBatch(call.list);
        this.deposit(call.from, call.list);
        return;
      case 'release':
        this.requireMay(call.from, call.terms, call.terms.payer);
        this.release(call.terms, this.held(call.terms));
        return;
      case 'releasePart':
        this.requireMay(call.from, call.terms, call.terms.payer);
        requirePart(call.amount, this.held(call.terms));
        this.release(call.terms, call.amount);
        return;
      case 'releaseMany':
        this.each(call.list, (terms) => {
          if (this.whyNot(call.from, terms, terms.payer) === undefined) this.release(terms, this.held(terms));
          return;
        });
        return;
      case 'cancelDeal':
        if (this.deal(call.terms).status === 'None') {
          if (!this.mayClose(call.from, call.terms)) throw new Refusal('NotAllowed');
          this.write(call.terms, { ...none, status: 'Cancelled' });
          return;
        }
        this.requireMay(call.from, call.terms, call.terms.payee);
        this.refund(call.terms, this.held(call.terms));
        return;
      case 'cancelMany':
        this.each(call.list, (terms) => {
          if (this.deal(terms).status === 'None') {
            if (this.mayClose(call.from, terms)) this.write(terms, { ...none, status: 'Cancelled' });
            return;
          } else if (this.whyNot(call.from, terms, terms.payee) === undefined) this.refund(terms, this.held(terms));
        });
        return;
      case 'refundPart':
        this.requireMay(call.from, call.terms, call.terms.payee);
        requirePart(call.amount, this.held(call.terms));
        this.refund(call.terms, call.amount);
        return;
      case 'claim':
        this.requireDefault(call.terms, 1);
        this.release(call.terms, this.held(call.terms));
        return;
      case 'reclaim':
        this.requireDefault(call.terms, 0);
        this.refund(call.terms, this.held(call.terms));
        return;
      case 'returnPayment':
        this.returnPayment(call.from, call.terms, call.amount);
        return;
      case 'openDispute':
        this.openDispute(call.from, call.terms);
        return;
      case 'withdrawDispute':
        this.withdrawDispute(call.from, call.terms);
        return;
      case 'resolve':
        if (this.deal(call.terms).status !== 'Disputed') throw new Refusal('WrongStatus');
        if (call.from !== call.terms.arbiter) throw new Refusal('NotAllowed');
        if (this.now > call.terms.resolutionDeadline) throw new Refusal('AfterDeadline');
        this.split(call.terms, call.amount);
        return;
      case 'settle':
        this.settle(call);
        return;
      case 'withdraw': {
        const amount = this.credits.get(call.account) ?? 0n;
        if (amount === 0n) throw new Refusal('NothingToWithdraw');
        this.credits.set(call.account, 0n);
        this.move(this.diamond, call.account, amount);
        return;
      }
      case 'setDelegate': {
        const key = `${call.from} ${call.delegate}`;
        if (call.allowed) this.delegates.add(key);
        else this.delegates.delete(key);
      }
    }
  }

  /** Opens all or none. */
  private deposit(from: Address, list: Terms[]) {
    const opened: Hex[] = [];
    try {
      for (const terms of list) opened.push(this.open(from, terms));
      this.move(
        from,
        this.diamond,
        list.reduce((sum, terms) => sum + terms.amount, 0n),
      );
    } catch (error) {
      for (const id of opened) this.deals.delete(id);
      throw error;
    }
  }

  private open(from: Address, terms: Terms): Hex {
    const payer = terms.payer === zeroAddress ? from : terms.payer;
    if (terms.payer === zeroAddress && this.deal(terms).status !== 'None') throw new Refusal('OfferClosed');
    this.checkTerms(terms, payer);
    const named = { ...terms, payer };
    if (this.deal(named).status !== 'None') throw new Refusal('WrongStatus');
    this.write(named, { ...none, status: 'Funded' });
    return this.idOf(named);
  }

  private checkTerms(terms: Terms, payer: Address) {
    const { payee, operator, token, arbiter, amount, fee, depositDeadline, settlementDeadline, resolutionDeadline } =
      terms;
    if (operator === zeroAddress) throw new Refusal('OperatorInvalid');
    if ([zeroAddress, operator, payer, token, this.diamond].includes(payee)) throw new Refusal('PayeeInvalid');
    if ([token, this.diamond].includes(payer)) throw new Refusal('PayerInvalid');
    if ([payer, payee].includes(arbiter)) throw new Refusal('ArbiterInvalid');
    if (amount === 0n || amount > MAX_AMOUNT) throw new Refusal('AmountOutOfRange');
    if (fee > amount) throw new Refusal('FeeOutOfRange');
    if (terms.feeRecipient === this.diamond || (fee > 0n && terms.feeRecipient === zeroAddress)) {
      throw new Refusal('FeeRecipientInvalid');
    }
    if (this.now > depositDeadline) throw new Refusal('DepositAfterDeadline');
    if (resolutionDeadline > this.now + MAXIMUM_HORIZON_SECONDS) throw new Refusal('DeadlineTooFar');
    if (resolutionDeadline - settlementDeadline < MINIMUM_GAP_SECONDS) throw new Refusal('DeadlineGap');
    if (settlementDeadline - depositDeadline < MINIMUM_GAP_SECONDS) throw new Refusal('DeadlineGap');
  }

  private each(list: Terms[], one: (terms: Terms) => void) {
    requireBatch(list);
    for (const terms of list) one(terms);
  }

  private openDispute(from: Address, terms: Terms) {
    const deal = this.deal(terms);
    if (deal.status !== 'Funded') throw new Refusal('WrongStatus');
    if (terms.arbiter === zeroAddress) throw new Refusal('NoArbiter');
    if (this.now > terms.settlementDeadline) throw new Refusal('AfterDeadline');
    if (from !== terms.payer && from !== terms.payee) throw new Refusal('NotAllowed');
    this.write(terms, { ...deal, status: 'Disputed', disputedBy: from });
  }

  private withdrawDispute(from: Address, terms: Terms) {
    const { disputedBy, ...deal } = this.deal(terms);
    if (deal.status !== 'Disputed') throw new Refusal('WrongStatus');
    if (from !== disputedBy) throw new Refusal('NotAllowed');
    this.write(terms, { ...deal, status: 'Funded' });
  }

  private returnPayment(from: Address, terms: Terms, amount: bigint) {
    const deal = this.deal(terms);
    if (deal.status !== 'Settled') throw new Refusal('WrongStatus');
    if (from !== terms.payee) throw new Refusal('NotAllowed');
    requirePart(amount, terms.amount - deal.refunded);
    this.move(terms.payee, terms.payer, amount);
    this.write(terms, { ...deal, refunded: deal.refunded + amount });
  }

  private settle({ from, terms, amount, deadline, signed }: Extract<Call, { verb: 'settle' }>) {
    if (!this.isHeld(terms)) throw new Refusal('WrongStatus');
    if (this.now > deadline) throw new Refusal('AfterDeadline');
    const held = this.held(terms);
    if (amount > held) throw new Refusal('AmountOutOfRange');
    const { released, refunded } = this.deal(terms);
    const due = [released, refunded, amount, held - amount, deadline].join();
    if (from !== terms.payer && signed.payer.join() !== due) throw new Refusal('SignatureInvalid');
    if (from !== terms.payee && signed.payee.join() !== due) throw new Refusal('SignatureInvalid');
    this.split(terms, amount);
  }

  private split(terms: Terms, toPayee: bigint) {
    const held = this.held(terms);
    if (toPayee > held) throw new Refusal('AmountOutOfRange');
    if (toPayee > 0n) this.release(terms, toPayee);
    if (toPayee < held) this.refund(terms, held - toPayee);
  }

  /** Moves `amount` of what is held to the payee; the fee taken so far is always floor(fee × released ÷ amount). */
  private release(terms: Terms, amount: bigint) {
    const deal = this.deal(terms);
    const released = deal.released + amount;
    const fee = (terms.fee * released) / terms.amount - (terms.fee * deal.released) / terms.amount;
    this.write(terms, this.ended(terms, { ...deal, released }));
    this.credits.set(terms.feeRecipient, (this.credits.get(terms.feeRecipient) ?? 0n) + fee);
    this.move(this.diamond, terms.payee, amount - fee);
  }

  private refund(terms: Terms, amount: bigint) {
    const deal = this.deal(terms);
    this.write(terms, this.ended(terms, { ...deal, refunded: deal.refunded + amount }));
    this.move(this.diamond, terms.payer, amount);
  }

  private ended(terms: Terms, deal: ModelDeal): ModelDeal {
    return deal.released + deal.refunded === terms.amount ? { ...deal, status: 'Settled' } : deal;
  }

  private requireMay(from: Address, terms: Terms, conceding: Address) {
    const reason = this.whyNot(from, terms, conceding);
    if (reason) throw new Refusal(reason);
  }

  private whyNot(from: Address, terms: Terms, conceding: Address): string | undefined {
    if (!this.isHeld(terms)) return 'WrongStatus';
    if (from === conceding) return undefined;
    if (!this.isOperator(from, terms)) return 'NotAllowed';
    if (this.deal(terms).status !== 'Funded') return 'WrongStatus';
    return this.now > terms.settlementDeadline ? 'AfterDeadline' : undefined;
  }

  private requireDefault(terms: Terms, outcome: number) {
    if (!this.isHeld(terms)) throw new Refusal('WrongStatus');
    if (terms.defaultOutcome !== outcome) throw new Refusal('WrongOutcome');
    const disputed = this.deal(terms).status === 'Disputed';
    if (this.now <= (disputed ? terms.resolutionDeadline : terms.settlementDeadline)) {
      throw new Refusal('BeforeDeadline');
    }
  }

  private mayClose(from: Address, terms: Terms) {
    return from === terms.payee || this.isOperator(from, terms);
  }

  private isOperator(from: Address, terms: Terms) {
    return from === terms.operator || this.delegates.has(`${terms.operator} ${from}`);
  }

  private isHeld(terms: Terms) {
    return ['Funded', 'Disputed'].includes(this.deal(terms).status);
  }

  private held(terms: Terms) {
    const { released, refunded } = this.deal(terms);
    return terms.amount - released - refunded;
  }

  private write(terms: Terms, deal: ModelDeal) {
    this.deals.set(this.idOf(terms), deal);
  }

  private move(from: Address, to: Address, amount: bigint) {
    const balance = this.balances.get(from) ?? 0n;
    if (balance < amount) throw new Refusal('TransferFailed');
    this.balances.set(from, balance - amount);
    this.balances.set(to, (this.balances.get(to) ?? 0n) + amount);
  }
}

function requirePart(amount: bigint, held: bigint) {
  if (amount === 0n || amount > held) throw new Refusal('AmountOutOfRange');
}

function requireBatch(list: readonly unknown[]) {
  if (list.length === 0 || list.length > MAX_BATCH) throw new Refusal('BatchSize');
}
