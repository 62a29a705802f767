/**
 * The page without servers: an element that finds somebody's deals by a node's logs and does with them what the contract allows.
 * It asks the node whose URL was typed and the wallet, nobody else.
 */
import { html, LitElement, nothing, type TemplateResult } from 'lit';
import { isAddressEqual } from 'viem';
import { Desk } from '../afterwards/desk.ts';
import { BadProposal, readProposal } from '../afterwards/proposal.ts';
import { amountOf } from '../afterwards/speech.ts';
import { afterStyles } from '../afterwards/styles.ts';
import { dealView, deedView } from '../afterwards/view.ts';
import { chainInfo } from '../chains.ts';
import { contentStyles } from '../content-styles.ts';
import { Mismatch } from '../deposit/deal.ts';
import { Wallets } from '../deposit/wallets.ts';
import { styles } from '../styles.ts';
import { type Field, fromFragment, readForm, type Texts, type Wanted } from './form.ts';
import { type Credit, errorWords, Search, type SearchNow } from './search.ts';
import { pageStyles } from './styles.ts';
import { type EscapeKey, speak } from './words.ts';

type Said = { key: EscapeKey; values: Readonly<Record<string, string>> };

/** How often what may be done now is looked at again: deadlines pass. */
const TICK_MS = 10_000;

class EscapePage extends LitElement {
  static override styles = [styles, contentStyles, afterStyles, pageStyles];

