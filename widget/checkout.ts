/**
 * Owns one checkout: its state, the readings of the API that lead it, and the deposit flow, which is loaded when it is
 * needed. It renders nothing; the element listens to `onChange`.
 */
import type { Address, Hex } from 'viem';
import type { Expected, Mismatch } from './deposit/deal.ts';
import type { DepositFlow } from './deposit/flow.ts';
import { listen } from './events.ts';
import {
  handOver,
  openNextAttempt,
  PaymentError,
  type PaymentSource,
  type RelayRequest,
  readPayment,
  relaySignature,
  reportTransaction,
  type WidgetPayment,
} from './payment.ts';
import { forgetSent, isAnswered, loadSent, watchSent } from './sent.ts';
import { empty, type Snapshot } from './snapshot.ts';
import { type EventName, next, type StateName, settled } from './states.ts';

/** What a checkout needs to know. */
export type Settings = PaymentSource & {
  expected: Expected;
  /** For wallets that do not know the chain yet. */
  rpcUrl: string | null;
};

// The buyer waits and looks while money is on its way; otherwise somebody else has to act first.
const POLL_MS = { moving: 700, waiting: 2_500, settled: 15_000 } as const;
const moving: ReadonlySet<StateName> = new Set(['preparing', 'submitted', 'confirming', 'cancel_requested']);
// Somebody waits and looks.
const MAX_BACKOFF_MS = 15_000;
// While events come, a reading only covers one that was lost.
const POLL_BESIDE_EVENTS_MS = 20_000;
const EVENTS_RETRY_MS = 10_000;

/** One payment's checkout, from `start` to `stop`. */
export class Checkout {
  readonly #settings: Settings;
  readonly #onChange: () => void;
  #snapshot = empty;
  #flow: DepositFlow | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #events: AbortController | null = null;
  #eventsTimer: ReturnType<typeof setTimeout> | undefined;
  #isListening = false;
  #stopWatching: () => void = () => undefined;
  /** The buyer has said that what another device reported is lost. */
  #ignoresReport = false;
  /** Only the latest reading plans another. */
  #polls = 0;
  #stopped = false;

