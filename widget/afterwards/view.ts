// Owns the markup of a deal and of what is done with it, for the checkout and for the page without servers alike. Words come from
// speech.ts, what happens from desk.ts.
import { html, nothing, type TemplateResult } from 'lit';
import type { Address } from 'viem';
import type { DealNow } from './calls.ts';
import type { Deed, Desk, Wish } from './desk.ts';
import { isOpen, optionsOf, rolesOf, type Verb } from './options.ts';
import { writeProposal } from './proposal.ts';
import {
  amountWords,
  askingOf,
  factsOf,
  movementsOf,
  nameOf,
  possibilities,
  type Speaker,
  standingOf,
  stopOf,
  willOf,
  youOf,
} from './speech.ts';

/** A deal, and to whom it is shown. */
export type DealViewOptions = {
  deal: DealNow;
  desk: Desk;
  words: Speaker;
  /** Whose buttons are shown; null: nobody's yet. */
  account: Address | null;
  /** Whether the contract may be let take money; left out: it may. */
  mayApprove?: boolean;
  /** What stands below the buttons. */
  asked?: TemplateResult | typeof nothing;
};

/** How the deal stands, and what this account can do with it now. */
export function dealView(options: DealViewOptions): TemplateResult {
  const { deal, desk, words, account } = options;
  return html`
    <p class="standing">${standingOf(words, deal)} ${account ? youOf(words, deal, account) : nothing}</p>
    ${isAbout(desk.deed, deal) ? deedView(desk, words) : buttons(options)} ${options.asked ?? nothing}
    <details>
      <summary>${words.say('others.title')}</summary>
      ${possibilities(words, deal, desk.now).map(
        ({ name, who }) =>
          html`<div class="possible"><strong>${name}</strong>${who.map((line) => html`<span>${line}</span>`)}</div>`,
      )}
      <dl>
        ${factsOf(words, deal).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
      </dl>
    </details>
  `;
}

/** What is done at the moment, from the question for an amount to the end. */
export function deedView(desk: Desk, words: Speaker): TemplateResult {
  const { deed } = desk;
  if (!deed) return html``;
  const isBusy = ['checking', 'signing', 'mining'].includes(deed.stage);
  return html`
    <section class="deed" data-stage=${deed.stage}>
      <h4 data-deed tabindex="-1">${nameOf(words, deed)}</h4>
      <div role="status" aria-busy=${isBusy}>${stageText(desk, deed, words)}</div>
      ${stageBody(desk, deed, words)}
    </section>
  `;
}

function isAbout(deed: Deed | null, { id }: DealNow): boolean {
  return deed !== null && deed.wish.kind !== 'withdraw' && deed.wish.deal.id === id;
}

function buttons({ deal, desk, words, account, mayApprove = true }: DealViewOptions): TemplateResult {
  const roles = rolesOf(deal.terms, account);
  const open = optionsOf(deal).filter((option) => isOpen(option, desk.now) && roles.includes(option.by));
  const verbs = [...new Set(open.map(({ verb }) => verb))].filter((verb) => mayApprove || verb !== 'returnPayment');
  if (verbs.length === 0) return html`<p>${words.say('can.nothing')}</p>`;
  return html`
    <div class="actions" role="group" aria-label=${words.say('can.title')}>
      ${verbs.map(
        (verb, index) => html`
          <button part="button" class=${index === 0 ? 'primary' : 'secondary'} data-verb=${verb} @click=${() => desk.begin(wishFor(deal, verb))}>
            ${words.say(`${verb}.name`)}
          </button>
        `,
      )}
    </div>
  `;
}

function wishFor(deal: DealNow, verb: Verb): Wish {
  return verb === 'settle' ? { kind: 'propose', deal, units: null } : { kind: 'verb', deal, verb, units: null };
}

function stageText(desk: Desk, deed: Deed, words: Speaker): TemplateResult | typeof nothing {
  const wallet = desk.wallet?.name ?? '';
  const chain = desk.chain.name;
  const line = (text: string) => html`<p>${text}</p>`;
  switch (deed.stage) {
    case 'asking':
      return nothing;
    case 'connect':
      if (desk.isConnecting) return line(words.say('stage.connecting', { wallet }));
      return line(words.say(desk.wallets.length > 0 ? 'stage.connect.text' : 'stage.no_wallet'));
    case 'wrong_chain':
      return line(words.say('stage.wrong_chain', { wallet, chain }));
    case 'checking':
    case 'mining':
      return line(words.say(`stage.${deed.stage}`, { chain }));
    case 'signing':
      return line(words.say('stage.signing', { wallet }));
    case 'review':
      return html`
        <p>${willOf(words, deed)}</p>
        ${moves(deed, words)}
        <p>${askingOf(words, deed, wallet)}</p>
        ${deed.isCrowded ? html`<p class="warning">${words.say('will.crowded')}</p>` : nothing}
      `;
    case 'done':
      return line(words.say(deed.proposal ? 'stage.proposed' : 'stage.done'));
    case 'stopped':
      return html`<p class="warning">${stopOf(words, desk)}</p>`;
  }
}

function moves(deed: Deed, words: Speaker): TemplateResult | typeof nothing {
  if (!deed.movement) return nothing;
  return html`
    <dl class="moves" aria-label=${words.say('will.title')}>
      ${movementsOf(words, deed).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
    </dl>
  `;
}

