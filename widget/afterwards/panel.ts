/**
 * What the checkout shows after a payment, and a seller's page too: the deals of its deposit as the own wallet reads them from the
 * chain, what happened to each, and what may be done with it now. Of the chain it asks the wallet and nobody else; the payment
 * service carries what one side asks of the other.
 */
import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { dealId, offerId } from '../../contracts/terms.ts';
import { contentStyles } from '../content-styles.ts';
import { type Provider, readChainId } from '../deposit/escrow.ts';
import { languageOf } from '../languages.ts';
import type { ChainPayment, Leg, PaymentSource } from '../payment.ts';
import { styles } from '../styles.ts';
import type { Words } from '../words.ts';
import { proposalsView, refundView } from './asked-view.ts';
import { type DealNow, type Place, readStanding, readToken } from './calls.ts';
import { Desk } from './desk.ts';
import { type Found, findByTransaction } from './finding.ts';
import { type Happened, type History, readHistory } from './history.ts';
import { type AfterKey, loadAfterWords } from './languages.ts';
import type { Party, Proposal } from './proposal.ts';
import { Refunds } from './refunds.ts';
import { keepSplit, splitOf } from './service.ts';
import { amountOf, timeOf } from './speech.ts';
import { afterStyles } from './styles.ts';
import { dealView, wallets } from './view.ts';

type Shown = DealNow & History;

type Fault = 'panel.unread' | 'panel.elsewhere';

/** How often what may be done now is looked at again: deadlines pass. */
const TICK_MS = 10_000;

const byContent = { attribute: false, hasChanged: (now: unknown, before: unknown) => isOther(now, before) };

class DealPanel extends LitElement {
  static override styles = [styles, contentStyles, afterStyles];
  static override properties = {
    payment: byContent,
    source: { attribute: false },
    as: { attribute: false },
    tag: { attribute: false },
    theme: { reflect: true },
  };

  /** What the payment service says, of all legs or of a payee's own. */
  declare payment: ChainPayment;
  /** What opens the payment, and helps wallets that do not know its chain. */
  declare source: PaymentSource & { rpcUrl: string | null };
  /** Whose page it is. */
  declare as: Party;
  /** BCP 47. */
  declare tag: string;
  declare theme: 'light' | 'dark' | null;

  #words: Words<AfterKey> | null = null;
  #desk: Desk | null = null;
  #refunds: Refunds | null = null;
  #deals: readonly Shown[] = [];
  /** Why nothing can be shown though there is a wallet. */
  #fault: Fault | null = null;
  /** Whose reading the deals are of. */
  #reader: Provider | null = null;
  #readings = 0;
  #tick: ReturnType<typeof setInterval> | undefined;
  /** What is done or asked, as it was painted last, and the button that began it. */
  #stage: string | null = null;
  #begunBy: string | null = null;
  #hadFocus = false;

