// The sandbox's books: charges, transfers and refunds, kept in one file that is replaced whole at each change, so that a killed
// sandbox comes back as it was. Knows the test cards, and a bank that clears in batches by its own clock.
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

export type State = 'open' | 'held' | 'authorized' | 'captured' | 'declined' | 'bounced' | 'voided';

export type Refund = { reference: string; merchantReference: string; amount: string };

/** A charge; amounts are base units as text. */
export type Charge = {
  reference: string;
  merchantReference: string;
  method: 'credit_card' | 'bank_transfer';
  amount: string;
  currency: string;
  decimals: number;
  description: string;
  /** Where its page leads the payer back to. */
  returnUrl: string | null;
  state: State;
  sequence: number;
  received: string;
  reason: string | null;
  /** Opens its page; not the reference, which others may know. */
  pageKey: string;
  /** What a payer has to write into a transfer. */
  remittance: string;
  refunds: Refund[];
};

/** Money on its way from a payer's bank. */
export type Transfer = { id: string; reference: string; amount: string; bounces: boolean; clearsAt: string };

type Books = { offsetMs: number; charges: Charge[]; transfers: Transfer[] };

/** A request that the sandbox will never carry out. */
export class Refused extends Error {
  readonly status: 400 | 404 | 409;
  constructor(status: Refused['status'], message: string) {
    super(message);
    this.status = status;
  }
}

type Card = { number: string; expiry: string; cvc: string };

// spec/sources/003-items.txt, "Reference Data".
const CARDS: Readonly<Record<string, 'succeeds' | 'declined' | 'held'>> = {
  '4111111111111111': 'succeeds',
  '4012888888881881': 'declined',
  '5105105105105100': 'declined',
  '5555555555554444': 'held',
};

/** Transfers clear at this hour (UTC), as banks do overnight. */
export const BATCH_HOUR = 6;
const DAY_MS = 86_400_000;

/** The account that transfers go to; the check digits are right, the bank is not there. */
export const ACCOUNT = { iban: 'DE02100100109307118603', bic: 'SANDDEFFXXX', holder: 'Sandbox client money account' };

export class Sandbox {
  readonly #path: string;
  readonly #changed: (charge: Charge) => void;
  readonly #books: Books;

  /** Opens the books at `path`; `changed` hears of every change of a charge once it is kept. */
  constructor(path: string, changed: (charge: Charge) => void) {
    this.#path = path;
    this.#changed = changed;
    this.#books = existsSync(path)
      ? JSON.parse(readFileSync(path, 'utf8'))
      : { offsetMs: 0, charges: [], transfers: [] };
  }

