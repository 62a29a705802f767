// What the package is for a page: importing it registers <dealkeep-checkout>.
import { DealkeepCheckout } from './element.ts';

export type { Expected } from './deposit/deal.ts';
export type { ChangeDetail } from './element.ts';
export type { AccessToken, PaymentStatus } from './payment.ts';
export type { StateName } from './states.ts';
export { DealkeepCheckout };

const TAG = 'dealkeep-checkout';

// Two copies on one page must not throw; the first stays.
if (!customElements.get(TAG)) customElements.define(TAG, DealkeepCheckout);

declare global {
  interface HTMLElementTagNameMap {
    'dealkeep-checkout': DealkeepCheckout;
  }
}
