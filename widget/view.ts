// Owns the checkout's markup: a pure function of the snapshot. What it says is in screens.ts, what happens in states.ts.
import { html, nothing, svg, type TemplateResult } from 'lit';
import { chainInfo } from './chains.ts';
import type { PaymentSource, WidgetPayment } from './payment.ts';
import type { RouteName } from './routes.ts';
import { type Action, agreement, amount, type Screen, screen, wayInWords } from './screens.ts';
import type { Snapshot } from './snapshot.ts';
import type { StateName } from './states.ts';
import { shortHex, type TextKey, type Words } from './words.ts';

export { contentStyles } from './content-styles.ts';

/** What there is to show, and what the buyer's hands lead to. */
export type ViewOptions = {
  /** Null: the element still lacks a property. */
  snapshot: Snapshot | null;
  words: Words;
  /** Unix milliseconds: what the countdown counts from. */
  now: number;
  /** What has to be said besides the state, for who does not see it. */
  notice: string;
  rpcUrl: string | null;
  /** Null: as the buyer's system wants it. */
  theme: 'light' | 'dark' | null;
  returnUrl: string | null;
  /** What opens the payment, for who decides what comes after it. */
  source: PaymentSource & { rpcUrl: string | null };
  act: (action: Action) => void;
  choose: (walletId: string) => void;
  takeWay: (route: RouteName) => void;
  handOver: () => void;
  /** A detail was copied. */
  copied: (key: string) => void;
  /** Puts the wallet's address into the clipboard. */
  copy: (address: string) => void;
  print: (event: Event) => void;
  /** Where the page is that needs no servers of ours. */
  escapeUrl: string;
  /** Draws a deposit's receipt, once that has come. */
  receipt: typeof import('./receipt.ts').receipt | null;
};

const stages: readonly TextKey[] = ['stage.wallet', 'stage.approve', 'stage.pay', 'stage.confirmation'];

/** The stage that a state belongs to, as index of `stages`; one past the last: all done. */
const stageOf: Partial<Record<StateName, number>> = {
  ready: 0,
  connecting: 0,
  wrong_chain: 0,
  switching: 0,
  checking: 0,
  short_of_token: 0,
  short_of_gas: 0,
  review: 1,
  mining: 1,
  relaying: 2,
  submitted: 3,
  mined: 3,
  confirming: 3,
  funded: 4,
};

const ended: ReadonlySet<StateName> = new Set([
  'funded',
  'partially_released',
  'disputed',
  'released',
  'refunded',
  'partially_refunded',
  'cancelled',
  'expired',
  'failed',
  'denied',
  'refused',
]);

const withWallet: ReadonlySet<StateName> = new Set([
  'review',
  'short_of_token',
  'short_of_gas',
  'wrong_chain',
  'stopped',
]);

/** Something was deposited, whatever became of it. */
const deposited: ReadonlySet<StateName> = new Set([
  'funded',
  'partially_released',
  'disputed',
  'released',
  'refunded',
  'partially_refunded',
]);

const DAY_SECONDS = 86_400;

/** The seconds that are left to pay, at least 0; null where nothing can be paid, or no more has to be. */
export function secondsLeft({ payment, name }: Snapshot, now: number): number | null {
  if (!payment || name === 'submitted' || name === 'mined') return null;
  if (!['awaiting_deposit', 'pending'].includes(payment.status)) return null;
  return Math.max(0, Math.ceil((Date.parse(payment.expires_at) - now) / 1_000));
}

/** `1:05:09`, or `5:09` within the last hour. */
function clock(seconds: number): string {
  const two = (value: number) => `${Math.floor(value) % 60}`.padStart(2, '0');
  const hours = Math.floor(seconds / 3_600);
  return hours > 0 ? `${hours}:${two(seconds / 60)}:${two(seconds)}` : `${Math.floor(seconds / 60)}:${two(seconds)}`;
}

