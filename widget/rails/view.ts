// Owns the markup of payments on rails: the way to the provider's page, and the details of a transfer. What it says is in screens.ts.
import { html, nothing, type TemplateResult } from 'lit';
import type { RailPayment } from '../payment.ts';
import type { Action } from '../screens.ts';
import type { Snapshot } from '../snapshot.ts';
import { icon, shield, type ViewOptions, wayBack } from '../view.ts';
import type { Words } from '../words.ts';
import type { RailKey } from './languages.ts';
import {
  excessOf,
  money,
  providerName,
  type RailScreen,
  railScreen,
  reasonOf,
  type TransferDetail,
  transferDetails,
} from './screens.ts';

const ended: ReadonlySet<Snapshot['name']> = new Set([
  'funded',
  'partially_released',
  'released',
  'refunded',
  'partially_refunded',
  'cancelled',
  'expired',
  'failed',
]);

/** The whole checkout of a payment on a rail. */
export function railView(
  { words, returnUrl, act, copied }: ViewOptions,
  snapshot: Snapshot,
  payment: RailPayment,
  texts: Words<RailKey>,
): TemplateResult {
  const shown = railScreen(snapshot, payment, texts);
  const reason = reasonOf(snapshot, payment, texts);
  const awaited = snapshot.name === 'transfer_due' || snapshot.name === 'underpaid';
  return html`
    <section part="card" class="card" lang=${words.tag} dir=${words.direction} aria-label=${words.say('label.checkout')} data-state=${snapshot.name}>
      ${header(snapshot, payment, words, texts)}
      <div class="panel" data-tone=${shown.tone}>
        <div role="status" part="message" class="message">
          ${icon(shown.tone)}
          <div>
            <h2 data-focus tabindex="-1">${shown.title}</h2>
            <p>${shown.text}</p>
            ${reason === null ? nothing : html`<p class="said"><bdi>${reason}</bdi></p>`}
          </div>
        </div>
        ${excessOf(payment, texts).map((text) => html`<p class="excess">${text}</p>`)}
        ${awaited ? details(snapshot, payment, texts, copied) : nothing} ${ways(shown, act)}
        ${ended.has(snapshot.name) ? wayBack(returnUrl, shown, words) : nothing}
      </div>
      ${snapshot.stale ? html`<p class="stale" role="alert">${words.say('label.stale')}</p>` : nothing}
      <footer>${shield} <span>${texts.say('label.held', { provider: providerName(payment) })}</span></footer>
    </section>
  `;
}

function header({ name }: Snapshot, payment: RailPayment, words: Words, texts: Words<RailKey>): TemplateResult {
  const isDue = ['preparing', 'card_due', 'at_provider', 'transfer_due', 'underpaid'].includes(name);
  const until = words.moment(new Date(payment.expires_at));
  return html`
    <header>
      <p class="amount">
        <span class="label">${words.say(isDue ? 'label.to_pay' : 'label.amount')}</span>
        ${money(texts, payment, payment.price_units)}
      </p>
      <p class="chip">${texts.say(`method.${payment.payment_method}`)}</p>
      <p class="meta">
        <span>${words.say('label.order')} <bdi>${payment.external_id}</bdi></span>
        ${isDue ? html`<span>${words.say('label.pay_before')} <time datetime=${payment.expires_at}>${until}</time></span>` : nothing}
      </p>
    </header>
  `;
}

function ways({ link, actions }: RailScreen, act: (action: Action) => void): TemplateResult | typeof nothing {
  if (!link && actions.length === 0) return nothing;
  return html`
    <div class="actions">
      ${
        link
          ? html`<a
              part="button"
              class=${link.isMain ? 'primary' : 'secondary'}
              href=${link.url}
              target=${link.isNewWindow ? '_blank' : '_top'}
              rel="noopener noreferrer"
              @click=${() => act('leave')}
              >${link.label}</a
            >`
          : nothing
      }
      ${actions.map(
        ({ action, label }) =>
          html`<button part="button" class="primary" data-action=${action} @click=${() => act(action)}>${label}</button>`,
      )}
    </div>
  `;
}

function details(
  snapshot: Snapshot,
  payment: RailPayment,
  texts: Words<RailKey>,
  copied: ViewOptions['copied'],
): TemplateResult {
  return html`
    <dl class="transfer" aria-label=${texts.say('transfer.details')}>
      ${transferDetails(payment, texts).map((detail) => row(detail, snapshot.copied === detail.key, copied, texts))}
    </dl>
    <p class="hidden" role="status">${snapshot.copied === null ? '' : texts.say('label.copied')}</p>
  `;
}

function row(
  { key, shown, copied: text }: TransferDetail,
  wasCopied: boolean,
  copied: ViewOptions['copied'],
  texts: Words<RailKey>,
): TemplateResult {
  const name = texts.say(key);
  const does = texts.say(wasCopied ? 'label.copied' : 'action.copy');
  return html`
    <div>
      <dt>${name}</dt>
      <dd><bdi>${shown}</bdi></dd>
      <dd>
        <button
          part="button"
          class="copy"
          aria-label=${`${does}: ${name}`}
          @click=${async (event: Event) => (await copy(event, text)) && copied(key)}
        >
          ${does}
        </button>
      </dd>
    </div>
  `;
}

/** Puts the text where the buyer can paste it from; false where a page may not: then it is selected, for the buyer to copy. */
async function copy({ currentTarget: button }: Event, text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const shown = button instanceof Element ? button.closest('div')?.querySelector('bdi') : null;
    if (shown) window.getSelection()?.selectAllChildren(shown);
    return false;
  }
}