  readonly #words = speak();
  #texts: Texts = fromFragment(location.hash);
  #faults: readonly Field[] = [];
  /** What is under way, and what ends it. */
  #looking: { abort: AbortController; now: SearchNow | null } | null = null;
  #wasStopped = false;
  /** The contract whose unknown code its user has vouched for. */
  #vouched: Search | null = null;
  #search: Search | null = null;
  #desk: Desk | null = null;
  #error: Said | null = null;
  #proposalError: Said | null = null;
  /** Only for the address, before it is known where the deals are. */
  readonly #wallets = new Wallets(chainInfo(1), { onWallets: () => this.requestUpdate(), onMoved: () => undefined });
  /** What is to have the focus after the next painting. */
  #focus: string | null = null;
  #stage: string | null = null;
  #tick: ReturnType<typeof setInterval> | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    document.documentElement.lang = this.#words.tag;
    document.documentElement.dir = this.#words.direction;
    document.title = this.#words.say('title');
    window.addEventListener('hashchange', this.#refill);
    this.#tick = setInterval(() => this.requestUpdate(), TICK_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('hashchange', this.#refill);
    clearInterval(this.#tick);
    this.#looking?.abort.abort();
    this.#desk?.close();
    this.#wallets.close();
  }

  protected override render(): TemplateResult {
    const words = this.#words;
    return html`
      <main>
        <h1>${words.say('title')}</h1>
        <p>${words.say('intro')}</p>
        ${this.#form()}
        <div role="status">${this.#progress()}</div>
        ${this.#error ? html`<p class="warning" role="alert" data-error>${words.say(this.#error.key, this.#error.values)}</p>` : nothing}
        ${this.#search && !this.#looking ? this.#found(this.#search) : nothing}
        <p class="note">${words.say('footer')}</p>
      </main>
    `;
  }

  protected override updated(): void {
    const { deed } = this.#desk ?? {};
    const stage = deed ? `${deed.wish.kind} ${deed.stage}` : null;
    if (stage !== this.#stage) {
      this.#stage = stage;
      // The button that was pressed is gone: whoever came by keyboard goes on from the words that took its place.
      this.#focus ??= deed ? '[data-deed]' : '[data-found]';
    }
    if (this.#focus) this.shadowRoot?.querySelector<HTMLElement>(this.#focus)?.focus();
    this.#focus = null;
  }

  #form(): TemplateResult {
    const words = this.#words;
    const field = (
      name: Field,
      label: EscapeKey,
      hint: EscapeKey | null,
      input: 'url' | 'numeric' | 'text' = 'text',
    ) => {
      const isWrong = this.#faults.includes(name);
      const described = [hint && `${name}-hint`, isWrong && `${name}-fault`].filter(Boolean).join(' ');
      return html`
        <div class="field">
          <label for=${name}>${words.say(label)}</label>
          <input id=${name} name=${name} .value=${this.#texts[name]} inputmode=${input} dir="ltr" autocomplete="off"
            spellcheck="false" aria-invalid=${isWrong} aria-describedby=${described || nothing} />
          ${hint ? html`<p class="hint" id="${name}-hint">${words.say(hint)}</p>` : nothing}
          ${isWrong ? html`<p class="warning" id="${name}-fault">${words.say(`error.${name}`)}</p>` : nothing}
        </div>
      `;
    };
    const isMore =
      this.#texts.transaction !== '' || this.#texts.start !== '' || this.#faults.some((name) => name === 'start');
    return html`
      <form class="card" novalidate @submit=${this.#submit}>
        <fieldset>
          <legend>${words.say('where.title')}</legend>
          ${field('rpc_url', 'where.rpc', 'where.rpc.hint', 'url')} ${field('chain', 'where.chain', null, 'numeric')}
          ${field('diamond', 'where.diamond', 'where.diamond.hint')}
        </fieldset>
        <fieldset>
          <legend>${words.say('whose.title')}</legend>
          ${field('account', 'whose.account', null)}
          <div class="actions">
            ${this.#wallets.choices().map(
              ({ id, name }) => html`
                <button type="button" class="secondary" data-wallet @click=${() => this.#takeAccount(id)}>
                  ${words.say('whose.wallet', { wallet: name })}
                </button>
              `,
            )}
          </div>
        </fieldset>
        <details ?open=${isMore}>
          <summary>${words.say('more.title')}</summary>
          <div>
            ${field('transaction', 'more.transaction', 'more.transaction.hint')}
            ${field('start', 'more.start', 'more.start.hint', 'numeric')}
          </div>
        </details>
        <button class="primary" data-do="find" ?disabled=${this.#looking !== null}>${words.say('find')}</button>
      </form>
    `;
  }

  #progress(): TemplateResult | typeof nothing {
    if (!this.#looking) return nothing;
    const { progress, count } = this.#looking.now ?? { progress: null, count: 0 };
    const total = progress ? Number(progress.to - progress.from + 1n) : 0;
    const done = progress ? Number(progress.to - progress.searchedDownTo + 1n) : 0;
    const text = progress
      ? this.#words.say('finding.progress', { done, total, count })
      : this.#words.say('finding.start');
    return html`
      <div class="finding">
        <p>${text}</p>
        ${progress ? html`<progress max=${total} .value=${done} aria-label=${text}></progress>` : nothing}
        <button class="secondary" data-do="stop" @click=${() => this.#looking?.abort.abort()}>${this.#words.say('stop')}</button>
      </div>
    `;
  }

  #found(search: Search): TemplateResult {
    const desk = this.#desk;
    return html`
      <section aria-labelledby="found">
        <h2 id="found" data-found tabindex="-1">${this.#foundTitle(search)}</h2>
        ${this.#wasStopped && search.searched ? html`<p class="warning">${this.#words.say('finding.stopped', { block: `${search.searched.from}` })}</p>` : nothing}
        ${search.isKnownCode ? nothing : this.#unknownCode(search)}
        ${desk ? search.deals.map((deal) => this.#deal(search, desk, deal)) : nothing}
        ${desk ? this.#credits(search, desk).map((credit) => this.#credit(desk, credit)) : nothing}
        <div class="actions">
          <button class="secondary" data-do="refresh" @click=${() => this.#refresh()}>${this.#words.say('refresh')}</button>
        </div>
        ${this.#proposal(search)}
      </section>
    `;
  }

  /** Whoever makes a link chooses the contract: what lets it take money waits until somebody has compared the address. */
  #unknownCode(search: Search): TemplateResult {
    const vouch = ({ currentTarget }: Event) => {
      this.#vouched = (currentTarget as HTMLInputElement).checked ? search : null;
      this.requestUpdate();
    };
    return html`
      <div class="warning" data-unknown>
        <p>${this.#words.say('code.unknown', { diamond: search.place.diamond })}</p>
        <label><input type="checkbox" .checked=${this.#vouched === search} @change=${vouch} /> ${this.#words.say('code.vouch')}</label>
      </div>
    `;
  }

  #foundTitle({ wanted, deals, searched }: Search): string {
    const account = wanted.account ?? '';
    if (deals.length > 0) {
      return searched
        ? this.#words.say('found', { count: deals.length, account })
        : this.#words.say('found.transaction');
    }
    if (!searched) return this.#words.say('found.no_transaction');
    return this.#words.say('found.none', { account, from: `${searched.from}`, to: `${searched.to}` });
  }

  #deal(search: Search, desk: Desk, deal: Search['deals'][number]): TemplateResult {
    const account = desk.account ?? search.wanted.account;
    const mayApprove = search.isKnownCode || this.#vouched === search;
    return html`
      <article class="card deal" data-deal=${deal.id} data-status=${deal.status}>
        <h3>${amountOf(this.#words, deal.token, deal.terms.amount)}</h3>
        ${dealView({ deal, desk, words: this.#words, account, mayApprove })}
      </article>
    `;
  }

  /** What waits, and what has just been paid out: its end is to be read. */
  #credits({ credits }: Search, { deed }: Desk): readonly Credit[] {
    const wish = deed?.wish;
    if (wish?.kind !== 'withdraw' || credits.some((credit) => isSame(credit, wish))) return credits;
    return [...credits, wish];
  }

  #credit(desk: Desk, { token, account, units }: Credit): TemplateResult {
    const { wish } = desk.deed ?? {};
    const isActive = wish?.kind === 'withdraw' && isSame({ token, account, units }, wish);
    const amount = amountOf(this.#words, token, units);
    const begin = () => desk.begin({ kind: 'withdraw', token, account, units });
    return html`
      <article class="card" data-credit=${account}>
        <h3>${this.#words.say('withdraw.title', { account })}</h3>
        ${
          isActive
            ? deedView(desk, this.#words)
            : html`<button class="primary" data-verb="withdraw" @click=${begin}>${this.#words.say('withdraw.name', { amount })}</button>`
        }
      </article>
    `;
  }

  #proposal(search: Search): TemplateResult {
    const words = this.#words;
    const submit = async (event: SubmitEvent) => {
      event.preventDefault();
      const { elements } = event.currentTarget as HTMLFormElement;
      const text = elements.namedItem('proposal');
      const file = elements.namedItem('file');
      const chosen = file instanceof HTMLInputElement ? file.files?.[0] : undefined;
      const typed = text instanceof HTMLTextAreaElement ? text.value : '';
      await this.#accept(search, typed.trim() === '' && chosen ? await chosen.text() : typed);
    };
    return html`
      <details>
        <summary>${words.say('proposal.title')}</summary>
        <form novalidate @submit=${submit}>
          <label for="proposal">${words.say('proposal.text')}</label>
          <textarea id="proposal" name="proposal" rows="5" dir="ltr" spellcheck="false"></textarea>
          <label for="file">${words.say('proposal.file')}</label>
          <input id="file" name="file" type="file" accept="application/json,.json,.txt" />
          ${this.#proposalError ? html`<p class="warning" role="alert">${words.say(this.#proposalError.key, this.#proposalError.values)}</p>` : nothing}
          <button class="secondary" data-do="open-proposal">${words.say('proposal.open')}</button>
        </form>
      </details>
    `;
  }

  readonly #submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    for (const name of Object.keys(this.#texts) as Field[]) this.#texts[name] = String(form.get(name) ?? '');
    const read = readForm(this.#texts);
    this.#faults = 'faults' in read ? read.faults : [];
    const [first] = this.#faults;
    if (first) this.#focus = `#${first}`;
    this.requestUpdate();
    if ('wanted' in read) void this.#look(read.wanted);
  };

  async #look(wanted: Wanted): Promise<void> {
    if (this.#looking) return;
    const looking = { abort: new AbortController(), now: null as SearchNow | null };
    this.#looking = looking;
    this.#error = null;
    this.#desk?.close();
    this.#desk = null;
    this.#search = null;
    this.requestUpdate();
    try {
      const search = await Search.open(wanted);
      await search.find(looking.abort.signal, (now) => {
        looking.now = now;
        this.requestUpdate();
      });
      this.#search = search;
      this.#wasStopped = looking.abort.signal.aborted;
      const desk = new Desk({
        place: search.place,
        rpcUrl: wanted.rpcUrl,
        node: search.node,
        keep: null,
        onChange: () => this.requestUpdate(),
        onDone: () => void this.#refresh(),
      });
      await desk.readTime();
      this.#desk = desk;
      void desk.restore();
      this.#focus = '[data-found]';
    } catch (error) {
      this.#error = errorWords(error, wanted);
    }
    this.#looking = null;
    this.requestUpdate();
  }

  async #refresh(): Promise<void> {
    try {
      await Promise.all([this.#search?.refresh(), this.#desk?.readTime()]);
      this.#error = null;
    } catch (error) {
      this.#error = errorWords(error, { chainId: this.#search?.place.chainId ?? null });
    }
    this.requestUpdate();
  }

  async #accept(search: Search, text: string): Promise<void> {
    this.#proposalError = null;
    try {
      const proposal = readProposal(text);
      const { chainId, diamond } = search.place;
      if (proposal.chainId !== chainId || !isAddressEqual(proposal.diamond, diamond)) {
        const values = { chainId: `${proposal.chainId}`, diamond: proposal.diamond };
        this.#proposalError = { key: 'proposal.elsewhere', values };
      } else {
        const deal = await search.add(proposal.terms);
        await this.#desk?.begin({ kind: 'accept', deal, proposal });
      }
    } catch (error) {
      this.#proposalError =
        error instanceof BadProposal || error instanceof Mismatch
          ? { key: 'proposal.bad', values: { field: error.field } }
          : errorWords(error, search.place);
    }
    this.requestUpdate();
  }

  async #takeAccount(id: string): Promise<void> {
    const connection = await this.#wallets.connect(id).catch(() => null);
    if (connection) this.#texts = { ...this.#texts, account: connection.account };
    this.requestUpdate();
  }

  readonly #refill = (): void => {
    this.#texts = fromFragment(location.hash);
    this.requestUpdate();
  };
}

function isSame(one: Credit, other: Credit): boolean {
  return isAddressEqual(one.token.address, other.token.address) && isAddressEqual(one.account, other.account);
}

customElements.define('dealkeep-escape', EscapePage);