/** The whole checkout. */
export function view(options: ViewOptions): TemplateResult {
  const { snapshot, words, now, notice, rpcUrl, returnUrl, act, choose, takeWay, handOver, copy } = options;
  const { tag, direction } = words;
  const label = words.say('label.checkout');
  if (!snapshot)
    return html`<section part="card" class="card" lang=${tag} dir=${direction} aria-label=${label} aria-busy="true"></section>`;
  const shown = screen(snapshot, words, { rpcUrl });
  return html`
    <section part="card" class="card" lang=${tag} dir=${direction} aria-label=${label} data-state=${snapshot.name}>
      ${header(snapshot, words, now)} ${progress(snapshot, words)}
      <div class="panel" data-tone=${shown.tone}>
        <div role="status" part="message" class="message">
          ${icon(shown.tone)}
          <div>
            <h2 part="title" data-focus tabindex="-1">${shown.title}</h2>
            <p part="text">${shown.text}</p>
          </div>
        </div>
        ${snapshot.name === 'ready' && snapshot.wallets.length > 0 ? walletList(snapshot, words, choose) : nothing}
        ${snapshot.name === 'ready' ? otherDevice(snapshot, words, handOver) : nothing}
        ${snapshot.name === 'short_of_token' ? missing(snapshot, words, copy) : nothing}
        ${snapshot.name === 'review' ? terms(snapshot, words) : nothing}
        ${snapshot.name === 'review' && snapshot.ways.length > 1 ? otherWays(snapshot, words, takeWay) : nothing}
        ${shown.actions.length > 0 ? buttons(shown, act) : nothing}
        ${snapshot.name === 'submitted' || snapshot.name === 'mined' ? lost(words, act) : nothing}
        ${deposited.has(snapshot.name) ? [afterwards(options, snapshot), receiptOf(options, snapshot)] : nothing}
        ${ended.has(snapshot.name) ? wayBack(returnUrl, shown, words) : nothing}
      </div>
      ${snapshot.stale ? html`<p class="stale" role="alert">${words.say('label.stale')}</p>` : nothing}
      ${transaction(snapshot, words)} ${account(snapshot, words, act)}
      <p role="status" class="hidden">${notice}</p>
      <footer part="footer">${shield} <span>${words.say('label.held')}</span></footer>
    </section>
  `;
}

/** What may be done with the money from here on; empty until the element has loaded it. */
function afterwards({ words, theme, source }: ViewOptions, { payment, transactionHash }: Snapshot) {
  if (!payment || payment.rail || !transactionHash) return nothing;
  return html`<dealkeep-deal .payment=${payment} .source=${source} .tag=${words.tag} .theme=${theme}></dealkeep-deal>`;
}

function receiptOf(options: ViewOptions, snapshot: Snapshot) {
  const { words } = options;
  const chainId = snapshot.payment?.network_id ?? 0;
  return options.receipt?.(snapshot, {
    ...options,
    chain: chainInfo(chainId).name,
    amount: (units) => amount(words, snapshot, units),
    link: (hash) => explorerLink(words, chainId, hash, true),
  });
}

function header(snapshot: Snapshot, words: Words, now: number): TemplateResult | typeof nothing {
  const { payment, name } = snapshot;
  // What was refused is not shown as if it were true.
  if (!payment || name === 'refused') return nothing;
  const until = words.moment(new Date(payment.expires_at));
  const leftSeconds = secondsLeft(snapshot, now);
  const counting =
    leftSeconds !== null && leftSeconds < DAY_SECONDS
      ? html`<span>${words.say('countdown.left')} <bdi role="timer" part="countdown">${clock(leftSeconds)}</bdi></span>`
      : nothing;
  return html`
    <header part="header">
      <p class="amount" part="amount">
        <span class="label">${words.say(leftSeconds === null ? 'label.amount' : 'label.to_pay')}</span> ${amount(words, snapshot)}
        ${leftSeconds === null ? nothing : estimate(payment, words)}
      </p>
      <p class="chip"><bdi>${chainInfo(payment.network_id ?? 0).name}</bdi></p>
      <p class="meta">
        <span>${words.say('label.order')} <bdi>${payment.external_id}</bdi></span>
        ${leftSeconds === null ? nothing : html`<span>${words.say('label.pay_before')} <time datetime=${payment.expires_at}>${until}</time></span>`}
        ${counting}
      </p>
    </header>
  `;
}

/** What the price is worth, and since when: the service's word, of which what is no amount is left out. */
function estimate({ fiat_estimate: about }: WidgetPayment, words: Words): TemplateResult | typeof nothing {
  const { currency = '', amount: decimal = '', as_of: asOf = '' } = about ?? {};
  if (!/^[A-Z]{3}\d{1,15}(\.\d{1,4})?$/.test(currency + decimal)) return nothing;
  return html`<span class="label" part="estimate">≈ <bdi>${words.fiat(decimal, currency)}</bdi> (<time datetime=${asOf}>${words.moment(new Date(asOf))}</time>)</span>`;
}

