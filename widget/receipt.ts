/**
 * Owns the receipt of a deposit: what was paid, to whom, and what proves it without us: the transaction, the contract and the
 * deal's number on chain. Printed alone, in a document of its own.
 */
import { html, nothing, type TemplateResult } from 'lit';
import { chainInfo } from './chains.ts';
import { linkTo } from './escape/link.ts';
import { amount } from './screens.ts';
import type { Snapshot } from './snapshot.ts';
import type { StateName } from './states.ts';
import { shortHex, type Words } from './words.ts';

/** Something was deposited, whatever became of it. */
export const deposited: ReadonlySet<StateName> = new Set([
  'funded',
  'partially_released',
  'disputed',
  'released',
  'refunded',
  'partially_refunded',
]);

/** A transaction's or an account's hash, linked to the chain's block explorer where it has one. */
export function explorerLink(words: Words, chainId: number, hash: string, isWhole = false): TemplateResult {
  const { explorerUrl } = chainInfo(chainId);
  const code = html`<code title=${hash}>${isWhole ? hash : shortHex(hash)}</code>`;
  if (!explorerUrl) return code;
  const kind = hash.length === 42 ? 'address' : 'tx';
  return html`<a href="${explorerUrl}/${kind}/${hash}" target="_blank" rel="noopener noreferrer"
    >${code}<span class="hidden"> ${words.say('receipt.explorer')}, ${words.say('label.new_tab')}</span></a
  >`;
}

/** The receipt, folded away until somebody wants it; `escapeUrl` leads to the page that needs no servers of ours. */
export function receipt(
  snapshot: Snapshot,
  words: Words,
  { print, escapeUrl }: { print: (event: Event) => void; escapeUrl: string },
): TemplateResult | typeof nothing {
  const { payment, name, transactionHash } = snapshot;
  if (!payment || payment.rail || !transactionHash || !deposited.has(name)) return nothing;
  const { network_id: chainId } = payment;
  const chain = chainInfo(chainId).name;
  const row = (term: string, text: unknown) => html`<div><dt>${term}</dt><dd>${text}</dd></div>`;
  const link = (hash: string) => explorerLink(words, chainId, hash, true);
  const several = payment.legs.length > 1;
  const escapeLink = linkTo(escapeUrl, { chainId, diamond: payment.diamond_address }, transactionHash);
  return html`
    <details part="receipt" class="receipt">
      <summary>${words.say('receipt.title')}</summary>
      <dl>
        ${row(words.say('label.order'), html`<bdi>${payment.external_id}</bdi>`)}
        ${row(words.say('label.amount'), amount(words, snapshot))}
        ${payment.legs.map((leg) =>
          row(
            words.say('agreement.seller'),
            html`${link(leg.payment_address)}${several ? html` ${amount(words, snapshot, BigInt(leg.price_units))}` : nothing}`,
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
