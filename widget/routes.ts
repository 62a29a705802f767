/**
 * Owns the ways to pay, in one table: what the wallet is asked for, and what it costs. Which of them are open depends on
 * wallet, token and contract; the cheapest of those is taken unless the buyer chooses another.
 */
import type { Step } from './snapshot.ts';

/** What the wallet, the token and the contract can do. */
export type Abilities = {
  /** The allowance that the escrow has covers the amount. */
  allowance: boolean;
  /** ERC-2612 for this account. */
  permit: boolean;
  /** ERC-3009 for this account. */
  authorization: boolean;
  /** Permit2 is there and may take the amount. */
  permit2: boolean;
  /** The wallet sends several calls as one (EIP-5792). */
  batch: boolean;
  /** The service sends what was signed, and pays the fee. */
  relay: boolean;
  /** The allowance has to be set to zero first. */
  reset: boolean;
  /** Several deals at once: the contract has no call for their permits. */
  cart: boolean;
};

type Route = {
  steps: readonly Step[];
  /** Our service sends it and pays the fee. */
  relayed?: true;
  /** Typical gas of all its transactions (README, "The contract"): what makes one cheaper than another. */
  gas: number;
  needs: (abilities: Abilities) => boolean;
};

/** Every way to pay, the cheapest first. */
export const routes = {
  gasless: { steps: ['authorize'], relayed: true, gas: 0, needs: (can) => can.relay && can.authorization },
  gasless_permit2: { steps: ['permit2'], relayed: true, gas: 0, needs: (can) => can.relay && can.permit2 },
  allowance: { steps: ['deposit'], gas: 75_700, needs: (can) => can.allowance },
  permit: { steps: ['permit', 'deposit'], gas: 90_100, needs: (can) => can.permit && !can.cart },
  permit2: { steps: ['permit2', 'deposit'], gas: 96_500, needs: (can) => can.permit2 && !can.cart },
  batch: { steps: ['batch'], gas: 101_000, needs: (can) => can.batch && !can.allowance },
  authorization: { steps: ['authorize', 'deposit'], gas: 104_000, needs: (can) => can.authorization && !can.cart },
  approve: { steps: ['approve', 'deposit'], gas: 122_000, needs: (can) => !can.allowance && !can.reset },
  reset: { steps: ['reset', 'approve', 'deposit'], gas: 149_000, needs: (can) => !can.allowance && can.reset },
} as const satisfies Record<string, Route>;

/** A way to pay. */
export type RouteName = keyof typeof routes;

/** An open way to pay, and what it takes of the chain's coin at most, in wei. */
export type Way = { route: RouteName; feeUnits: bigint };

/** The ways that are open, the cheapest first. */
export function openRoutes(abilities: Abilities): RouteName[] {
  const all: readonly (readonly [string, Route])[] = Object.entries(routes);
  return all.filter(([, route]) => route.needs(abilities)).map(([name]) => name as RouteName);
}

/** A route as the table describes it. */
export function routeOf(name: RouteName): Route {
  return routes[name];
}
