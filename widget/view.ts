// Owns the checkout's markup: a pure function of the snapshot. Words come from words.ts, what happens from states.ts.
import { html, nothing, svg, type TemplateResult } from 'lit';
import { chainInfo } from './chains.ts';
import type { RouteName } from './routes.ts';
import type { Snapshot } from './snapshot.ts';
import type { StateName } from './states.ts';
import { type Action, agreement, amount, labels, moment, type Screen, screen, shortHex, wayInWords } from './words.ts';

type ViewOptions = {
  /** Null: the element still lacks a property. */
  snapshot: Snapshot | null;
  rpcUrl: string | null;
  returnUrl: string | null;
  act: (action: Action) => void;
  choose: (walletId: string) => void;
  takeWay: (route: RouteName) => void;
  handOver: () => void;
};

/** The stage that a state belongs to, as index of `labels.stages`; one past the last: all done. */
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

/** The whole checkout. */
export function view({ snapshot, rpcUrl, returnUrl, act, choose, takeWay, handOver }: ViewOptions): TemplateResult {
  if (!snapshot)
    return html`<section part="card" class="card" aria-label=${labels.checkout} aria-busy="true"></section>`;
  const shown = screen(snapshot, { rpcUrl });
  const isBusy = shown.tone === 'busy';
  return html`
    <section part="card" class="card" aria-label=${labels.checkout} data-state=${snapshot.name}>
      ${header(snapshot)} ${progress(snapshot)}
      <div class="panel" data-tone=${shown.tone}>
        <div role="status" class="message" aria-busy=${isBusy}>
          ${icon(shown.tone)}
          <div>
            <h2 data-focus tabindex="-1">${shown.title}</h2>
            <p>${shown.text}</p>
          </div>
        </div>
        ${snapshot.name === 'ready' && snapshot.wallets.length > 0 ? walletList(snapshot, choose) : nothing}
        ${snapshot.name === 'ready' ? otherDevice(snapshot, handOver) : nothing}
        ${snapshot.name === 'review' ? terms(snapshot) : nothing}
        ${snapshot.name === 'review' && snapshot.ways.length > 1 ? otherWays(snapshot, rpcUrl, takeWay) : nothing}
        ${shown.actions.length > 0 ? buttons(shown, act) : nothing}
        ${snapshot.name === 'submitted' || snapshot.name === 'mined' ? lost(act) : nothing}
        ${ended.has(snapshot.name) ? wayBack(returnUrl, shown) : nothing}
      </div>
      ${snapshot.stale ? html`<p class="stale" role="alert">${labels.stale}</p>` : nothing}
      ${transaction(snapshot)} ${account(snapshot, act)}
      <footer>${shield} <span>${labels.held}</span></footer>
    </section>
  `;
}

function header({ name, ...snapshot }: Snapshot): TemplateResult | typeof nothing {
  const { payment } = snapshot;
  // What was refused is not shown as if it were true.
  if (!payment || name === 'refused') return nothing;
  const until = moment(new Date(payment.expires_at));
  const isPayable =
    name !== 'submitted' && name !== 'mined' && ['awaiting_deposit', 'pending'].includes(payment.status);
  return html`
    <header>
      <p class="amount">
        <span class="label">${isPayable ? labels.toPay : labels.amount}</span> ${amount({ name, ...snapshot })}
      </p>
      <p class="chip">${chainInfo(payment.network_id).name}</p>
      <p class="meta">
        <span>${labels.order} ${payment.external_id}</span>
        ${isPayable ? html`<span>${labels.payBefore} <time datetime=${payment.expires_at}>${until}</time></span>` : nothing}
      </p>
    </header>
  `;
}

