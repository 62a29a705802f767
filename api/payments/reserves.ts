// GET /reserves: what the escrow has and what it owes, for everybody to see and to check on chain.
import { createRoute, z } from '@hono/zod-openapi';
import { Chain } from '../core/chain/chain.ts';
import { formatUnits } from '../core/money.ts';
import { type Reserve, readReserves } from '../core/reconciliation/reserves.ts';
import { createRouter, jsonNumber, problems, type Services } from '../http.ts';
import { json } from '../resource.ts';

// Every answer costs one RPC call a token, and anybody may ask.
const CACHE_MS = 10_000;

const units = z.string().openapi({ description: 'Base units, exact', example: '25500000' });

const reserve = z
  .object({
    network: z.string(),
    chain_id: z.int().openapi({ description: "The chain's EIP-155 id" }),
    diamond: z.string(),
    currency: z.string(),
    token: z.string(),
    block: z.int().openapi({ description: 'All numbers are as of this block' }),
    open_deals: z.int(),
    held_units: units,
    credit_units: units,
    balance_units: units
      .nullable()
      .openapi({ description: 'What the diamond owns; null: the network does not answer now' }),
    surplus: z.number().nullable().openapi({ description: 'Balance less held and credits, in the major unit' }),
    covered: z.boolean().nullable(),
  })
  .openapi('Reserve');

/** The route of reserves. */
export function reserveRoutes({ sql }: Services) {
  const router = createRouter();
  const chain = new Chain();
  let cached: { at: number; reserves: Promise<Reserve[]> } | undefined;

  function reserves(): Promise<Reserve[]> {
    if (!cached || Date.now() - cached.at > CACHE_MS) {
      cached = { at: Date.now(), reserves: readReserves(sql, chain) };
      // What failed is asked again, not remembered.
      cached.reserves.catch(() => {
        cached = undefined;
      });
    }
    return cached.reserves;
  }

  router.openapi(
    createRoute({
      method: 'get',
      path: '/reserves',
      summary: 'What the escrow has and what it owes',
      description: `By network and token; needs no token and is at most ${CACHE_MS / 1000} seconds old.`,
      tags: ['Reserves'],
      security: [],
      responses: { 200: json(z.object({ items: z.array(reserve) }), 'Every token of every network'), ...problems() },
    }),
    async (c) => {
      c.header('Cache-Control', `public, max-age=${CACHE_MS / 1000}`);
      return c.json({ items: (await reserves()).map(renderReserve) }, 200);
    },
  );

  return router;
}

function renderReserve({
  network,
  block,
  balanceUnits,
  heldUnits,
  creditUnits,
  ...rest
}: Reserve): z.input<typeof reserve> {
  const surplusUnits = balanceUnits === null ? null : balanceUnits - heldUnits - creditUnits;
  return {
    network: network.name,
    chain_id: Number(network.eip155Id),
    diamond: network.diamondAddress,
    currency: rest.currency,
    token: rest.token,
    block: Number(block),
    open_deals: rest.openDeals,
    held_units: heldUnits.toString(),
    credit_units: creditUnits.toString(),
    balance_units: balanceUnits === null ? null : balanceUnits.toString(),
    surplus: surplusUnits === null ? null : jsonNumber(signedUnits(surplusUnits, rest.decimals)),
    covered: surplusUnits === null ? null : surplusUnits >= 0n,
  };
}

function signedUnits(amountUnits: bigint, decimals: number): string {
  return amountUnits < 0n ? `-${formatUnits(-amountUnits, decimals)}` : formatUnits(amountUnits, decimals);
}
