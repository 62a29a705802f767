/**
 * Owns putting a checkout into a page: inline, behind a button, or in a dialog. It can be imported where there is no DOM; nothing
 * of the element is loaded before the first `mount`.
 */
import type { Expected } from './deposit/deal.ts';
import type { ChangeDetail, DealkeepCheckout } from './element.ts';
import type { DealkeepModal } from './modal.ts';
import type { AccessToken } from './payment.ts';
import type { StateName } from './states.ts';

/** What a mounted checkout needs to know. */
export type MountOptions = {
  /** Base URL of the API. */
  api: string;
  paymentId: string;
  /** The payment's access token, or what fetches it; a function that changes with each rendering restarts nothing. */
  accessToken: AccessToken;
  /** What the page knows for certain; any difference refuses to sign. */
  expected?: Expected | undefined;
  /** For wallets that do not know the payment's chain yet. */
  rpcUrl?: string | undefined;
  /** Where the buyer goes from an end of the payment (http or https). */
  returnUrl?: string | undefined;
  theme?: 'light' | 'dark' | undefined;
  /** The language to speak (en, de, fr, es, tr, ar, also with a region); without it the page's, then the browser's. */
  lang?: string | undefined;
  /** `inline` (default), `button`: a button that opens a dialog, `modal`: a dialog that is open at once. */
  form?: 'inline' | 'button' | 'modal' | undefined;
  /** What the button says; without it `Pay` in the language in use. */
  label?: string | undefined;
};

/** What `on` tells of: each change of the checkout, and that the buyer has closed the dialog. */
export type MountEvents = { change: ChangeDetail; close: null };

type Listener<Name extends keyof MountEvents> = (detail: MountEvents[Name]) => void;

/** A checkout in a page. */
export type Mounted = {
  /** Changes options; another payment starts anew, everything else goes on where it is. The form stays. */
  update(options: Partial<MountOptions>): void;
  /** Takes the checkout out of the page. What was sent goes on. */
  unmount(): void;
  on<Name extends keyof MountEvents>(event: Name, listener: Listener<Name>): void;
  off<Name extends keyof MountEvents>(event: Name, listener: Listener<Name>): void;
  /** Of the checkout, see states.ts; null before it was opened. */
  readonly state: StateName | null;
};

/** Puts a checkout into `target`, an element or a selector of one. @throws Error when there is no such element */
export function mount(target: Element | string, options: MountOptions): Mounted {
  const host = typeof target === 'string' ? document.querySelector(target) : target;
  if (!host) throw new Error(`There is no element ${String(target)} to mount the checkout in.`);
  const listeners: { [Name in keyof MountEvents]: Set<Listener<Name>> } = { change: new Set(), close: new Set() };
  let current = options;
  let state: StateName | null = null;

  const checkout = document.createElement('dealkeep-checkout') as DealkeepCheckout;
  checkout.addEventListener('dealkeep-change', (event) => {
    const { detail } = event as CustomEvent<ChangeDetail>;
    state = detail.state;
    for (const listener of listeners.change) listener(detail);
  });
  // One function for as long as the token comes from functions: the element starts anew with another.
  const provide = async () => {
    const { accessToken } = current;
    return typeof accessToken === 'string' ? accessToken : await accessToken();
  };
  const apply = (before: MountOptions | null) => {
    const { accessToken, expected = {}, rpcUrl = null, returnUrl = null, theme = null, lang } = current;
    Object.assign(checkout, { api: current.api, paymentId: current.paymentId, rpcUrl, returnUrl, theme });
    for (const element of new Set([checkout, root])) {
      if (lang) element.lang = lang;
      else element.removeAttribute('lang');
    }
    const token = typeof accessToken === 'string' ? accessToken : provide;
    if (checkout.accessToken !== token) checkout.accessToken = token;
    if (!before || textOf(before.expected) !== textOf(expected)) checkout.expected = expected;
  };

  let root: HTMLElement = checkout;
  if (options.form === 'button' || options.form === 'modal') {
    const modal = document.createElement('dealkeep-modal') as DealkeepModal;
    Object.assign(modal, { label: options.label ?? '', form: options.form });
    modal.addEventListener('dealkeep-close', () => {
      for (const listener of listeners.close) listener(null);
    });
    modal.append(checkout);
    root = modal;
    void import('./modal.ts');
  }
  apply(null);
  void import('./register.ts');
  host.append(root);

  return {
    update(changed) {
      const before = current;
      current = { ...current, ...changed };
      apply(before);
      if (root !== checkout && changed.label !== undefined) Object.assign(root, { label: changed.label });
    },
    unmount() {
      root.remove();
      listeners.change.clear();
      listeners.close.clear();
    },
    on: (event, listener) => void listeners[event].add(listener),
    off: (event, listener) => void listeners[event].delete(listener),
    get state() {
      return state;
    },
  };
}

function textOf(expected: Expected | undefined): string {
  return JSON.stringify(expected ?? {}, (_, value) => (typeof value === 'bigint' ? `${value}` : value));
}
