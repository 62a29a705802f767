// Owns asking for a refund from the panel: what is typed, what is on its way, and what the service last said of each leg.
import { type Leg, PaymentError, type PaymentSource, type RefundRequest } from '../payment.ts';
import { type AmountFault, readAmount } from './amount.ts';
import { askForRefund, withdrawRefund } from './service.ts';

/** What is asked at the moment. */
export type Asking = {
  leg: number;
  stage: 'asking' | 'sending' | 'failed';
  fault: AmountFault | null;
  /** Why it came to nothing: the service refused, or does not answer. */
  problem: 'refused' | 'unreachable' | null;
};

/** The requests of one payment. */
export class Refunds {
  readonly #source: PaymentSource;
  readonly #onChange: () => void;
  #asking: Asking | null = null;
  /** What the service answered since the payment was read. */
  #told = new Map<number, RefundRequest>();

  constructor(source: PaymentSource, onChange: () => void) {
    this.#source = source;
    this.#onChange = onChange;
  }

  get asking(): Asking | null {
    return this.#asking;
  }

  /** A leg's newest request; null where there is none that counts. */
  of(leg: Leg): RefundRequest | null {
    const request = this.#told.get(leg.leg) ?? leg.refund_request;
    return request && request.status !== 'withdrawn' ? request : null;
  }

  /** The payment was read anew: what it says counts. */
  forget(): void {
    this.#told.clear();
  }

  begin({ leg }: Leg): void {
    this.#set({ leg, stage: 'asking', fault: null, problem: null });
  }

  cancel(): void {
    this.#set(null);
  }

  /** Sends what was typed, or says what is wrong with it; no amount means all of it. */
  async send(leg: Leg, decimals: number, { amount, reason }: { amount: string; reason: string }): Promise<void> {
    const typed = amount.trim();
    const units = typed === '' ? null : readAmount(typed, { decimals, least: 1n, most: heldOf(leg) });
    if (typeof units === 'string') {
      return this.#set({ leg: leg.leg, stage: 'asking', fault: units, problem: null });
    }
    await this.#tell(leg, () => askForRefund(this.#source, leg.leg, { units, reason: reason.trim() }));
  }

  async withdraw(leg: Leg, { id }: RefundRequest): Promise<void> {
    await this.#tell(leg, () => withdrawRefund(this.#source, id));
  }

  async #tell({ leg }: Leg, say: () => Promise<RefundRequest>): Promise<void> {
    if (this.#asking?.stage === 'sending') return;
    this.#set({ leg, stage: 'sending', fault: null, problem: null });
    try {
      this.#told.set(leg, await say());
      this.#set(null);
    } catch (error) {
      const problem = error instanceof PaymentError && error.code === 'refused' ? 'refused' : 'unreachable';
      this.#set({ leg, stage: 'failed', fault: null, problem });
    }
  }

  #set(asking: Asking | null): void {
    this.#asking = asking;
    this.#onChange();
  }
}

/** What a leg holds by the service's word, in base units. */
export function heldOf({ status, price_units, released_units, refunded_units }: Leg): bigint {
  const isHeld = ['funded', 'partially_released', 'disputed', 'cancel_requested'].includes(status);
  return isHeld ? BigInt(price_units) - BigInt(released_units) - BigInt(refunded_units) : 0n;
}
