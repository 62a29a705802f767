/**
 * What the checkout shows after a payment: the deals of its deposit as the buyer's own wallet reads them from the chain, what
 * happened to each, and what may be done with it now. It asks the wallet and nobody else, and is loaded with the first deposit.
 */
import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import type { Hex } from 'viem';
import { dealId, offerId } from '../../contracts/terms.ts';
import { contentStyles } from '../content-styles.ts';
import { type Provider, readChainId } from '../deposit/escrow.ts';
import { languageOf } from '../languages.ts';
import { styles } from '../styles.ts';
import type { Words } from '../words.ts';
import { type DealNow, type Place, readStanding, readToken } from './calls.ts';
import { Desk } from './desk.ts';
import { type Found, findByTransaction } from './finding.ts';
import { type Happened, readHistory } from './history.ts';
import { type AfterKey, loadAfterWords } from './languages.ts';
import { amountOf, timeOf } from './speech.ts';
import { afterStyles } from './styles.ts';
import { dealView, wallets } from './view.ts';

/** Which deals are shown: those of a deposit whose terms are one of the offers. */
export type Paid = Place & { transaction: Hex; offers: readonly Hex[]; rpcUrl: string | null };

type Shown = DealNow & { happened: readonly Happened[] };

type Fault = 'panel.unread' | 'panel.elsewhere';

/** How often what may be done now is looked at again: deadlines pass. */
const TICK_MS = 10_000;

class DealPanel extends LitElement {
  static override styles = [styles, contentStyles, afterStyles];
  static override properties = {
    paid: {
      attribute: false,
      hasChanged: (now: Paid, before?: Paid) => JSON.stringify(now) !== JSON.stringify(before),
    },
    status: { attribute: false },
    tag: { attribute: false },
    theme: { reflect: true },
  };

  declare paid: Paid;
  /** The API's status: when it changes, the chain is read again. */
  declare status: string;
  /** BCP 47. */
  declare tag: string;
  declare theme: 'light' | 'dark' | null;

  #words: Words<AfterKey> | null = null;
  #desk: Desk | null = null;
  #deals: readonly Shown[] = [];
  /** Why nothing can be shown though there is a wallet. */
  #fault: Fault | null = null;
  /** Whose reading the deals are of. */
  #reader: Provider | null = null;
  #readings = 0;
  #tick: ReturnType<typeof setInterval> | undefined;

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
    if (changed.has('paid') || !this.#desk) this.#open();
    else if (changed.has('status')) void this.#read();
  }

  protected override render(): TemplateResult | typeof nothing {
    const [words, desk] = [this.#words, this.#desk];
    if (!words || !desk) return nothing;
    return html`
      <section class="after" lang=${words.tag} dir=${words.direction} aria-labelledby="after">
        <h3 id="after">${words.say('panel.title')}</h3>
        ${this.#deals.length > 0 ? this.#deals.map((deal) => this.#deal(deal, desk, words)) : this.#way(desk, words)}
      </section>
    `;
  }

  #deal(deal: Shown, desk: Desk, words: Words<AfterKey>): TemplateResult {
    const several = this.#deals.length > 1;
    return html`
      <article data-deal=${deal.id} data-status=${deal.status}>
        ${several ? html`<h4>${amountOf(words, deal.token, deal.terms.amount)}</h4>` : nothing}
        ${dealView({ deal, desk, words, account: desk.account })}
        ${deal.happened.length > 0 ? this.#timeline(deal, desk, words) : nothing}
      </article>
    `;
  }

  #timeline({ happened }: Shown, { chain }: Desk, words: Words<AfterKey>): TemplateResult {
    const proof = ({ transaction }: Happened) => {
      const code = html`<code>${transaction.slice(0, 10)}…${transaction.slice(-8)}</code>`;
      if (!chain.explorerUrl) return code;
      return html`<a href="${chain.explorerUrl}/tx/${transaction}" target="_blank" rel="noopener noreferrer">${code}</a>`;
    };
    return html`
      <details class="happened">
        <summary>${words.say('happened.title')}</summary>
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

  #open(): void {
    this.#desk?.close();
    this.#deals = [];
    this.#reader = null;
    const desk = new Desk({
      place: this.paid,
      rpcUrl: this.paid.rpcUrl,
      node: null,
      keep: null,
      onChange: () => this.#changed(),
      onDone: () => void this.#read(),
    });
    this.#desk = desk;
    void desk.restore();
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
  }

  async #look(node: Provider, desk: Desk): Promise<[readonly Shown[] | null, Fault | null]> {
    try {
      if ((await readChainId(node)) !== this.paid.chainId) return [null, 'panel.elsewhere'];
      await desk.readTime();
      const found = await findByTransaction(node, this.paid, this.paid.transaction);
      const own = found.filter((deal) => this.#isOurs(deal));
      if (own.length === 0) return [null, 'panel.unread'];
      return [await Promise.all(own.map((deal) => this.#show(node, deal))), null];
    } catch {
      return [null, 'panel.unread'];
    }
  }

  #isOurs({ terms }: Found): boolean {
    const { chainId, diamond, offers } = this.paid;
    return offers.length === 0 || offers.includes(offerId(terms, chainId, diamond));
  }

  async #show(node: Provider, found: Found): Promise<Shown> {
    const { chainId, diamond } = this.paid;
    const { terms } = found;
    const [standing, token, happened] = await Promise.all([
      readStanding(node, this.paid, terms),
      readToken(node, terms.token),
      readHistory(node, this.paid, found),
    ]);
    return { chainId, diamond, id: dealId(terms, chainId, diamond), token, ...standing, happened };
  }

  async #speak(): Promise<void> {
    const words = await loadAfterWords(languageOf(this.tag)).catch(() => null);
    if (words) this.#words = words;
    this.requestUpdate();
  }
}

if (!customElements.get('dealkeep-deal')) customElements.define('dealkeep-deal', DealPanel);