function progress(snapshot: Snapshot): TemplateResult | typeof nothing {
  const stage = currentStage(snapshot);
  if (stage === undefined) return nothing;
  return html`
    <ol class="progress" aria-label=${labels.progress}>
      ${labels.stages.map((label, index) => {
        const state = index < stage ? 'done' : index === stage ? 'current' : 'open';
        return html`<li data-is=${state} aria-current=${index === stage ? 'step' : nothing}><span>${label}</span></li>`;
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

function walletList({ wallets }: Snapshot, choose: (id: string) => void): TemplateResult {
  return html`
    <ul class="wallets">
      ${wallets.map(
        ({ id, name, icon: image }) => html`
          <li>
            <button part="button" class="wallet" @click=${() => choose(id)}>
              ${image ? html`<img src=${image} alt="" width="28" height="28" />` : html`<span class="blank" aria-hidden="true"></span>`}
              <span>${name}</span>${arrow}
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

function terms(snapshot: Snapshot): TemplateResult {
  return html`
    <details>
      <summary>${labels.details}</summary>
      <dl>
        ${agreement(snapshot).map(
          ([term, words]) => html`
            <div>
              <dt>${term}</dt>
              <dd>${words}</dd>
            </div>
          `,
        )}
      </dl>
    </details>
  `;
}

function otherDevice({ handoff }: Snapshot, handOver: () => void): TemplateResult {
  const opened = (event: Event) => void ((event.target as HTMLDetailsElement).open && handOver());
  const code = () =>
    handoff === null || handoff === 'failed'
      ? html`<p role="status">${handoff === null ? '' : labels.phoneFailed}</p>`
      : html`
          <svg class="qr" role="img" aria-label=${labels.qr} viewBox="0 0 ${handoff.size} ${handoff.size}"><path d=${handoff.path} /></svg>
          <p>${labels.phoneHow} <a href=${handoff.url} target="_blank" rel="noopener noreferrer">${labels.phoneLink}</a></p>
        `;
  return html`<details @toggle=${opened}><summary>${labels.phone}</summary><div class="phone">${code()}</div></details>`;
}

function otherWays({ ways, route, ...snapshot }: Snapshot, rpcUrl: string | null, takeWay: ViewOptions['takeWay']) {
  return html`
    <details>
      <summary>${labels.ways}</summary>
      <fieldset class="ways">
        <legend class="hidden">${labels.ways}</legend>
        ${ways.map(({ route: name, feeUnits }) => {
          const { title, text } = wayInWords(name, feeUnits, { ...snapshot, ways, route }, { rpcUrl });
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

function lost(act: (action: Action) => void): TemplateResult {
  return html`
    <details>
      <summary>${labels.lost}</summary>
      <button part="button" class="secondary" data-action="restart" @click=${() => act('restart')}>${labels.restart}</button>
    </details>
  `;
}

function wayBack(returnUrl: string | null, { actions }: Screen): TemplateResult | typeof nothing {
  if (!returnUrl || !/^https?:\/\//i.test(returnUrl)) return nothing;
  const kind = actions.length > 0 ? 'secondary' : 'primary';
  return html`<div class="actions"><a part="button" class=${kind} href=${returnUrl}>${labels.back}</a></div>`;
}

function transaction({ transactionHash, payment }: Snapshot): TemplateResult | typeof nothing {
  if (!transactionHash || !payment) return nothing;
  const { explorerUrl } = chainInfo(payment.network_id);
  const short = html`<code title=${transactionHash}>${shortHex(transactionHash)}</code>`;
  const link = html`<a href="${explorerUrl}/tx/${transactionHash}" target="_blank" rel="noopener noreferrer">${short}</a>`;
  return html`<p class="line"><span>${labels.transaction}</span>${explorerUrl ? link : short}</p>`;
}

function account({ name, wallet, account: address }: Snapshot, act: (action: Action) => void) {
  if (!address || !wallet || !withWallet.has(name)) return nothing;
  return html`
    <p class="line">
      <span>${wallet.name} <code title=${address}>${shortHex(address)}</code></span>
      ${
        name === 'review'
          ? html`<button part="button" class="link" data-action="another" @click=${() => act('another')}>${labels.changeWallet}</button>`
          : nothing
      }
    </p>
  `;
}

function icon(tone: Screen['tone']): TemplateResult {
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
const shield = html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6z" /></svg>`;
