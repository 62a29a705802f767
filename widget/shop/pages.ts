// Owns the shop's pages as HTML. No inline script, no inline style: the pages live under a strict content policy.
import { html } from 'hono/html';
import type { Payment } from './platform.ts';
import { FIAT, type Product, products } from './products.ts';
import type { ShopSettings } from './settings.ts';

const drawing = (sku: string) => `/drawings/${sku}.svg`;

function layout(settings: ShopSettings, title: string, main: unknown) {
  const { testWallet } = settings;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <link rel="stylesheet" href="/shop.css" />
        <link rel="icon" href="/drawings/lamp.svg" />
        ${
          testWallet === null
            ? ''
            : html`<script type="module" src="/test-wallet.js" data-account="${testWallet.account}"></script>`
        }
      </head>
      <body>
        ${
          testWallet === null
            ? ''
            : html`<aside class="local" aria-label="Local mode">
                <strong>Local mode.</strong> This page brings a test wallet with play money. Real shops never do.
              </aside>`
        }
        <header class="top"><a href="/">Ash &amp; Lathe</a><span>a demo shop</span></header>
        <main>${main}</main>
      </body>
    </html>`;
}

/** The products. */
export function shopPage(settings: ShopSettings) {
  const card = ({ sku, name, text, price, currency }: Product) => html`
    <li>
      <img src="${drawing(sku)}" alt="" width="240" height="160" />
      <h2>${name}</h2>
      <p>${text}</p>
      <form method="post" action="/orders">
        <input type="hidden" name="sku" value="${sku}" />
        <strong>${price.toFixed(2)} ${currency}</strong>
        <button>Buy<span class="hidden"> ${name}</span></button>
        <strong>${price.toFixed(2)} ${FIAT}</strong>
        <span class="buttons">
          <button class="quiet" name="method" value="credit_card">Card<span class="hidden">: ${name}</span></button>
          <button class="quiet" name="method" value="bank_transfer">
            Transfer<span class="hidden">: ${name}</span>
          </button>
        </span>
      </form>
    </li>
  `;
  const main = html`
    <h1>Things made slowly</h1>
    <p class="lead">The maker is paid when your order is accepted; until then the money waits: in escrow on chain, or with the
      provider of cards and transfers.</p>
    <ul class="products">${products.map(card)}</ul>
    <p><a href="/playground">How the checkout looks in each state, and in your colours</a></p>
  `;
  return layout(settings, 'Ash & Lathe', main);
}

/** The checkout in any state, to be looked at and painted; what is on it comes with the widget. */
export function playgroundPage({ apiUrl }: ShopSettings) {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Playground · Dealkeep checkout</title>
        <link rel="stylesheet" href="/playground.css" />
        <link rel="icon" href="/drawings/lamp.svg" />
        <script src="${apiUrl}/widget/v1/playground.js" defer></script>
      </head>
      <body>
        <header>
          <h1>The checkout’s playground</h1>
          <p>Any state, in your colours. Nothing is paid here: the payment is made up, and so is the wallet that shows after it.</p>
        </header>
        <main id="playground"></main>
      </body>
    </html>`;
}

/** An order: what was bought, the checkout, what happened to the payment, and what the shop can do. */
export function orderPage(
  settings: ShopSettings,
  { payment, product, returnUrl }: { payment: Payment; product: Product; returnUrl: string },
) {
  const { apiUrl, expected, payee, testWallet, sandboxUrl } = settings;
  const onRail = payment.payment_method !== 'web3';
  const trusted = {
    ...(onRail
      ? { currency: FIAT }
      : { chainId: expected.chainId, diamond: expected.diamond, token: expected.tokens[product.currency], payee }),
    amountUnits: payment.paid_price_units,
  };
  const main = html`
    <h1>Your order</h1>
    <div class="order">
      <section class="checkout">
        <dealkeep-checkout
          id="checkout"
          api="${apiUrl}"
          payment-id="${payment.id}"
          return-url="${returnUrl}"
          data-expected="${JSON.stringify(trusted)}"
          ${testWallet === null ? '' : html`rpc-url="${testWallet.rpcUrl}"`}
        ></dealkeep-checkout>
      </section>
      <section class="bought">
        <img src="${drawing(product.sku)}" alt="" width="240" height="160" />
        <div>
          <h2>${product.name}</h2>
          <p>${product.text}</p>
        </div>
      </section>
      <section class="desk">
        <h2>The shop’s desk</h2>
        <p>What an operator can do through the API, and what the payment’s log says.</p>
        <div class="buttons">
          <button data-verb="release">Release to the seller</button>
          <button data-verb="cancel" class="quiet">Cancel and refund</button>
          ${
            payment.payment_method === 'bank_transfer'
              ? html`<button data-verb="refund-excess" class="quiet">Refund what is too much</button>`
              : ''
          }
        </div>
        ${
          sandboxUrl !== null && payment.payment_method === 'bank_transfer'
            ? html`<p>
                <a href="${sandboxUrl}/bank" target="_blank">A payer’s bank</a> sends the transfer; it clears overnight.
                <button data-verb="day" class="quiet">Let a day pass</button>
              </p>`
            : ''
        }
        <p id="answer" role="status"></p>
        <h3>Timeline</h3>
        <ol id="timeline"></ol>
      </section>
    </div>
    <script type="module" src="${apiUrl}/widget/v1/dealkeep.js"></script>
    <script type="module" src="/order-page.js"></script>
  `;
  return layout(settings, `${product.name} · Ash & Lathe`, main);
}
