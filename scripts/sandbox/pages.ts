// The sandbox's pages: where a payer types a card, and where a payer's bank is played. Plain forms that work without script; what is
// shown is escaped, and a typed card is never shown again.
import { html } from 'hono/html';
import { ACCOUNT, BATCH_HOUR, type Charge, type Transfer } from './charges.ts';

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}
label{display:block;margin:.75rem 0}input{display:block;width:100%;box-sizing:border-box;font:inherit;padding:.5rem;border:1px solid #767676;border-radius:4px}
button{font:inherit;padding:.6rem 1rem;border:0;border-radius:4px;background:#1a4fb4;color:#fff;margin:.25rem .25rem .25rem 0}
.error{color:#a40000}dt{font-weight:600}dd{margin:0 0 .5rem}input[type=checkbox]{display:inline;width:auto}`;

type Html = ReturnType<typeof html>;

function frame(title: string, body: Html): Html {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${STYLE}</style></head>
<body><main><h1>${title}</h1>${body}<p><small>A sandbox: no money moves here.</small></p></main></body></html>`;
}

/** An amount with its currency, as people write it. */
function amountOf({ amount, decimals, currency }: Pick<Charge, 'amount' | 'decimals' | 'currency'>): string {
  if (decimals === 0) return `${amount} ${currency}`;
  const digits = amount.padStart(decimals + 1, '0');
  return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)} ${currency}`;
}

const OUTCOME: Readonly<Partial<Record<Charge['state'], string>>> = {
  authorized: 'Paid. The shop knows already; you can close this page.',
  captured: 'Paid. The shop knows already; you can close this page.',
  held: 'The payment is being reviewed. The shop knows already; you can close this page.',
  declined: 'The card was declined. Go back to the shop to try another one.',
  voided: 'This payment was cancelled.',
};

/** The page of one card charge. */
export function cardPage(charge: Charge, error?: string): Html {
  const outcome = OUTCOME[charge.state];
  if (outcome) {
    return frame(
      'Card payment',
      html`<p role="status">${outcome}</p>${reviewForm(charge)}${wayBack(charge, 'Back to the shop')}`,
    );
  }
  return frame(
    `Pay ${amountOf(charge)}`,
    html`<p>For ${charge.description}</p>
${error === undefined ? '' : html`<p class="error" role="alert">${error}</p>`}
<form method="post" autocomplete="off">
<label>Card number <input name="number" inputmode="numeric" required maxlength="24"></label>
<label>Expiry (MM/YY) <input name="expiry" required maxlength="7" placeholder="12/30"></label>
<label>Security code <input name="cvc" inputmode="numeric" required maxlength="4"></label>
<button>Pay ${amountOf(charge)}</button>
</form>
<p>Test cards: 4111 1111 1111 1111 succeeds, 4012 8888 8888 1881 and 5105 1051 0510 5100 are declined,
5555 5555 5555 4444 is held for review.</p>
${wayBack(charge, 'Go back without paying')}`,
  );
}

function wayBack({ returnUrl }: Charge, words: string): Html | '' {
  return returnUrl === null ? '' : html`<p><a href="${returnUrl}">${words}</a></p>`;
}

function reviewForm(charge: Charge): Html | '' {
  if (charge.state !== 'held') return '';
  return html`<form method="post" action="${charge.pageKey}/review">
<button name="approved" value="true">Approve, as the reviewer</button><button name="approved" value="false">Decline</button></form>`;
}

/** The bank that payers send transfers from. */
export function bankPage(
  state: { charges: readonly Charge[]; transfers: readonly Transfer[]; now: Date },
  message?: { text: string; isError: boolean },
): Html {
  const open = state.charges.filter(({ method }) => method === 'bank_transfer');
  return frame(
    "A payer's bank",
    html`<p>To ${ACCOUNT.holder}, ${ACCOUNT.iban}. Transfers clear at ${BATCH_HOUR}:00 UTC; it is ${state.now.toISOString()}.</p>
${message === undefined ? '' : html`<p class="${message.isError ? 'error' : ''}" role="status">${message.text}</p>`}
<form method="post">
<label>Reference <input name="remittance" required maxlength="40"></label>
<label>Amount in minor units (cents) <input name="amount" inputmode="numeric" required maxlength="20"></label>
<label><input type="checkbox" name="bounces" value="true"> It bounces</label>
<button>Send</button></form>
<h2>Awaited</h2><dl>${open.map((charge) => html`<dt>${charge.remittance}</dt><dd>${amountOf(charge)}, ${charge.state}, ${charge.received} arrived</dd>`)}</dl>
<h2>On their way</h2><dl>${state.transfers.map(({ amount, clearsAt }) => html`<dt>${amount}</dt><dd>clears ${clearsAt}</dd>`)}</dl>`,
  );
}
