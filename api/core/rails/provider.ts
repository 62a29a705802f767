// Owns what a provider of cards or bank transfers has to be to us: the interface of an adapter, and the words in which it answers.
// An adapter translates and keeps nothing; what an answer means for a payment is decided in charges.ts.
import type { IncomingHttpHeaders } from 'node:http';
import type { RailMethod, TransferDetails } from '../schema.ts';

/** `unavailable`: ask again later · `refused`: the provider will never do this, the message says why and is safe to show. */
export class ProviderError extends Error {
  readonly code: 'unavailable' | 'refused';

  constructor(code: ProviderError['code'], message: string) {
    super(message);
    this.name = 'ProviderError';
    this.code = code;
  }
}

/** A callback that must not be believed: the signature is wrong, too old, or over another text. */
export class CallbackRefused extends Error {}

/** A charge as we ask for it. The same `attemptId` again is the same charge. */
export type ChargeRequest = {
  attemptId: string;
  method: RailMethod;
  amountUnits: bigint;
  /** ISO 4217, and how many decimals its minor unit has. */
  currency: string;
  decimals: number;
  /** What the payer reads on the page or writes into the transfer. */
  description: string;
  /** Where the page leads the payer back to; null: nowhere. */
  returnUrl: string | null;
};

/** How the payer goes on: a page of the provider's, or the details of a transfer. */
export type Authorization = { pageUrl: string | null; transfer: TransferDetails | null };

/**
 * `open`: waits for the payer, or for the rest of a transfer · `held`: under review · `authorized`: may be captured · `captured`:
 * the provider has the money · `declined`, `bounced`: it never will · `voided`: closed before it had it.
 */
export type ChargeState = 'open' | 'held' | 'authorized' | 'captured' | 'declined' | 'bounced' | 'voided';

/** A charge as the provider has it, whole, so that any one of them makes up for all that were lost before. */
export type ChargeSnapshot = {
  reference: string;
  attemptId: string;
  /** Grows with every change of the charge; of two snapshots the higher one is newer. */
  sequence: bigint;
  state: ChargeState;
  amountUnits: bigint;
  currency: string;
  /** What is authorized, or arrived by transfer; it may be less or more than the amount. Refunds do not lessen it. */
  receivedUnits: bigint;
  reason: string | null;
};

/** A refund as the provider has it; the same `refundId` again is the same refund. */
export type RefundSnapshot = { reference: string; state: 'done' | 'pending' | 'refused'; reason: string | null };

/** Asked for a payment of a local node, an adapter may be led to private addresses; see destinations.ts. */
export type Asking = { local: boolean };

/**
 * An adapter to one provider. Each verb may be repeated: it answers with what stands already.
 * @throws ProviderError from all but parseCallback.
 */
export interface Provider {
  /** In lowercase; part of the callbacks' path and of every record. */
  readonly name: string;
  readonly methods: readonly RailMethod[];
  /** Whether the money is real. */
  readonly mode: 'test' | 'live';
  /** Makes a charge known to the provider; answers its reference there. */
  create(charge: ChargeRequest, asking: Asking): Promise<string>;
  /** Opens the charge for its payer. */
  authorize(reference: string, asking: Asking): Promise<Authorization>;
  /** Takes what is authorized. */
  capture(reference: string, asking: Asking): Promise<ChargeSnapshot>;
  /** Closes a charge that is not captured; answers with what stands when it is too late for that. */
  void(reference: string, asking: Asking): Promise<ChargeSnapshot>;
  /** Gives some of a captured charge, or of what a transfer brought, back to its payer. */
  refund(refund: { reference: string; refundId: string; amountUnits: bigint }, asking: Asking): Promise<RefundSnapshot>;
  status(reference: string, asking: Asking): Promise<ChargeSnapshot>;
  /** Reads a callback's raw body. @throws CallbackRefused */
  parseCallback(headers: IncomingHttpHeaders, rawBody: string, now: Date): ChargeSnapshot;
  /** Follows the test clock; test mode only. */
  moveClock?(now: Date): Promise<void>;
}

/** The providers of this installation. */
export class Providers {
  readonly #providers: readonly Provider[];

  constructor(providers: readonly Provider[] = []) {
    this.#providers = providers;
  }

  /** The provider that takes a method's payments in a mode, the first of several. */
  forMethod(method: RailMethod, mode: Provider['mode']): Provider | undefined {
    return this.#providers.find((provider) => provider.mode === mode && provider.methods.includes(method));
  }

  /** The provider with this name. */
  named(name: string): Provider | undefined {
    return this.#providers.find((provider) => provider.name === name);
  }

  /** Those that follow the test clock are put to this time. @throws ProviderError */
  async moveClocks(now: Date): Promise<void> {
    await Promise.all(this.#providers.map((provider) => provider.moveClock?.(now)));
  }
}
