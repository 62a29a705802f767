// Owns what a request for money says, and what is wrong with it: amounts, items, fee, legs, and what it refers to. Every fault is
// added to the caller's list, so that all are named at once; reads and writes nothing.
import type { Address } from 'viem';
import { destinationFault } from '../destinations.ts';
import type { FieldFaults } from '../errors.ts';
import { AmountError, formatUnits, parseUnits } from '../money.ts';
import type { Member, SealedMember } from '../people/members.ts';
import type { Integration, NodeStanding, WalletRow } from '../platform/platform.ts';
import type { Provider, Providers } from '../rails/provider.ts';
import type { CurrencyRow, DealPolicy, NetworkRow, PaymentGroup, PaymentItem, PaymentMethod } from '../schema.ts';
import { type DealContext, feeOf, type LegRequest } from './deals.ts';

/** A request for money. Decimals are the request's own text; addresses are lowercase. */
export type PaymentRequest = {
  externalId: string;
  nodeId: string;
  chainId?: string | undefined;
  /** Required on chain; a rail needs none. */
  networkId?: string | undefined;
  walletId?: string | undefined;
  memberId?: string | undefined;
  member?: Member | undefined;
  currencyId: string;
  price: string;
  paidPrice: string;
  paymentMethod: PaymentMethod;
  paymentGroup: PaymentGroup;
  /** Required on chain, unless every leg names one; a rail needs none. */
  paymentAddress?: Address | undefined;
  items?: PaymentItem[] | undefined;
  metadata?: string | undefined;
  /** Gets this payment's events, signed with the node's notification key. */
  notifyUrl?: string | undefined;
  /** Where a provider's page leads the payer back to. */
  returnUrl?: string | undefined;
  expiresAt: Date;
  retry: boolean;
  retryCount: number;
  clientIp?: string | undefined;
  /** Who gets how much; null: the whole amount goes to `paymentAddress`. */
  legs:
    | {
        externalId: string | null;
        paymentAddress?: Address | undefined;
        partyId?: string | undefined;
        paidPrice: string;
        /** Of this leg alone; stated by all legs or none, and then the deal policy's fee is not asked. */
        fee?: string | undefined;
      }[]
    | null;
  /** Overrides single fields of the node's deal policy. */
  deal: Partial<DealPolicy>;
};

export function amountOf(pointer: string, text: string, currency: CurrencyRow, faults: FieldFaults): bigint | null {
  try {
    const units = parseUnits(text, currency.decimals);
    if (pointer === '/price' && units === 0n) faults.add(pointer, 'must be greater than 0');
    return units;
  } catch (error) {
    if (!(error instanceof AmountError)) throw error;
    faults.add(pointer, error.message);
    return null;
  }
}

export function checkItems(
  { items }: PaymentRequest,
  priceUnits: bigint | null,
  currency: CurrencyRow,
  faults: FieldFaults,
): void {
  if (!items?.some((item) => item.price !== null)) return;
  const prices = items.map((item, index) =>
    item.price === null ? 0n : amountOf(`/items/${index}/price`, item.price, currency, faults),
  );
  if (priceUnits === null || prices.includes(null)) return;
  const sum = prices.reduce((total: bigint, price) => total + (price ?? 0n), 0n);
  if (sum !== priceUnits) faults.add('/items', `sum to ${sum} base units, but price is ${priceUnits}`);
}

/** The fee of the whole payment. Borne by the payer, it is computed on the price, and paid_price must be both together. */
export function checkFee(
  { priceUnits, paidPriceUnits }: { priceUnits: bigint | null; paidPriceUnits: bigint | null },
  { policy, currency }: DealContext,
  faults: FieldFaults,
): bigint {
  if (priceUnits === null || paidPriceUnits === null) return 0n;
  if (policy.feeBearer === 'payer') {
    const fee = feeOf(priceUnits, policy, currency, faults);
    if (paidPriceUnits !== priceUnits + fee) {
      const expected = formatUnits(priceUnits + fee, currency.decimals);
      faults.add('/paid_price', `must be ${expected}: the price plus the fee, which the payer bears`);
    }
    return fee;
  }
  const fee = feeOf(paidPriceUnits, policy, currency, faults);
  if (fee > paidPriceUnits) faults.add('/paid_price', 'is less than the fee');
  return fee;
}

