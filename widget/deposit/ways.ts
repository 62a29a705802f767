/** Owns finding the ways to pay: what this wallet, this token and the contract can do for this deal, and what each way costs. */
import type { Address } from 'viem';
import type { WidgetPayment } from '../payment.ts';
import { openRoutes, routeOf, type Way } from '../routes.ts';
import { canBatch } from './batch.ts';
import type { Deal } from './deal.ts';
import { approveCall, type Funds, feeUnits, type Provider, readFunds, simulate } from './escrow.ts';
import { problemOf } from './problem.ts';

/** What the account has, and the ways that are open to it, the cheapest first. @throws Problem network_down */
export async function findWays(
  provider: Provider,
  account: Address,
  deal: Deal,
  { signatures, relays }: WidgetPayment,
): Promise<{ funds: Funds; ways: Way[] }> {
  const [funds, batch] = await Promise.all([
    readFunds(provider, deal, account, signatures.permit2),
    canBatch(provider, account, deal.chainId),
  ]);
  const { allowanceUnits, hasCode, gasPriceUnits } = funds;
  const known = signatures.domain !== null;
  const cart = deal.legs.length > 1;
  const isPartial = allowanceUnits > 0n && allowanceUnits < deal.amountUnits;
  const open = openRoutes({
    allowance: allowanceUnits >= deal.amountUnits,
    // A contract's signature has no v, r and s; whether the token takes it, the bytes form tells.
    permit: known && signatures.permit && !hasCode,
    authorization: known && (hasCode ? signatures.authorization.bytes : signatures.authorization.standard),
    permit2: funds.permit2Units >= deal.amountUnits,
    batch,
    relay: relays && !cart,
    reset: isPartial && !(await changes(provider, account, deal)),
    cart,
  });
  const ways = open.map((route) => {
    const { steps, relayed } = routeOf(route);
    return { route, feeUnits: relayed ? 0n : feeUnits(steps, deal.legs.length, gasPriceUnits) };
  });
  return { funds, ways };
}

/** Whether the token lets an allowance change from one amount to another: those like USDT refuse. */
async function changes(provider: Provider, account: Address, deal: Deal): Promise<boolean> {
  return await simulate(provider, account, approveCall(deal, deal.amountUnits)).then(
    () => true,
    (error) => {
      if (problemOf(error).code === 'network_down') throw error;
      return false;
    },
  );
}
