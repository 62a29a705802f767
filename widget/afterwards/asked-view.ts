// Owns the markup of what one side asks of the other: a refund that is asked for, and a split that is signed.
import { html, nothing, type TemplateResult } from 'lit';
import type { Leg, RefundRequest } from '../payment.ts';
import type { DealNow } from './calls.ts';
import type { Desk } from './desk.ts';
import { rolesOf } from './options.ts';
import { isCurrent, type Party, type Proposal } from './proposal.ts';
import { heldOf, type Refunds } from './refunds.ts';
import { amountOf, type Speaker, timeOf } from './speech.ts';

/** A leg, to whom it is shown, and how its amounts are written. */
export type AskedOptions = {
  leg: Leg;
  /** Whose page it is. */
  as: Party;
  refunds: Refunds;
  words: Speaker;
  money: { symbol: string; decimals: number };
};

/** The refund that the buyer asks for, or may ask for. */
export function refundView(options: AskedOptions): TemplateResult | typeof nothing {
  const { leg, as, refunds, words } = options;
  const request = refunds.of(leg);
  const asking = refunds.asking?.leg === leg.leg ? refunds.asking : null;
  const mayAsk = as === 'payer' && ['funded', 'partially_released'].includes(leg.status) && request?.status !== 'open';
  if (!request && !asking && !mayAsk) return nothing;
  return html`
    <section class="asked" data-request=${request?.status ?? 'none'} aria-label=${words.say('request.title')}>
      <div role="status">${request ? said(request, options) : nothing}</div>
      ${asking ? askingView(options) : requestButtons(options, request, mayAsk)}
    </section>
  `;
}

function said(request: RefundRequest, { as, words, money }: AskedOptions): TemplateResult {
  const amount = amountOf(words, money, BigInt(request.amount_units));
  const time = words.moment(new Date(request.created_at));
  const key = request.status === 'open' ? (`request.open.${as}` as const) : (`request.${request.status}` as const);
  if (key === 'request.withdrawn') return html``;
  return html`
    <p data-said tabindex="-1">${words.say(key, { amount, time })}</p>
    ${request.reason ? html`<p>${words.say('request.reason.said', { reason: request.reason })}</p>` : nothing}
    ${request.decline_reason ? html`<p>${words.say('request.answer', { reason: request.decline_reason })}</p>` : nothing}
  `;
}

function requestButtons({ leg, as, refunds, words }: AskedOptions, request: RefundRequest | null, mayAsk: boolean) {
  const withdraw =
    as === 'payer' && request?.status === 'open'
      ? html`<button part="button" class="secondary" data-do="withdraw-request" @click=${() => refunds.withdraw(leg, request)}>${words.say('request.withdraw')}</button>`
      : nothing;
  const ask = mayAsk
    ? html`<button part="button" class="secondary" data-do="ask-refund" @click=${() => refunds.begin(leg)}>${words.say('request.ask')}</button>`
    : nothing;
  return withdraw === nothing && ask === nothing ? nothing : html`<div class="actions">${withdraw} ${ask}</div>`;
}

function askingView({ leg, refunds, words, money }: AskedOptions): TemplateResult {
  const { stage, fault, problem } = refunds.asking ?? {};
  const most = amountOf(words, money, heldOf(leg));
  const values = { most, example: words.decimal(1_050_000n, 6), token: money.symbol, decimals: money.decimals };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(form.get(name) ?? '');
    void refunds.send(leg, money.decimals, { amount: text('amount'), reason: text('reason') });
  };
  const [amountId, faultId, reasonId] = ['amount', 'fault', 'reason'].map((name) => `refund-${name}-${leg.leg}`);
  return html`
    <form class="deed" data-stage=${stage} novalidate aria-busy=${stage === 'sending'} @submit=${submit}>
      <h4 data-asking tabindex="-1">${words.say('request.ask')}</h4>
      <p>${words.say('request.will')}</p>
      <label for=${amountId}>${words.say('request.amount', values)}</label>
      <input id=${amountId} name="amount" inputmode="decimal" autocomplete="off" dir="ltr"
        aria-invalid=${fault ? 'true' : 'false'} aria-describedby=${fault ? faultId : nothing} />
      ${fault ? html`<p id=${faultId} class="warning" role="alert">${words.say(`amount.${fault}`, values)}</p>` : nothing}
      <label for=${reasonId}>${words.say('request.reason')}</label>
      <textarea class="prose" id=${reasonId} name="reason" rows="3" maxlength="1000"></textarea>
      <div role="status">
        ${stage === 'sending' ? html`<p>${words.say('request.sending')}</p>` : nothing}
        ${problem ? html`<p class="warning">${words.say(`request.failed.${problem}`)}</p>` : nothing}
      </div>
      <div class="actions">
        <button part="button" class="primary" data-do="send-request" ?disabled=${stage === 'sending'}>${words.say('request.send')}</button>
        <button part="button" class="secondary" type="button" data-do="leave-request" @click=${() => refunds.cancel()}>${words.say('will.back')}</button>
      </div>
    </form>
  `;
}

/** The splits of a deal that a party has signed and that still hold. */
export function proposalsView(
  proposals: readonly Proposal[],
  { deal, desk, words }: { deal: DealNow; desk: Desk; words: Speaker },
): TemplateResult | typeof nothing {
  const current = proposals.filter((proposal) => isCurrent(proposal, deal, desk.now));
  const roles = rolesOf(deal.terms, desk.account);
  if (current.length === 0) return nothing;
  return html`${current.map((proposal) => {
    const { signedBy, toPayee, toPayer, deadline } = proposal;
    const values = {
      toPayee: amountOf(words, deal.token, toPayee),
      toPayer: amountOf(words, deal.token, toPayer),
      time: timeOf(words, deadline),
    };
    const isOwn = roles.includes(signedBy);
    const mayAccept = !isOwn && roles.includes(signedBy === 'payer' ? 'payee' : 'payer') && desk.deed === null;
    return html`
      <section class="asked" data-proposal=${signedBy} aria-label=${words.say('proposal.name')}>
        <p>${words.say(isOwn ? 'proposal.own' : `proposal.${signedBy}`, values)}</p>
        ${
          mayAccept
            ? html`<div class="actions">
                <button part="button" class="primary" data-verb="accept" @click=${() => desk.begin({ kind: 'accept', deal, proposal })}>
                  ${words.say('accept.name')}
                </button>
              </div>`
            : nothing
        }
      </section>
    `;
  })}`;
}