/** The legs that a request names, or the one that it implies; their amounts must sum to what is paid. */
export function legsOf(
  request: PaymentRequest,
  paidPriceUnits: bigint | null,
  currency: CurrencyRow,
  faults: FieldFaults,
): LegRequest[] {
  // An amount that is not one has its own fault already; one unit keeps the rest of the checks meaningful.
  if (!request.legs) {
    const [payeePointer, amountPointer] = ['/payment_address', '/paid_price'];
    const amountUnits = paidPriceUnits ?? 1n;
    const payee = request.paymentAddress ?? null;
    return [{ externalId: null, payee, partyId: null, payeePointer, amountUnits, amountPointer, feeUnits: null }];
  }
  const legs = request.legs.map((leg, index) => {
    const amountPointer = `/legs/${index}/paid_price`;
    const amountUnits = amountOf(amountPointer, leg.paidPrice, currency, faults) ?? 1n;
    const feePointer = `/legs/${index}/fee`;
    const feeUnits = leg.fee === undefined ? null : amountOf(feePointer, leg.fee, currency, faults);
    if (feeUnits !== null && feeUnits > amountUnits) faults.add(feePointer, "is more than the leg's amount");
    return {
      externalId: leg.externalId,
      payee: leg.paymentAddress ?? null,
      partyId: leg.partyId ?? null,
      payeePointer: `/legs/${index}/payment_address`,
      amountUnits,
      amountPointer,
      feeUnits,
    };
  });
  const sum = legs.reduce((total, leg) => total + leg.amountUnits, 0n);
  if (paidPriceUnits !== null && sum !== paidPriceUnits) {
    faults.add('/legs', `sum to ${sum} base units, but paid_price is ${paidPriceUnits}`);
  }
  return legs;
}

export function checkReferences(
  request: PaymentRequest,
  {
    node,
    network,
    currency,
    mode,
  }: { node: NodeStanding; network: NetworkRow | null; currency: CurrencyRow; mode: Integration['mode'] },
  { wallets, members }: { wallets: Map<string, WalletRow>; members: Map<string, SealedMember> },
  faults: FieldFaults,
): void {
  if (node.archived) faults.add('/node_id', 'is archived');
  if (network?.archivedAt) faults.add('/network_id', 'is archived');
  if (network && network.mode !== mode) {
    faults.add('/network_id', `is a ${network.mode} network, but the integration is ${mode}`);
  }
  if (currency.archivedAt) faults.add('/currency_id', 'is archived');
  if (request.chainId !== undefined && request.chainId !== network?.chainId) {
    faults.add('/chain_id', network ? "is not the network's chain" : 'needs a network_id');
  }
  if (request.notifyUrl !== undefined) {
    const fault = destinationFault(request.notifyUrl, { local: node.local });
    if (fault) faults.add('/notify_url', fault);
  }
  if (request.returnUrl !== undefined && !node.returnOrigins.includes(new URL(request.returnUrl).origin)) {
    faults.add('/return_url', "is of no origin in the node's return_origins");
  }
  if (request.memberId !== undefined && request.member !== undefined) {
    faults.add('/member', 'must be left out when member_id is given');
  }
  if (request.memberId !== undefined && members.get(request.memberId)?.nodeId !== node.id) {
    faults.add('/member_id', 'is not a member of the node');
  }
  if (request.walletId !== undefined) {
    const wallet = wallets.get(request.walletId);
    if (!network) faults.add('/wallet_id', 'needs a network_id');
    else if (wallet?.nodeId !== node.id || wallet.networkId !== network.id) {
      faults.add('/wallet_id', 'is not a wallet of the node on this network');
    } else if (wallet.address !== request.paymentAddress) {
      faults.add('/payment_address', 'is not the address of wallet_id');
    }
  }
}

/** Who takes the money of a payment by card or transfer, which is in fiat money; on chain it is in a token of the network. */
export function checkRail(
  { paymentMethod }: PaymentRequest,
  {
    network,
    currency,
    mode,
    providers,
  }: { network: NetworkRow | null; currency: CurrencyRow; mode: Integration['mode']; providers: Providers },
  faults: FieldFaults,
): Provider | undefined {
  if (paymentMethod === 'web3') {
    if (currency.networkId !== network?.id) faults.add('/currency_id', 'is not a currency of the network');
    return undefined;
  }
  if (currency.type !== 'fiat') faults.add('/currency_id', `must be fiat money for ${paymentMethod}`);
  const provider = providers.forMethod(paymentMethod, mode);
  if (!provider) {
    const where = mode === 'live' ? ' for live payments' : '';
    faults.add('/payment_method', `${paymentMethod} has no provider${where} on this installation`);
  }
  return provider;
}