function progress(snapshot: Snapshot, words: Words): TemplateResult | typeof nothing {
  const stage = currentStage(snapshot);
  if (stage === undefined) return nothing;
  return html`
    <ol class="progress" aria-label=${words.say('label.progress')}>
      ${stages.map((key, index) => {
        const state = index < stage ? 'done' : index === stage ? 'current' : 'open';
        return html`<li data-is=${state} aria-current=${index === stage ? 'step' : nothing}><span>${words.say(key)}</span></li>`;
      })}
    </ol>
  `;
}

function currentStage({ name, step, steps, signed }: Snapshot): number | undefined {
  if (name === 'signing' || name === 'stopped') {
    if (step === null || step === 'connect' || step === 'switch' || step === 'check') return 0;
    return step === steps.at(-1) ? 2 : 1;
  }
  if (name === 'review') return signed === steps.length - 1 ? 2 : 1;
  return stageOf[name];
}

function walletList({ wallets }: Snapshot, words: Words, choose: (id: string) => void): TemplateResult {
  return html`
    <ul class="wallets">
      ${wallets.map(
        ({ id, name, icon: image }) => html`
          <li>
            <button part="button" class="wallet" @click=${() => choose(id)}>
              ${image ? html`<img src=${image} alt="" width="28" height="28" />` : html`<span class="blank" aria-hidden="true"></span>`}
              <span>${name || words.capital(words.say('wallet.unnamed'))}</span>${arrow}
            </button>
          </li>
        `,
      )}
    </ul>
  `;
}

function buttons({ actions, tone }: Screen, act: (action: Action) => void): TemplateResult {
  return html`
    <div class="actions">
      ${actions.map(
        ({ action, label }, index) => html`
          <button part="button" class=${index === 0 && action !== 'another' && tone !== 'busy' ? 'primary' : 'secondary'} data-action=${action} @click=${() => act(action)}>
            ${label}
          </button>
        `,
      )}
    </div>
  `;
}

/** What the wallet lacks, and where to send it. */
function missing(snapshot: Snapshot, words: Words, copy: ViewOptions['copy']): TemplateResult {
  const { account: address, payment, balanceUnits } = snapshot;
  const have = balanceUnits ?? 0n;
  const need = BigInt(payment?.price_units ?? 0);
  const lacking = amount(words, snapshot, need - have);
  const chain = chainInfo(payment?.network_id ?? 0).name;
  return html`
    <div class="box">
      <dl class="sum">
        <div><dt>${words.say('balance.need')}</dt><dd>${amount(words, snapshot)}</dd></div>
        <div><dt>${words.say('balance.have')}</dt><dd>${amount(words, snapshot, have)}</dd></div>
        <div><dt>${words.say('balance.missing')}</dt><dd><strong>${lacking}</strong></dd></div>
      </dl>
      <p>${words.say('balance.how', { missing: lacking, chain })}</p>
      <p class="line">
        <span>${words.say('balance.address')}<br /><code>${address}</code></span>
        <button part="button" class="link" data-action="copy" @click=${() => copy(address ?? '')}>${words.say('balance.copy')}</button>
      </p>
    </div>
  `;
}

function terms(snapshot: Snapshot, words: Words): TemplateResult {
  return html`
    <details part="details" open>
      <summary>${words.say('label.details')}</summary>
      <dl>
        ${agreement(snapshot, words).map(
          ([term, text]) => html`
            <div>
              <dt>${term}</dt>
              <dd>${text}</dd>
            </div>
          `,
        )}
      </dl>
    </details>
  `;
}

function otherDevice({ handoff }: Snapshot, words: Words, handOver: () => void): TemplateResult {
  const opened = (event: Event) => void ((event.target as HTMLDetailsElement).open && handOver());
  const code = () =>
    handoff === null || handoff === 'failed'
      ? html`<p role="status">${handoff === null ? '' : words.say('phone.failed')}</p>`
      : html`
          <svg class="qr" role="img" aria-label=${words.say('phone.qr')} viewBox="0 0 ${handoff.size} ${handoff.size}"><path d=${handoff.path} /></svg>
          <p>${words.say('phone.how')} <a href=${handoff.url} target="_blank" rel="noopener noreferrer">${words.say('phone.link')}</a></p>
        `;
  return html`<details @toggle=${opened}><summary>${words.say('phone.title')}</summary><div class="phone">${code()}</div></details>`;
}

