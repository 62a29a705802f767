/**
 * The escrow once more, as a few rules over maps: what each verb does to deals, balances and credits and what it tells, or
 * which error it ends with. It knows no chain and no encoding; the differential test holds the contract against it.
 */
import { type Address, type Hex, zeroAddress } from 'viem';
import { MAX_AMOUNT, MAXIMUM_HORIZON_SECONDS, MINIMUM_GAP_SECONDS, type Terms } from '../../contracts/terms.ts';
import { Refusal, type Signed, TokenModel } from './token.ts';

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
  | {
      verb: 'depositWithPermit' | 'depositWithAuthorization' | 'depositWithPermit2';
      terms: Terms;
      deadline: bigint;
      /** Permit2's; ERC-2612 counts its own, ERC-3009's is the deal. */
      nonce: bigint;
      /** ERC-3009: the signature as bytes instead of v, r, s. */
      asBytes: boolean;
      signed: Signed;
    }
  | {
      verb: 'depositManyWithAuthorization' | 'depositManyWithPermit2';
      list: Terms[];
      deadline: bigint;
      /** Permit2's; ERC-3009's is the cart. */
      nonce: bigint;
      signed: Signed & {
        /** The deals in the order in which they were signed. */
        list: Terms[];
      };
    }
  /** The token's own: an unlimited allowance for the diamond. */
  | { verb: 'approve' }
  | { verb: 'withdraw'; account: Address }
  | { verb: 'setDelegate'; delegate: Address; allowed: boolean }
);

const none: ModelDeal = { status: 'None', released: 0n, refunded: 0n };
const MAX_BATCH = 100;