function stageBody(desk: Desk, deed: Deed, words: Speaker): TemplateResult | typeof nothing {
  const button = (kind: string, name: string, label: string, act: () => unknown) => html`
    <button part="button" class=${kind} data-do=${name} @click=${act}>${label}</button>
  `;
  const back = button('secondary', 'back', words.say('will.back'), () => desk.cancel());
  const wallet = desk.wallet?.name ?? '';
  switch (deed.stage) {
    case 'asking':
      return amountForm(desk, deed, words, back);
    case 'connect':
      return html`<div class="actions">${desk.isConnecting ? nothing : wallets(desk)} ${back}</div>`;
    case 'wrong_chain': {
      const label = words.say('stage.switch', { chain: desk.chain.name });
      return html`<div class="actions">${button('primary', 'switch', label, () => desk.switchChain())} ${another(desk, words)} ${back}</div>`;
    }
    case 'review': {
      const label = words.say(deed.steps.includes('sign') ? 'will.sign' : 'will.go', { wallet });
      const again = words.say('stage.again');
      return html`<div class="actions">
        ${deed.isCrowded ? button('secondary', 'again', again, () => desk.again()) : button('primary', 'go', label, () => desk.sign())}
        ${another(desk, words)} ${back}
      </div>`;
    }
    case 'checking':
    case 'signing':
      return html`<div class="actions">${back}</div>`;
    case 'mining':
      return transaction(desk, deed, words);
    case 'done':
      return html`${transaction(desk, deed, words)} ${deed.proposal ? handOn(desk, deed, words) : nothing}
        <div class="actions">${button('secondary', 'close', words.say('stage.close'), () => desk.cancel())}</div>`;
    case 'stopped':
      return html`${transaction(desk, deed, words)} ${deed.proposal ? handOn(desk, deed, words) : nothing}
        <div class="actions">${button('primary', 'again', words.say('stage.again'), () => desk.again())} ${another(desk, words)} ${back}</div>`;
  }
}

function amountForm(desk: Desk, deed: Deed, words: Speaker, back: TemplateResult): TemplateResult {
  const asked = amountWords(words, deed);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const field = (event.currentTarget as HTMLFormElement).elements.namedItem('amount');
    if (field instanceof HTMLInputElement) void desk.take(field.value);
  };
  return html`
    <form class="amount-form" novalidate @submit=${submit}>
      <label for="deed-amount">${asked?.label}</label>
      <input id="deed-amount" name="amount" inputmode="decimal" autocomplete="off" dir="ltr"
        aria-invalid=${asked?.fault ? 'true' : 'false'} aria-describedby=${asked?.fault ? 'deed-fault' : nothing} />
      ${asked?.fault ? html`<p id="deed-fault" class="warning" role="alert">${asked.fault}</p>` : nothing}
      <div class="actions"><button part="button" class="primary" data-do="take">${words.say('amount.next')}</button> ${back}</div>
    </form>
  `;
}

/** The wallets to choose from. */
export function wallets(desk: Desk): TemplateResult {
  return html`
    <ul class="wallets">
      ${desk.wallets.map(
        ({ id, name, icon }) => html`
          <li>
            <button part="button" class="wallet" @click=${() => desk.connect(id)}>
              ${icon ? html`<img src=${icon} alt="" width="28" height="28" />` : html`<span class="blank" aria-hidden="true"></span>`}
              <span>${name}</span>
            </button>
          </li>
        `,
      )}
    </ul>
  `;
}

function another(desk: Desk, words: Speaker): TemplateResult {
  return html`
    <button part="button" class="secondary" data-do="another" @click=${() => desk.leave()}>${words.say('wallet.another')}</button>
  `;
}

function transaction(desk: Desk, { hash }: Deed, words: Speaker): TemplateResult | typeof nothing {
  if (!hash) return nothing;
  const { explorerUrl } = desk.chain;
  const code = html`<code>${hash}</code>`;
  const link = html`<a href="${explorerUrl}/tx/${hash}" target="_blank" rel="noopener noreferrer">${code}</a>`;
  return html`<p class="line"><span>${words.say('stage.transaction')}</span> ${explorerUrl ? link : code}</p>`;
}

/** The signed text, where nobody keeps it for the other side. */
function handOn(desk: Desk, deed: Deed, words: Speaker): TemplateResult {
  const { proposal } = deed;
  if (!proposal) return html``;
  if (desk.keepsProposals && deed.stop === null) return html`<p>${words.say('stage.kept')}</p>`;
  const text = writeProposal(proposal);
  const copy = async (event: Event) => {
    const button = event.currentTarget as HTMLButtonElement;
    await navigator.clipboard.writeText(text);
    button.textContent = words.say('stage.copied');
  };
  return html`
    <label for="deed-text">${words.say('stage.hand_on')}</label>
    <textarea id="deed-text" readonly rows="6" dir="ltr" .value=${text} @focus=${(event: FocusEvent) => (event.currentTarget as HTMLTextAreaElement).select()}></textarea>
    <div class="actions">
      <button part="button" class="secondary" data-do="copy" @click=${copy}>${words.say('stage.copy')}</button>
      <a part="button" class="secondary" download="settlement.json" href="data:application/json,${encodeURIComponent(text)}">${words.say('stage.save')}</a>
    </div>
  `;
}