function otherWays(snapshot: Snapshot, words: Words, takeWay: ViewOptions['takeWay']) {
  const { ways, route } = snapshot;
  return html`
    <details>
      <summary>${words.say('label.ways')}</summary>
      <fieldset class="ways">
        <legend class="hidden">${words.say('label.ways')}</legend>
        ${ways.map(({ route: name, feeUnits }) => {
          const { title, text } = wayInWords(name, feeUnits, snapshot, words);
          return html`
            <label>
              <input type="radio" name="way" value=${name} .checked=${name === route} @change=${() => takeWay(name)} />
              <span><strong>${title}</strong><span>${text}</span></span>
            </label>
          `;
        })}
      </fieldset>
    </details>
  `;
}

function lost(words: Words, act: (action: Action) => void): TemplateResult {
  return html`
    <details>
      <summary>${words.say('label.lost')}</summary>
      <button part="button" class="secondary" data-action="restart" @click=${() => act('restart')}>${words.say('action.restart')}</button>
    </details>
  `;
}

/** The link back to the shop, where the page names one. */
export function wayBack(returnUrl: string | null, { actions }: Screen, words: Words): TemplateResult | typeof nothing {
  if (!returnUrl || !/^https?:\/\//i.test(returnUrl)) return nothing;
  const kind = actions.length > 0 ? 'secondary' : 'primary';
  return html`<div class="actions"><a part="button" class=${kind} href=${returnUrl}>${words.say('action.back')}</a></div>`;
}

function transaction({ transactionHash, payment }: Snapshot, words: Words): TemplateResult | typeof nothing {
  if (!transactionHash || !payment) return nothing;
  return html`<p class="line"><span>${words.say('label.transaction')}</span>${explorerLink(words, payment.network_id ?? 0, transactionHash)}</p>`;
}

/** A transaction's or an account's hash, linked to the chain's block explorer where it has one. */
function explorerLink(words: Words, chainId: number, hash: string, isWhole = false): TemplateResult {
  const { explorerUrl } = chainInfo(chainId);
  const code = html`<code title=${hash}>${isWhole ? hash : shortHex(hash)}</code>`;
  if (!explorerUrl) return code;
  const kind = hash.length === 42 ? 'address' : 'tx';
  return html`<a href="${explorerUrl}/${kind}/${hash}" target="_blank" rel="noopener noreferrer"
    >${code}<span class="hidden"> ${words.say('receipt.explorer')}, ${words.say('label.new_tab')}</span></a
  >`;
}

function account(snapshot: Snapshot, words: Words, act: (action: Action) => void) {
  const { name, wallet, account: address, balanceUnits } = snapshot;
  if (!address || !wallet || !withWallet.has(name)) return nothing;
  const balance = balanceUnits === null || name !== 'review' ? '' : amount(words, snapshot, balanceUnits);
  return html`
    <p class="line">
      <span><bdi>${wallet.name || words.capital(words.say('wallet.unnamed'))}</bdi> <code title=${address}>${shortHex(address)}</code> <bdi class="balance">${balance}</bdi></span>
      ${
        name === 'review'
          ? html`<button part="button" class="link" data-action="another" @click=${() => act('another')}>${words.say('action.change_wallet')}</button>`
          : nothing
      }
    </p>
  `;
}

/** The mark of a tone. */
export function icon(tone: Screen['tone']): TemplateResult {
  if (tone === 'busy') return html`<span class="spinner" aria-hidden="true"></span>`;
  const path = {
    calm: svg`<path d="M4 7h13a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2h10" /><circle cx="15" cy="13" r="1" />`,
    ended: svg`<path d="M6 12h12" />`,
    good: svg`<path d="M5 12.5l4.5 4.5L19 7.5" />`,
    warn: svg`<path d="M12 7v6" /><path d="M12 17h.01" />`,
    bad: svg`<path d="M7 7l10 10M17 7L7 17" />`,
  }[tone];
  return html`<span class="icon" aria-hidden="true"><svg viewBox="0 0 24 24">${path}</svg></span>`;
}

const arrow = html`<svg class="arrow" viewBox="0 0 24 24" aria-hidden="true"><path d="M9 6l6 6-6 6" /></svg>`;
/** The mark beside who holds the money. */
export const shield = html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6z" /></svg>`;
