import { css, html, LitElement, type PropertyValues } from 'lit';
import { languageAround } from './element.ts';
import { languageOf, loadWords } from './languages.ts';
import type { Words } from './words.ts';

/**
 * A dialog around a checkout, open at once or behind a button. Closing it ends nothing: what was sent goes on, and the checkout
 * in it too.
 *
 * @element dealkeep-modal
 * @prop form - `button` or `modal`.
 * @prop label - What the button says; without it `Pay` in the language in use.
 * @attr lang - The language to speak; without it the page's, then the browser's.
 * @fires dealkeep-close - The buyer has closed the dialog.
 * @csspart button - The button that opens it.
 * @cssprop --dealkeep-accent - Colour of that button; the other variables of the checkout reach it through the dialog.
 */
export class DealkeepModal extends LitElement {
  static override properties = { form: {}, label: {}, lang: { reflect: true }, words: { state: true } };
  static override styles = css`
    :host {
      display: inline-block;
    }

    dialog {
      box-sizing: border-box;
      inline-size: min(28rem, 100vw);
      max-block-size: 100dvh;
      padding: 0.5rem;
      border: 0;
      background: none;
      overflow: auto;
    }

    dialog::backdrop {
      background: rgb(0 0 0 / 55%);
    }

    .close {
      display: block;
      inline-size: 2.75rem;
      block-size: 2.75rem;
      margin-block-end: 0.25rem;
      margin-inline-start: auto;
      border: 0;
      border-radius: 50%;
      background: #16211e;
      color: #fff;
      font: 1.25rem/1 system-ui, sans-serif;
      cursor: pointer;
    }

    .open {
      min-block-size: 2.75rem;
      padding: 0 1.5rem;
      border: 0;
      border-radius: var(--dealkeep-radius, 0.625rem);
      background: var(--dealkeep-accent, #0b5d4e);
      color: var(--dealkeep-on-accent, #fff);
      font: 600 1rem/1.2 var(--dealkeep-font, system-ui, sans-serif);
      cursor: pointer;
    }

    button:focus-visible {
      outline: 2px solid var(--dealkeep-accent, #0b5d4e);
      outline-offset: 2px;
    }
  `;

  declare form: 'button' | 'modal';
  declare label: string;
  declare private words: Words | null;

  #spoken: string | null = null;

  constructor() {
    super();
    this.form = 'modal';
    this.label = '';
    this.words = null;
  }

  protected override willUpdate(): void {
    void this.#speak();
  }

  protected override render() {
    const { words } = this;
    if (!words) return html``;
    const label = this.label || words.say('action.open');
    return html`
      ${this.form === 'button' ? html`<button part="button" class="open" @click=${this.#open}>${label}</button>` : ''}
      <dialog lang=${words.tag} dir=${words.direction} aria-label=${words.say('label.checkout')} @close=${this.#closed}>
        <button class="close" aria-label=${words.say('action.close')} @click=${this.#close}>×</button>
        <slot></slot>
      </dialog>
    `;
  }

  protected override updated(changed: PropertyValues): void {
    if (this.form === 'modal' && changed.has('words') && !changed.get('words') && this.words) this.#open();
  }

  async #speak(): Promise<void> {
    const language = languageOf(this.lang, languageAround(this));
    if (this.#spoken === language.tag) return;
    this.#spoken = language.tag;
    const words = await loadWords(language);
    if (this.#spoken === language.tag) this.words = words;
  }

  get #dialog(): HTMLDialogElement | null {
    return this.shadowRoot?.querySelector('dialog') ?? null;
  }

  readonly #open = () => this.#dialog?.showModal();
  readonly #close = () => this.#dialog?.close();
  readonly #closed = () =>
    void this.dispatchEvent(new CustomEvent('dealkeep-close', { bubbles: true, composed: true }));
}

if (!customElements.get('dealkeep-modal')) customElements.define('dealkeep-modal', DealkeepModal);