  now(): Date {
    return new Date(Date.now() + this.#books.offsetMs);
  }

  /** Puts the clock to a moment, and clears what has become due. */
  moveClock(now: Date): void {
    this.#books.offsetMs = now.getTime() - Date.now();
    this.#keep();
    this.clearDue();
  }

  create(
    request: Omit<
      Charge,
      'reference' | 'state' | 'sequence' | 'received' | 'reason' | 'pageKey' | 'remittance' | 'refunds'
    >,
  ): Charge {
    const known = this.#books.charges.find(({ merchantReference }) => merchantReference === request.merchantReference);
    if (known) {
      if (known.amount !== request.amount || known.currency !== request.currency) {
        throw new Refused(409, 'This merchant_reference has another amount.');
      }
      return known;
    }
    const charge: Charge = {
      ...request,
      reference: `ch_${randomUUID()}`,
      state: 'open',
      sequence: 1,
      received: '0',
      reason: null,
      pageKey: randomBytes(16).toString('hex'),
      remittance: `DK-${randomBytes(5).toString('hex').toUpperCase()}`,
      refunds: [],
    };
    this.#books.charges.push(charge);
    this.#keep();
    return charge;
  }

  find(reference: string): Charge {
    const charge = this.#books.charges.find((candidate) => candidate.reference === reference);
    if (!charge) throw new Refused(404, 'There is no such charge.');
    return charge;
  }

  findPage(pageKey: string): Charge {
    const charge = this.#books.charges.find((candidate) => candidate.pageKey === pageKey);
    if (!charge) throw new Refused(404, 'There is no such page.');
    return charge;
  }

  /** Charges whose transfers may still come, for the bank's page. */
  get charges(): readonly Charge[] {
    return this.#books.charges;
  }

  get transfers(): readonly Transfer[] {
    return this.#books.transfers;
  }

  /** What a payer typed on the page. The card is looked at and forgotten. @throws Refused for what is no card */
  pay(charge: Charge, card: Card): void {
    if (charge.method !== 'credit_card') throw new Refused(409, 'This charge is paid by transfer.');
    if (charge.state !== 'open') throw new Refused(409, `This charge is ${charge.state} already.`);
    const number = card.number.replace(/[\s-]/g, '');
    if (!/^\d{12,19}$/.test(number) || !passesLuhn(number)) throw new Refused(400, 'The card number is not one.');
    if (!this.#isAhead(card.expiry)) throw new Refused(400, 'The expiry must be MM/YY and in the future.');
    if (!/^\d{3,4}$/.test(card.cvc)) throw new Refused(400, 'The security code is three or four digits.');
    const fate = CARDS[number];
    if (fate === 'succeeds') this.#change(charge, { state: 'authorized', received: charge.amount });
    else if (fate === 'held') this.#change(charge, { state: 'held', reason: 'Held for review.' });
    else if (fate === 'declined') this.#change(charge, { state: 'declined', reason: 'The card was declined.' });
    else this.#change(charge, { state: 'declined', reason: 'The sandbox knows test cards only.' });
  }

  /** Ends the review of a held card. */
  review(charge: Charge, approved: boolean): void {
    if (charge.state !== 'held') throw new Refused(409, `This charge is ${charge.state}, not held.`);
    if (approved) this.#change(charge, { state: 'authorized', received: charge.amount, reason: null });
    else this.#change(charge, { state: 'declined', reason: 'Declined after review.' });
  }

  capture(charge: Charge): Charge {
    if (charge.state === 'authorized') this.#change(charge, { state: 'captured' });
    return charge;
  }

  void(charge: Charge): Charge {
    if (!['open', 'held', 'authorized'].includes(charge.state)) return charge;
    // What a transfer has brought stays until it is refunded; what a card has authorized is let go.
    const received = charge.method === 'credit_card' ? '0' : charge.received;
    this.#change(charge, { state: 'voided', received });
    return charge;
  }

  refund(charge: Charge, merchantReference: string, amount: string): Refund {
    const known = charge.refunds.find((refund) => refund.merchantReference === merchantReference);
    if (known) return known;
    if (charge.state === 'authorized' || (charge.method === 'credit_card' && charge.state !== 'captured')) {
      throw new Refused(409, `A charge that is ${charge.state} has nothing to refund.`);
    }
    const given = charge.refunds.reduce((sum, refund) => sum + BigInt(refund.amount), 0n);
    if (BigInt(amount) > BigInt(charge.received) - given) throw new Refused(409, 'That is more than is there.');
    const refund = { reference: `re_${randomUUID()}`, merchantReference, amount };
    charge.refunds.push(refund);
    this.#keep();
    return refund;
  }

  /** Somebody's bank sends money; it clears with the next batch. */
  transfer({ remittance, amount, bounces }: { remittance: string; amount: string; bounces: boolean }): Transfer {
    const charge = this.#books.charges.find((candidate) => candidate.remittance === remittance.trim().toUpperCase());
    if (charge?.method !== 'bank_transfer') throw new Refused(404, 'No charge has this reference.');
    const clearsAt = nextBatch(this.now()).toISOString();
    const transfer = { id: randomUUID(), reference: charge.reference, amount, bounces, clearsAt };
    this.#books.transfers.push(transfer);
    this.#keep();
    return transfer;
  }

  /** Clears every transfer whose batch has come. */
  clearDue(): void {
    const now = this.now().toISOString();
    for (const transfer of this.#books.transfers.filter(({ clearsAt }) => clearsAt <= now)) {
      const charge = this.find(transfer.reference);
      this.#books.transfers.splice(this.#books.transfers.indexOf(transfer), 1);
      if (transfer.bounces) this.#bounce(charge);
      else {
        const received = (BigInt(charge.received) + BigInt(transfer.amount)).toString();
        const enough = charge.state === 'open' && BigInt(received) >= BigInt(charge.amount);
        this.#change(charge, { received, state: enough ? 'captured' : charge.state });
      }
    }
  }

  #bounce(charge: Charge): void {
    if (charge.state === 'open' && charge.received === '0') {
      this.#change(charge, { state: 'bounced', reason: 'The transfer bounced.' });
    } else this.#keep();
  }

  #change(charge: Charge, changes: Partial<Charge>): void {
    Object.assign(charge, changes, { sequence: charge.sequence + 1 });
    this.#keep();
    this.#changed(charge);
  }

  #keep(): void {
    const temporary = `${this.#path}.new`;
    writeFileSync(temporary, JSON.stringify(this.#books), { mode: 0o600 });
    renameSync(temporary, this.#path);
  }

  #isAhead(expiry: string): boolean {
    const match = /^(0[1-9]|1[0-2])\s*\/\s*(\d\d)$/.exec(expiry.trim());
    if (!match) return false;
    return Date.UTC(2000 + Number(match[2]), Number(match[1]), 1) > this.now().getTime();
  }
}

/** The next moment at which transfers clear. */
export function nextBatch(now: Date): Date {
  const today = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate(), BATCH_HOUR);
  return new Date(today > now.getTime() ? today : today + DAY_MS);
}

function passesLuhn(number: string): boolean {
  const digits = [...number].reverse().map(Number);
  const sum = digits.reduce((total, digit, index) => {
    if (index % 2 === 0) return total + digit;
    return total + (digit * 2 > 9 ? digit * 2 - 9 : digit * 2);
  }, 0);
  return sum % 10 === 0;
}
