import { html, LitElement, type PropertyValues } from 'lit';
import { Checkout, type Settings } from './checkout.ts';
import type { Expected } from './deposit/deal.ts';
import { type Language, languageOf, loadWords } from './languages.ts';
import type { AccessToken } from './payment.ts';
import type { Action } from './screens.ts';
import type { Snapshot } from './snapshot.ts';
import { styles } from './styles.ts';
import type { Words } from './words.ts';

type View = typeof import('./view.ts').view;

// A file that could not be loaded is asked for again; meanwhile the payment goes on without words.
const RELOAD_MS = 2_000;
// When it gets short: often enough to hurry, seldom enough to let somebody listen.
const SAID_MINUTES: readonly number[] = [5, 1];

/** The language that stands around an element, across shadow trees. */
export function languageAround(element: Element): string | null {
  const near = element.parentElement?.closest('[lang]:not([lang=""])');
  if (near) return near.getAttribute('lang');
  const root = element.getRootNode();
  return root instanceof ShadowRoot ? root.host.getAttribute('lang') || languageAround(root.host) : null;
}

/** What `dealkeep-change` tells; it never holds the access token. */
export type ChangeDetail = {
  /** Whose checkout changed. */
  paymentId: string;
  /** The checkout's own state, see states.ts. */
  state: Snapshot['name'];
  /** The API's status, once it was read. */
  status: NonNullable<Snapshot['payment']>['status'] | null;
  /** Of the deposit, once it was sent. */
  transactionHash: string | null;
  /** What stopped the checkout, while `state` is `stopped`. */
  problem: Snapshot['problem'];
};

/**
 * A payment's checkout: the buyer chooses a wallet, approves the exact amount, pays it into escrow, and sees each state
 * until the API says funded, and what becomes of it afterwards.
 *
 * @element dealkeep-checkout
 * @attr payment-id - The payment's id.
 * @attr api - Base URL of the API.
 * @attr access-token - The payment's access token. It works, but it stands in the page's source until it is taken over (and
 * removed); better set the property.
 * @attr rpc-url - A public RPC URL, for wallets that do not know the payment's chain yet.
 * @attr return-url - Where the buyer goes from an end of the payment (http or https).
 * @attr theme - `light` or `dark`; without it the buyer's own preference counts.
 * @attr lang - The language to speak (en, de, fr, es, tr, ar), with a region for numbers and dates (`de-CH`); without it the
 * page's, then the browser's.
 * @prop accessToken - The token, or a function that provides it, also later when it was replaced.
 * @prop expected - What the page knows for certain (chainId, diamond, token, payee, amountUnits); any difference refuses to
 * sign.
 * @fires dealkeep-change - The state changed; see ChangeDetail. Bubbles and leaves the shadow tree.
 * @csspart card - The whole box.
 * @csspart header - Amount, network or way to pay, order and countdown.
 * @csspart amount - The price.
 * @csspart estimate - What the price is worth approximately, where the service says so.
 * @csspart countdown - The time that is left to pay.
 * @csspart message - Title and text of the state.
 * @csspart title - What the state is.
 * @csspart text - What the state means.
 * @csspart details - What is paid to whom, to be folded out.
 * @csspart receipt - The receipt, to be folded out.
 * @csspart button - Each button, and each link that looks like one.
 * @csspart footer - Who holds the money.
 * @cssprop --dealkeep-accent - Colour of the main button and the progress.
 * @cssprop --dealkeep-on-accent - Colour of what stands on the accent.
 * @cssprop --dealkeep-ink - Colour of the text.
 * @cssprop --dealkeep-soft - Colour of the lesser text.
 * @cssprop --dealkeep-line - Colour of the borders.
 * @cssprop --dealkeep-field - Colour of the borders of what can be pressed or filled in.
 * @cssprop --dealkeep-page - Background of the card.
 * @cssprop --dealkeep-tint - Background of what is set apart in it.
 * @cssprop --dealkeep-width - Width of the card at most.
 * @cssprop --dealkeep-radius - Corners of the card.
 * @cssprop --dealkeep-font - Font family.
 */
export class DealkeepCheckout extends LitElement {
  static override styles = styles;
  static override properties = {
    paymentId: { attribute: 'payment-id' },
    api: {},
    rpcUrl: { attribute: 'rpc-url' },
    returnUrl: { attribute: 'return-url' },
    theme: { reflect: true },
    lang: { reflect: true },
    accessToken: { attribute: 'access-token' },
    expected: { attribute: false },
  };