  constructor() {
    super();
    this.as = 'payer';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#tick = setInterval(() => this.requestUpdate(), TICK_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.#tick);
    this.#desk?.close();
    this.#desk = null;
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('tag')) void this.#speak();
    const before = changed.get('payment');
    const isElsewhere = before && placeOf(before) !== placeOf(this.payment);
    if (changed.has('source') || isElsewhere || !this.#desk) this.#open();
    else if (changed.has('payment')) {
      this.#refunds?.forget();
      void this.#read();
    }
    this.#hadFocus = (this.shadowRoot?.activeElement ?? null) !== null;
    if (this.#hadFocus) this.#begunBy = buttonOf(this.shadowRoot?.activeElement) ?? this.#begunBy;
  }

  protected override render(): TemplateResult | typeof nothing {
    const [words, desk] = [this.#words, this.#desk];
    if (!words || !desk) return nothing;
    const shown = this.#deals.map((deal) => this.#legOf(deal));
    const others = this.payment.legs.filter((leg) => !shown.includes(leg));
    return html`
      <section class="after" lang=${words.tag} dir=${words.direction} aria-labelledby="after">
        <h3 id="after" data-after tabindex="-1">${words.say('panel.title')}</h3>
        ${this.#deals.length > 0 ? this.#deals.map((deal) => this.#deal(deal, desk, words)) : this.#way(desk, words)}
        ${others.map((leg) => this.#asked(leg, words))}
      </section>
    `;
  }

  protected override updated(): void {
    const { deed } = this.#desk ?? {};
    const { asking } = this.#refunds ?? {};
    const stage = deed
      ? `${deed.wish.kind} ${deed.stage} ${deed.fault}`
      : asking
        ? `${asking.stage} ${asking.fault}`
        : null;
    if (stage === this.#stage) return;
    this.#stage = stage;
    if (!this.#hadFocus) return;
    // What was pressed is gone: whoever came by keyboard goes on from what took its place, or from where they began.
    const wrong = '[aria-invalid=true]';
    const ways =
      deed || asking ? [wrong, '[data-deed]', '[data-asking]'] : [this.#begunBy, '[data-said]', '[data-after]'];
    for (const way of ways) {
      const found = way === null ? null : this.shadowRoot?.querySelector<HTMLElement>(way);
      if (!found) continue;
      found.focus();
      return;
    }
  }

  #deal(deal: Shown, desk: Desk, words: Words<AfterKey>): TemplateResult {
    const several = this.#deals.length > 1;
    const leg = this.#legOf(deal);
    const proposals = (leg?.split_proposals ?? []).flatMap((shown): Proposal[] => {
      const proposal = splitOf(deal, shown);
      return proposal ? [proposal] : [];
    });
    return html`
      <article data-deal=${deal.id} data-status=${deal.status}>
        ${several ? html`<h4>${amountOf(words, deal.token, deal.terms.amount)}</h4>` : nothing}
        ${proposalsView(proposals, { deal, desk, words })}
        ${dealView({ deal, desk, words, account: desk.account, asked: leg ? this.#asked(leg, words) : nothing })}
        ${deal.happened.length > 0 ? this.#timeline(deal, desk, words) : nothing}
      </article>
    `;
  }

  #asked(leg: Leg, words: Words<AfterKey>): TemplateResult | typeof nothing {
    if (!this.#refunds) return nothing;
    const money = { symbol: this.payment.currency, decimals: this.payment.price_decimals };
    return refundView({ leg, as: this.as, refunds: this.#refunds, words, money });
  }

  #timeline({ happened, isWhole }: Shown, { chain }: Desk, words: Words<AfterKey>): TemplateResult {
    const proof = ({ transaction }: Happened) => {
      const code = html`<code>${transaction.slice(0, 10)}…${transaction.slice(-8)}</code>`;
      if (!chain.explorerUrl) return code;
      return html`<a href="${chain.explorerUrl}/tx/${transaction}" target="_blank" rel="noopener noreferrer">${code}</a>`;
    };
    return html`
      <details class="happened">
        <summary>${words.say('happened.title')}</summary>
        ${isWhole ? nothing : html`<p>${words.say('happened.part')}</p>`}
        <ol>
          ${happened.map(
            (one) => html`
              <li data-event=${one.name} title=${one.transaction}>
                <strong>${words.say(`event.${one.name}`)}</strong>
                ${one.seconds > 0n ? html`<span>${timeOf(words, one.seconds)}</span>` : nothing} ${proof(one)}
              </li>
            `,
          )}
        </ol>
      </details>
    `;
  }

  /** What leads to the deals being shown. */
  #way(desk: Desk, words: Words<AfterKey>): TemplateResult {
    const wallet = desk.wallet?.name ?? '';
    if (this.#fault) {
      return html`<p class="warning" role="status">${words.say(this.#fault, { wallet, chain: desk.chain.name })}</p>
        <div class="actions"><button part="button" class="secondary" data-do="read" @click=${() => this.#read()}>${words.say('stage.again')}</button></div>`;
    }
    if (desk.account) return html`<p role="status">${words.say('stage.checking', { chain: desk.chain.name })}</p>`;
    if (desk.isConnecting) return html`<p role="status">${words.say('stage.connecting', { wallet })}</p>`;
    if (desk.wallets.length === 0) return html`<p>${words.say('stage.no_wallet')}</p>`;
    return html`<p>${words.say('panel.connect')}</p>${wallets(desk)}`;
  }

  get #place(): Place {
    return { chainId: this.payment.network_id, diamond: this.payment.diamond_address };
  }

  #open(): void {
    this.#desk?.close();
    this.#deals = [];
    this.#reader = null;
    this.#refunds = new Refunds(this.source, () => this.requestUpdate());
    const desk = new Desk({
      place: this.#place,
      rpcUrl: this.source.rpcUrl,
      node: null,
      keep: async (proposal) => await this.#keep(proposal),
      onChange: () => this.#changed(),
      onDone: () => void this.#read(),
    });
    this.#desk = desk;
    void desk.restore();
  }

  /** Has a signed split shown to the other side. @throws Error when the service does not know the deal, PaymentError */
  async #keep(proposal: Proposal): Promise<void> {
    const leg = this.#legOf(proposal);
    if (!leg) throw new Error('The payment service does not know this deal.');
    await keepSplit(this.source, leg.leg, proposal);
  }

  /** Another wallet, or one that has come: it reads for itself. */
  #changed(): void {
    if (this.#desk?.node && this.#desk.node !== this.#reader) void this.#read();
    this.requestUpdate();
  }

  async #read(): Promise<void> {
    const desk = this.#desk;
    const node = desk?.node ?? null;
    this.#reader = node;
    if (!desk || !node) return;
    this.#readings += 1;
    const reading = this.#readings;
    const [deals, fault] = await this.#look(node, desk);
    if (reading !== this.#readings || desk !== this.#desk) return;
    this.#fault = fault;
    if (deals) this.#deals = deals;
    this.requestUpdate();
    if (deals) void desk.resume(deals);
  }

  async #look(node: Provider, desk: Desk): Promise<[readonly Shown[] | null, Fault | null]> {
    try {
      if ((await readChainId(node)) !== this.payment.network_id) return [null, 'panel.elsewhere'];
      await desk.readTime();
      const { transaction_hash: deposit } = this.payment;
      const found = deposit ? await findByTransaction(node, this.#place, deposit) : [];
      const own = found.filter((deal) => this.#legOf(deal));
      if (own.length === 0) return [null, 'panel.unread'];
      return [await Promise.all(own.map((deal) => this.#show(node, deal))), null];
    } catch {
      return [null, 'panel.unread'];
    }
  }

  /** What the payment service says of a deal: whichever leg its terms are the offer of. */
  #legOf({ terms }: Pick<Found, 'terms'>): Leg | undefined {
    const { chainId, diamond } = this.#place;
    const offer = offerId(terms, chainId, diamond);
    return this.payment.legs.find(({ offer_hash: known }) => known === offer);
  }

  async #show(node: Provider, found: Found): Promise<Shown> {
    const { chainId, diamond } = this.#place;
    const { terms } = found;
    const [standing, token, history] = await Promise.all([
      readStanding(node, this.#place, terms),
      readToken(node, terms.token),
      readHistory(node, this.#place, found),
    ]);
    return { chainId, diamond, id: dealId(terms, chainId, diamond), token, ...standing, ...history };
  }

  async #speak(): Promise<void> {
    const words = await loadAfterWords(languageOf(this.tag)).catch(() => null);
    if (words) this.#words = words;
    this.requestUpdate();
  }
}

function isOther(now: unknown, before: unknown): boolean {
  return JSON.stringify(now) !== JSON.stringify(before);
}

function placeOf({
  network_id: chainId,
  diamond_address: diamond,
  transaction_hash: deposit,
  legs,
}: ChainPayment): string {
  return [chainId, diamond, deposit, ...legs.map(({ offer_hash: offer }) => offer)].join(' ');
}

/** How the button that has the focus is found again. */
function buttonOf(element: Element | null | undefined): string | null {
  if (!(element instanceof HTMLElement)) return null;
  const { verb, do: deed } = element.dataset;
  if (verb) return `[data-verb=${verb}]`;
  return deed === 'ask-refund' || deed === 'withdraw-request' ? `[data-do=${deed}]` : null;
}

if (!customElements.get('dealkeep-deal')) customElements.define('dealkeep-deal', DealPanel);