  constructor(settings: Settings, onChange: () => void) {
    this.#settings = settings;
    this.#onChange = onChange;
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get paymentId(): string {
    return this.#settings.paymentId;
  }

  get expected(): Expected {
    return this.#settings.expected;
  }

  /** For wallets that do not know the payment's chain yet. */
  get rpcUrl(): string | null {
    return this.#settings.rpcUrl;
  }

  /** The deposit flow, once it is there. */
  get flow(): DepositFlow | null {
    return this.#flow;
  }

  /** Begins to read the payment, now and again. */
  start(): void {
    document.addEventListener('visibilitychange', this.#wake);
    this.#stopWatching = watchSent(this.paymentId, () => void this.#poll());
    void this.#poll();
  }

  /** Ends all reading and listening. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    document.removeEventListener('visibilitychange', this.#wake);
    this.#stopWatching();
    this.#hush();
    this.#flow?.close();
  }

  /** Reads again at once, after nothing could be shown. */
  retry(): void {
    if (this.send('retry', { mismatch: null })) void this.#poll();
  }

  /** Takes an event through the table of states; false when it changes nothing. */
  send(event: EventName, patch: Partial<Snapshot> = {}): boolean {
    const name = next(this.#snapshot.name, event);
    if (name === null || this.#stopped) return false;
    this.patch({ ...patch, name });
    return true;
  }

  /** Changes what is shown without leaving the state. */
  patch(patch: Partial<Snapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...patch };
    if (!this.#stopped) this.#onChange();
  }

  /** Shows what a reading failed with, where it ends the checkout; `unreachable` may pass, null is none of its own. */
  report(error: unknown): 'ended' | 'unreachable' | null {
    if (error instanceof Error && error.name === 'Mismatch') {
      this.send('refuse', { mismatch: (error as Mismatch).field });
      return 'ended';
    }
    if (!(error instanceof PaymentError)) return null;
    if (error.code === 'unreachable') return 'unreachable';
    if (error.code === 'denied') this.send('deny');
    else this.send('refuse', { mismatch: 'answer' });
    return 'ended';
  }

  /** Reads the payment, given a payer with terms that name it, and follows what it says. @throws PaymentError, Mismatch */
  async read(payer?: Address): Promise<void> {
    await this.#take(await readPayment(this.#settings, payer), payer);
  }

  /** Hands a signature to the service. @throws PaymentError */
  async relay(signed: RelayRequest): Promise<void> {
    await relaySignature(this.#settings, signed);
  }

  /** Opens the attempt after the one that failed. */
  async tryAgain(): Promise<void> {
    const attempt = this.#snapshot.payment?.rail?.attempt;
    if (attempt === undefined || !this.send('again')) return;
    try {
      await this.#take(await openNextAttempt(this.#settings, attempt));
    } catch (error) {
      // Whether there is another attempt now, a reading says.
      if (this.report(error) !== 'ended') void this.#poll();
    }
  }

  /** Makes a link for another device, and its QR code. */
  async handOver(returnUrl: string | null): Promise<void> {
    this.patch({ handoff: null });
    try {
      const [{ qrPath }, url] = await Promise.all([import('./qr.ts'), handOver(this.#settings, returnUrl)]);
      this.patch({ handoff: { url, ...qrPath(url) } });
    } catch {
      this.patch({ handoff: 'failed' });
    }
  }

  /** Tells the buyer's other devices what the wallet has sent; null: that it is gone. */
  reportSent(hash: Hex | null): void {
    this.#ignoresReport = hash === null;
    void reportTransaction(this.#settings, hash);
  }

  /** Takes a payment as it was read or told. @throws Mismatch */
  async #take(payment: WidgetPayment, payer?: Address): Promise<void> {
    if (this.#stopped) return;
    this.#failures = 0;
    this.patch({ payment, stale: false, transactionHash: payment.transaction_hash ?? this.#snapshot.transactionHash });
    await this.#follow(payment, payer);
  }

  async #follow(payment: WidgetPayment, payer?: Address): Promise<void> {
    if (payment.rail) {
      const { eventOf } = await import('./rails/rails.ts');
      return void this.send(...eventOf(payment, this.expected));
    }
    const { status, contract, relay } = payment;
    if (status === 'pending') return void this.send('prepare');
    if (status !== 'awaiting_deposit') {
      if (status !== 'confirming') forgetSent(this.paymentId);
      return void this.send(status);
    }
    const sent = loadSent(this.paymentId);
    const isSent = sent !== null && (sent.step === 'deposit' || sent.step === 'batch') && isAnswered(sent);
    const reported = this.#ignoresReport ? null : payment.reported_hash;
    const isUnderWay = isSent || reported !== null || relay?.status === 'queued' || relay?.status === 'submitted';
    const resume = () => this.send('resume', { transactionHash: sent?.hash ?? reported });
    // The deadline is over; whether a deposit that was sent came in time, only the chain and then the API know.
    if (contract === null) return void (isUnderWay ? resume() : this.send('expired'));
    const flow = await this.#loadFlow();
    flow.verify(payer);
    const fresh = this.#snapshot.name;
    if (isUnderWay) resume();
    else if (relay?.status === 'failed' && fresh === 'submitted') {
      this.send('stop', { problem: 'relay_failed', step: 'check' });
    } else this.send('payable');
    if (fresh !== this.#snapshot.name) void flow.restore();
  }

  /** Wallets and encoders are most of the weight: they come after the first paint. */
  async #loadFlow(): Promise<DepositFlow> {
    if (!this.#flow) {
      const { DepositFlow } = await import('./deposit/flow.ts');
      this.#flow ??= new DepositFlow(this);
    }
    return this.#flow;
  }

  async #poll(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    const poll = ++this.#polls;
    try {
      await this.read();
    } catch (error) {
      // What is neither ended nor our API's silence: a file of the widget that could not be loaded.
      if (this.report(error) !== 'ended') {
        this.#failures += 1;
        if (!this.send('lose')) this.patch({ stale: true });
      }
    }
    const { name } = this.#snapshot;
    if (this.#stopped || poll !== this.#polls || name === 'denied' || name === 'refused') return;
    const pace = settled.has(name) ? POLL_MS.settled : moving.has(name) ? POLL_MS.moving : POLL_MS.waiting;
    const delayMs = this.#isListening ? POLL_BESIDE_EVENTS_MS : Math.min(pace * 2 ** this.#failures, MAX_BACKOFF_MS);
    if (document.hidden) return;
    this.#timer = setTimeout(() => void this.#poll(), delayMs);
    void this.#listen();
  }

  /** Lets the service tell what changes; while it does not, readings go on at their own pace. */
  async #listen(): Promise<void> {
    if (this.#events || this.#failures > 0) return;
    const events = new AbortController();
    this.#events = events;
    try {
      await listen(this.#settings, (payment) => void this.#heard(payment, events), events.signal);
    } catch {
      // Whatever ended it, the next reading says more.
    }
    if (this.#events !== events) return;
    this.#isListening = false;
    if (this.#stopped) return;
    void this.#poll();
    this.#eventsTimer = setTimeout(() => {
      this.#events = null;
      void this.#listen();
    }, EVENTS_RETRY_MS);
  }

  async #heard(payment: WidgetPayment, events: AbortController): Promise<void> {
    if (this.#events !== events) return;
    if (!this.#isListening) {
      this.#isListening = true;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.#poll(), POLL_BESIDE_EVENTS_MS);
    }
    try {
      await this.#take(payment);
    } catch (error) {
      this.report(error);
    }
  }

  #hush(): void {
    clearTimeout(this.#eventsTimer);
    this.#events?.abort();
    this.#events = null;
    this.#isListening = false;
  }

  /** Nothing is read while nobody looks. */
  readonly #wake = () => {
    if (document.hidden) {
      clearTimeout(this.#timer);
      this.#hush();
    } else void this.#poll();
  };
}