  declare paymentId: string;
  declare api: string;
  declare rpcUrl: string | null;
  declare returnUrl: string | null;
  declare theme: 'light' | 'dark' | null;
  declare accessToken: AccessToken;
  declare expected: Expected;

  #checkout: Checkout | null = null;
  /** Markup and words, which come after the first paint. */
  #view: View | null = null;
  #secondsLeft: typeof import('./view.ts').secondsLeft | null = null;
  #words: Words | null = null;
  #speaksRails = false;
  #receipt: typeof import('./receipt.ts').receipt | null = null;
  /** What comes after the payment is loaded. */
  #isDeciding = false;
  /** The wish that the words are for. */
  #spoken: string | null = null;
  #announced = '';
  #focusHeading = false;
  #tick: ReturnType<typeof setTimeout> | undefined;
  /** Said to who does not see the page, besides the state. */
  #notice = '';
  /** The last minutes that were said to be left. */
  #minutesSaid: number | null = null;

  constructor() {
    super();
    this.paymentId = '';
    this.api = '';
    this.rpcUrl = null;
    this.returnUrl = null;
    this.theme = null;
    this.accessToken = '';
    this.expected = {};
  }

  override attributeChangedCallback(name: string, before: string | null, value: string | null): void {
    // Its removal, below, takes nothing back.
    if (name === 'access-token' && value === null) return;
    super.attributeChangedCallback(name, before, value);
    // What stands in the DOM can be read by every script and every screenshot of it.
    if (name === 'access-token') this.removeAttribute(name);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.requestUpdate();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#checkout?.stop();
    this.#checkout = null;
    clearTimeout(this.#tick);
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    const another = changed.has('paymentId') || changed.has('api') || changed.has('accessToken');
    if (another || changed.has('expected') || changed.has('rpcUrl')) {
      this.#checkout?.stop();
      this.#checkout = null;
    }
    const { api, paymentId, accessToken, expected, rpcUrl } = this;
    // Without all three there is nothing to open yet: frameworks set properties one by one.
    if (!this.#checkout && this.isConnected && api && paymentId && accessToken) {
      this.#start({ api, paymentId, accessToken, expected, rpcUrl });
    }
    void this.#speak();
    this.#focusHeading = (this.shadowRoot?.activeElement ?? null) !== null;
  }

  protected override render() {
    if (!this.#view || !this.#words) return html`<section part="card" class="card" aria-busy="true"></section>`;
    const snapshot = this.#checkout?.snapshot ?? null;
    // Of a payment on a rail the words come with its view.
    const isSpoken = !snapshot?.payment?.rail || this.#speaksRails;
    return this.#view({
      snapshot: isSpoken ? snapshot : { ...snapshot, name: 'loading' },
      words: this.#words,
      now: Date.now(),
      notice: this.#notice,
      rpcUrl: this.rpcUrl,
      theme: this.theme,
      returnUrl: this.returnUrl,
      source: this,
      act: this.#act,
      choose: (id) => void this.#checkout?.flow?.connect(id),
      handOver: () => void this.#checkout?.handOver(this.returnUrl),
      takeWay: (route) => this.#checkout?.flow?.takeWay(route),
      copied: (key) => this.#checkout?.patch({ copied: key }),
      copy: (address) => void this.#copy(address),
      print: (event) => void this.#print(event),
      escapeUrl: `${this.api}/widget/v1/escape.html`,
      receipt: this.#receipt,
    });
  }

  protected override updated(): void {
    // The button that had the focus may be gone; whoever came by keyboard goes on from the state's words.
    if (this.#focusHeading && !this.shadowRoot?.activeElement) {
      this.shadowRoot?.querySelector<HTMLElement>('[data-focus]')?.focus();
    }
    this.#countDown();
    // Loaded when there is something to decide; its element, which stands there empty, comes to life by itself.
    if (!this.#isDeciding && this.shadowRoot?.querySelector('dealkeep-deal')) {
      this.#isDeciding = true;
      void this.#loadAfterwards();
    }
  }

