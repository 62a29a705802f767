/**
 * Owns the receipt of a deposit: what was paid, to whom, and what proves it without us: the transaction, the contract and the
 * deal's number on chain. Printed alone, in a document of its own. Loaded with the first deposit; what it shares with the view it
 * is given, so that the way to that deposit gets no longer.
 */
import { html, nothing, type TemplateResult } from 'lit';
import { linkTo } from './escape/link.ts';
import type { Snapshot } from './snapshot.ts';
import type { Words } from './words.ts';

/** What the view brings: its words for an amount (base units; without: the price), and its link to the block explorer. */
export type ReceiptOptions = {
  words: Words;
  print: (event: Event) => void;
  /** Where the page is that needs no servers of ours. */
  escapeUrl: string;
  chain: string;
  amount: (units?: bigint) => string;
  link: (hash: string) => TemplateResult;
};

/** The receipt, folded away until somebody wants it. */
export function receipt(
  { payment, transactionHash }: Snapshot,
  { words, print, escapeUrl, chain, amount, link }: ReceiptOptions,
): TemplateResult | typeof nothing {
  if (!payment || payment.rail || !transactionHash) return nothing;
  const { network_id: chainId } = payment;
  const row = (term: string, text: unknown) => html`<div><dt>${term}</dt><dd>${text}</dd></div>`;
  const several = payment.legs.length > 1;
  const escapeLink = linkTo(escapeUrl, { chainId, diamond: payment.diamond_address }, transactionHash);
  return html`
    <details part="receipt" class="receipt">
      <summary>${words.say('receipt.title')}</summary>
      <dl>
        ${row(words.say('label.order'), html`<bdi>${payment.external_id}</bdi>`)}
        ${row(words.say('label.amount'), amount())}
        ${payment.legs.map((leg) =>
          row(
            words.say('agreement.seller'),
            html`${link(leg.payment_address)}${several ? html` ${amount(BigInt(leg.price_units))}` : nothing}`,
          ),
        )}
        ${row(words.say('receipt.network'), html`<bdi>${chain}</bdi>`)}
        ${row(words.say('agreement.contract'), link(payment.diamond_address))}
        ${row(words.say('label.transaction'), link(transactionHash))}
        ${payment.deal_hash ? row(words.say('receipt.deal'), html`<code>${payment.deal_hash}</code>`) : nothing}
      </dl>
      <p>${words.say('receipt.proof', { chain })}</p>
      <p><a href=${escapeLink} target="_blank" rel="noopener noreferrer">${words.say('receipt.escape')}</a></p>
      <button part="button" class="secondary" data-action="print" @click=${print}>${words.say('receipt.print')}</button>
    </details>
  `;
}
