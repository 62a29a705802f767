// Registers <dealkeep-checkout>. Two copies on one page must not throw; the first stays.
import { DealkeepCheckout } from './element.ts';

const TAG = 'dealkeep-checkout';

if (!customElements.get(TAG)) customElements.define(TAG, DealkeepCheckout);

declare global {
  interface HTMLElementTagNameMap {
    'dealkeep-checkout': DealkeepCheckout;
  }
}

export { DealkeepCheckout };