  async #loadAfterwards(): Promise<void> {
    try {
      this.#receipt ??= (await import('./receipt.ts')).receipt;
      this.requestUpdate();
      await import('./afterwards/panel.ts');
    } catch {
      this.#isDeciding = false;
    }
  }

  /** Draws anew each second while there is a time to pay, and says when it gets short. */
  #countDown(): void {
    clearTimeout(this.#tick);
    const { snapshot } = this.#checkout ?? {};
    const leftSeconds = snapshot ? (this.#secondsLeft?.(snapshot, Date.now()) ?? 0) : 0;
    if (leftSeconds === 0 || !this.isConnected) return;
    const minutes = Math.ceil(leftSeconds / 60);
    if (SAID_MINUTES.includes(minutes) && minutes !== this.#minutesSaid) {
      this.#minutesSaid = minutes;
      this.#say(this.#words?.say('countdown.soon', { count: minutes }) ?? '');
    }
    this.#tick = setTimeout(() => this.requestUpdate(), 1_000);
  }

  #say(notice: string): void {
    this.#notice = notice;
    this.requestUpdate();
  }

  async #copy(address: string): Promise<void> {
    // Pages without a secure context have no clipboard; the address stands there to be selected.
    const isCopied = await navigator.clipboard?.writeText(address).then(
      () => true,
      () => false,
    );
    if (isCopied) this.#say(this.#words?.say('balance.copied') ?? '');
  }

  async #print({ target }: Event): Promise<void> {
    const details = (target as Element).closest('details');
    const { printReceipt } = await import('./print.ts');
    if (details) printReceipt(details);
  }

  /** Brings markup and words, again when another language is wanted. */
  async #speak(): Promise<void> {
    const language = languageOf(this.lang, languageAround(this));
    const onRail = this.#checkout?.snapshot.payment?.rail != null;
    const wish = `${language.tag} ${onRail}`;
    if (this.#spoken === wish) return;
    this.#spoken = wish;
    while (this.isConnected && this.#spoken === wish) {
      const [view, words] = await Promise.all([this.#loadView(language, onRail), loadWords(language)]);
      if (this.#spoken !== wish) return;
      if (view && words) {
        this.#view = view;
        this.#words = words;
        this.#speaksRails = onRail;
        return this.requestUpdate();
      }
      await new Promise((resolve) => setTimeout(resolve, RELOAD_MS));
    }
    this.#spoken = null;
  }

  async #loadView(language: Language, onRail: boolean): Promise<View | null> {
    try {
      const { view, contentStyles, secondsLeft } = await import('./view.ts');
      const { adoptedStyleSheets: sheets } = this.renderRoot as ShadowRoot;
      if (contentStyles.styleSheet && !sheets.includes(contentStyles.styleSheet)) sheets.push(contentStyles.styleSheet);
      this.#secondsLeft = secondsLeft;
      if (!onRail) return view;
      const rails = await import('./rails/rails.ts');
      return await rails.speak(language, this.renderRoot as ShadowRoot);
    } catch {
      return null;
    }
  }

  /** Where the checkout comes from; the playground shows one that stands still. */
  protected open(settings: Settings, onChange: () => void): Checkout {
    return new Checkout(settings, onChange);
  }

  #start(settings: Settings): void {
    const checkout = this.open(settings, () => {
      if (this.#checkout !== checkout) return;
      this.requestUpdate();
      this.#announce(checkout.snapshot);
    });
    this.#checkout = checkout;
    checkout.start();
  }

  readonly #act = (action: Action): void => {
    const checkout = this.#checkout;
    const flow = checkout?.flow;
    switch (action) {
      case 'leave':
        return void checkout?.send('leave');
      case 'again':
        return void checkout?.tryAgain();
      case 'retry':
        return void checkout?.retry();
      case 'connect':
        return void flow?.connect(checkout?.snapshot.wallet?.id ?? '');
      case 'switch':
        return void flow?.switchChain();
      case 'check':
        return void flow?.check();
      case 'pay':
        return void flow?.pay();
      case 'proceed':
        return void checkout?.send('pass');
      case 'another':
        return void flow?.chooseAnother();
      case 'restart':
        return void flow?.restart();
    }
  };

  #announce({ name, payment, transactionHash, problem }: Snapshot): void {
    const key = [name, payment?.status, transactionHash, problem].join();
    if (key === this.#announced) return;
    this.#announced = key;
    const detail: ChangeDetail = {
      paymentId: this.paymentId,
      state: name,
      status: payment?.status ?? null,
      transactionHash,
      problem,
    };
    this.dispatchEvent(new CustomEvent('dealkeep-change', { detail, bubbles: true, composed: true }));
  }
}