/** The escrow of one honest token. */
export class EscrowModel {
  /** Unix seconds of the next call's block. */
  now = 0n;
  readonly deals = new Map<Hex, ModelDeal>();
  readonly token = new TokenModel();
  /** What the last call told, one line an event. */
  events: string[] = [];
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
    this.events = [];
    switch (call.verb) {
      case 'deposit':
        this.deposit(call.from, [call.terms], (sum) => this.token.take(call.from, this.diamond, sum));
        return;
      case 'depositMany':
        requireBatch(call.list);
        this.deposit(call.from, call.list, (sum) => this.token.take(call.from, this.diamond, sum));
        return;
      case 'depositWithPermit': {
        const permit = { ...call, now: this.now };
        this.deposit(call.from, [call.terms], (sum) => this.token.takeByPermit(call.from, this.diamond, sum, permit));
        return;
      }
      case 'depositWithAuthorization': {
        const payer = namedPayer(call.terms);
        const { deadline, signed } = call;
        const receive = (sum: bigint) => this.token.receive(payer, this.diamond, sum, deadline, this.now, signed);
        this.deposit(payer, [call.terms], receive);
        return;
      }
      case 'depositWithPermit2': {
        const payer = namedPayer(call.terms);
        const transfer = { ...call, now: this.now };
        this.deposit(payer, [call.terms], (sum) => this.token.receiveByPermit2(payer, this.diamond, sum, transfer));
        return;
      }
      case 'depositManyWithAuthorization':
      case 'depositManyWithPermit2':
        this.depositCart(call);
        return;
      case 'approve':
        this.token.allowances.delete(call.from);
        return;
      case 'release':
        this.requireMay(call.from, call.terms, call.terms.payer);
        this.release(call.terms, this.held(call.terms), 'Released');
        return;
      case 'releasePart':
        this.requireMay(call.from, call.terms, call.terms.payer);
        requirePart(call.amount, this.held(call.terms));
        this.release(call.terms, call.amount, 'Released');
        return;
      case 'releaseMany':
        this.each(call.list, (terms) => {
          const reason = this.whyNot(call.from, terms, terms.payer);
          if (reason === undefined) this.release(terms, this.held(terms), 'Released');
          else this.skip(terms, reason);
        });
        return;
      case 'cancelDeal':
        if (this.deal(call.terms).status === 'None') {
          const reason = this.whyNotClose(call.from, call.terms);
          if (reason) throw new Refusal(reason);
          this.close(call.terms);
          return;
        }
        this.requireMay(call.from, call.terms, call.terms.payee);
        this.refund(call.terms, this.held(call.terms), 'DealCancelled');
        return;
      case 'cancelMany':
        this.each(call.list, (terms) => {
          const isUnfunded = this.deal(terms).status === 'None';
          const reason = isUnfunded ? this.whyNotClose(call.from, terms) : this.whyNot(call.from, terms, terms.payee);
          if (reason !== undefined) this.skip(terms, reason);
          else if (isUnfunded) this.close(terms);
          else this.refund(terms, this.held(terms), 'DealCancelled');
        });
        return;
      case 'refundPart':
        this.requireMay(call.from, call.terms, call.terms.payee);
        requirePart(call.amount, this.held(call.terms));
        this.refund(call.terms, call.amount, 'Refunded');
        return;
      case 'claim':
        this.requireDefault(call.terms, 1);
        this.release(call.terms, this.held(call.terms), 'Claimed');
        return;
      case 'reclaim':
        this.requireDefault(call.terms, 0);
        this.refund(call.terms, this.held(call.terms), 'Reclaimed');
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
        this.split(call.terms, call.amount, 'Resolved');
        return;
      case 'settle':
        this.settle(call);
        return;
      case 'withdraw': {
        const amount = this.credits.get(call.account) ?? 0n;
        if (amount === 0n) throw new Refusal('NothingToWithdraw');
        this.credits.set(call.account, 0n);
        this.events.push(`Withdrawn ${call.account} ${amount}`);
        this.pay(call.account, amount);
        return;
      }
      case 'setDelegate': {
        const key = `${call.from} ${call.delegate}`;
        if (call.allowed) this.delegates.add(key);
        else this.delegates.delete(key);
        this.events.push(`DelegateChanged ${call.from} ${call.delegate} ${call.allowed}`);
      }
    }
  }

  /** Opens all, each after `fits` let it pass, then lets `take` move the tokens for them; or does nothing. */
  private deposit(from: Address, list: Terms[], take: (sum: bigint) => void, fits?: (terms: Terms) => void) {
    const opened: Hex[] = [];
    try {
      for (const terms of list) {
        fits?.(terms);
        opened.push(this.open(from, terms));
      }
      take(list.reduce((sum, terms) => sum + terms.amount, 0n));
    } catch (error) {
      for (const id of opened) this.deals.delete(id);
      throw error;
    }
  }

  /** A cart binds the ids of all its deals in order: signed otherwise, it is somebody else's signature. */
  private depositCart(call: Extract<Call, { verb: 'depositManyWithAuthorization' | 'depositManyWithPermit2' }>) {
    const { verb, list, deadline, signed } = call;
    requireBatch(list);
    const payer = namedPayer(list[0]!);
    const isThisCart = list.map(this.idOf).join() === signed.list.map(this.idOf).join();
    const by: Signed = { ...signed, signer: isThisCart ? signed.signer : zeroAddress };
    const take = (sum: bigint) => {
      if (verb === 'depositManyWithAuthorization') {
        this.token.receive(payer, this.diamond, sum, deadline, this.now, by);
      } else {
        this.token.receiveByPermit2(payer, this.diamond, sum, { ...call, now: this.now, signed: by });
      }
    };
    this.deposit(payer, list, take, (terms) => {
      if (terms.payer !== payer) throw new Refusal('CartMixed');
    });
  }

  private open(from: Address, terms: Terms): Hex {
    const payer = terms.payer === zeroAddress ? from : terms.payer;
    if (terms.payer === zeroAddress && this.deal(terms).status !== 'None') throw new Refusal('OfferClosed');
    this.checkTerms(terms, payer);
    const named = { ...terms, payer };
    if (this.deal(named).status !== 'None') throw new Refusal('WrongStatus');
    this.write(named, { ...none, status: 'Funded' });
    this.events.push(`Deposited ${this.idOf(named)} ${payer} ${terms.payee} ${Object.values(named)}`);
    return this.idOf(named);
  }

  private close(terms: Terms) {
    this.write(terms, { ...none, status: 'Cancelled' });
    this.tell('DealCancelled', terms);
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
    this.tell('DisputeOpened', terms, from === terms.payee ? ' by the payee' : ' by the payer');
  }

  private withdrawDispute(from: Address, terms: Terms) {
    const { disputedBy, ...deal } = this.deal(terms);
    if (deal.status !== 'Disputed') throw new Refusal('WrongStatus');
    if (from !== disputedBy) throw new Refusal('NotAllowed');
    this.write(terms, { ...deal, status: 'Funded' });
    this.tell('DisputeWithdrawn', terms);
  }

  private returnPayment(from: Address, terms: Terms, amount: bigint) {
    const deal = this.deal(terms);
    if (deal.status !== 'Settled') throw new Refusal('WrongStatus');
    if (from !== terms.payee) throw new Refusal('NotAllowed');
    requirePart(amount, terms.amount - deal.refunded);
    this.token.take(terms.payee, terms.payer, amount);
    this.write(terms, { ...deal, refunded: deal.refunded + amount });
    this.tell('PaymentReturned', terms);
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
    this.split(terms, amount, 'DealSettled');
  }

  private split(terms: Terms, toPayee: bigint, event: string) {
    const held = this.held(terms);
    if (toPayee > held) throw new Refusal('AmountOutOfRange');
    if (toPayee > 0n) this.release(terms, toPayee);
    if (toPayee < held) this.refund(terms, held - toPayee);
    this.tell(event, terms);
  }

  /** Moves `amount` of what is held to the payee; the fee taken so far is always floor(fee × released ÷ amount). */
  private release(terms: Terms, amount: bigint, event?: string) {
    const deal = this.deal(terms);
    const released = deal.released + amount;
    const fee = (terms.fee * released) / terms.amount - (terms.fee * deal.released) / terms.amount;
    this.write(terms, this.ended(terms, { ...deal, released }));
    this.credits.set(terms.feeRecipient, (this.credits.get(terms.feeRecipient) ?? 0n) + fee);
    this.pay(terms.payee, amount - fee);
    if (event) this.tell(event, terms);
  }

  private refund(terms: Terms, amount: bigint, event?: string) {
    const deal = this.deal(terms);
    this.write(terms, this.ended(terms, { ...deal, refunded: deal.refunded + amount }));
    this.pay(terms.payer, amount);
    if (event) this.tell(event, terms);
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

  private whyNotClose(from: Address, terms: Terms): string | undefined {
    return from === terms.payee || this.isOperator(from, terms) ? undefined : 'NotAllowed';
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

  private pay(account: Address, amount: bigint) {
    this.token.move(this.diamond, account, amount, 'TransferFailed');
  }

  private skip(terms: Terms, reason: string) {
    this.events.push(`Skipped ${this.idOf(terms)} ${reason}`);
  }

  /** Every event of a deal carries its state afterwards. */
  private tell(event: string, terms: Terms, more = '') {
    const { released, refunded, status } = this.deal(terms);
    this.events.push(`${event} ${this.idOf(terms)} ${released} ${refunded} ${status}${more}`);
  }
}

/** The payer of terms that somebody else may relay. */
function namedPayer({ payer }: Terms): Address {
  if (payer === zeroAddress) throw new Refusal('PayerMissing');
  return payer;
}

function requirePart(amount: bigint, held: bigint) {
  if (amount === 0n || amount > held) throw new Refusal('AmountOutOfRange');
}

function requireBatch(list: readonly unknown[]) {
  if (list.length === 0 || list.length > MAX_BATCH) throw new Refusal('BatchSize');
}
