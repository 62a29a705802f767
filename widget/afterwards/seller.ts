/**
 * A seller's page of a deal, opened by a payee's token: once the buyer has paid, what the panel shows, from the seller's side.
 *
 * @element dealkeep-seller
 * @see GET /api/v1/payments/{id}/payee-token
 */
import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { contentStyles } from '../content-styles.ts';
import { languageOf } from '../languages.ts';
import { type AccessToken, type ChainPayment, PaymentError, readPayment } from '../payment.ts';
import { styles } from '../styles.ts';
import type { Words } from '../words.ts';
import { type AfterKey, loadAfterWords } from './languages.ts';
import { amountOf } from './speech.ts';
import './panel.ts';

/** Somebody waits for the other side's word; it is read as often as a checkout that waits. */
const POLL_MS = 2_500;

class SellerPage extends LitElement {
  static override styles = [styles, contentStyles];
  static override properties = {
    paymentId: { attribute: 'payment-id' },
    api: {},
    rpcUrl: { attribute: 'rpc-url' },
    theme: { reflect: true },
    accessToken: { attribute: false },
  };

  declare paymentId: string;
  /** Base URL of the API. */
  declare api: string;
  /** For wallets that do not know the chain yet. */
  declare rpcUrl: string | null;
  declare theme: 'light' | 'dark' | null;
  /** A payee's token, or what fetches one. */
  declare accessToken: AccessToken;

  #words: Words<AfterKey> | null = null;
  #payment: ChainPayment | null = null;
  #problem: 'seller.denied' | 'seller.unreachable' | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Only the latest reading counts. */
  #readings = 0;

  constructor() {
    super();
    this.paymentId = '';
    this.api = '';
    this.rpcUrl = null;
    this.theme = null;
    this.accessToken = '';
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
    this.#readings += 1;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#speak();
    if (this.hasUpdated) void this.#read();
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('paymentId') || changed.has('api') || changed.has('accessToken')) void this.#read();
  }

  protected override render(): TemplateResult | typeof nothing {
    const words = this.#words;
    if (!words) return nothing;
    return html`
      <div part="card" class="card" lang=${words.tag} dir=${words.direction}>
        <div class="panel">${this.#content(words)}</div>
      </div>
    `;
  }

  #content(words: Words<AfterKey>): TemplateResult | typeof nothing {
    const payment = this.#payment;
    if (!payment) return this.#problem ? html`<p role="status">${words.say(this.#problem)}</p>` : nothing;
    const { transaction_hash: transaction, external_id: order, currency: symbol, price_decimals: decimals } = payment;
    const amount = amountOf(words, { symbol, decimals }, BigInt(payment.price_units));
    return html`
      <h2 part="title"><bdi>${order}</bdi>: <bdi>${amount}</bdi></h2>
      ${this.#problem ? html`<p role="status">${words.say(this.#problem)}</p>` : nothing}
      ${
        transaction
          ? html`<dealkeep-deal .payment=${payment} .source=${this} .as=${'payee'} .tag=${words.tag} .theme=${this.theme}></dealkeep-deal>`
          : html`<p role="status">${words.say('seller.unpaid')}</p>`
      }
    `;
  }

  async #read(): Promise<void> {
    clearTimeout(this.#timer);
    this.#readings += 1;
    const reading = this.#readings;
    // Without all three there is nothing to open yet: frameworks set properties one by one.
    if (!this.api || !this.paymentId || !this.accessToken || !this.isConnected) return;
    try {
      const payment = await readPayment(this);
      if (reading !== this.#readings) return;
      this.#payment = payment.rail ? null : payment;
      this.#problem = payment.rail ? 'seller.denied' : null;
    } catch (error) {
      if (reading !== this.#readings) return;
      const isDenied = error instanceof PaymentError && error.code === 'denied';
      this.#problem = isDenied ? 'seller.denied' : 'seller.unreachable';
      if (isDenied) this.#payment = null;
    }
    this.requestUpdate();
    this.#timer = setTimeout(() => void this.#read(), POLL_MS);
  }

  async #speak(): Promise<void> {
    const language = languageOf(this.lang, this.closest('[lang]')?.getAttribute('lang'));
    this.#words = (await loadAfterWords(language).catch(() => null)) ?? this.#words;
    this.requestUpdate();
  }
}

if (!customElements.get('dealkeep-seller')) customElements.define('dealkeep-seller', SellerPage);
