// What the widget is for a page: importing it registers <dealkeep-checkout>, and `mount` puts one anywhere.
export type { Expected } from './deposit/deal.ts';
export type { ChangeDetail } from './element.ts';
export { type Mounted, type MountOptions, mount } from './mount.ts';
export type { AccessToken, PaymentStatus } from './payment.ts';
export { DealkeepCheckout } from './register.ts';
export type { StateName } from './states.ts';
