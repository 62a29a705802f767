// Owns the proof of reserves: per network and token, what the diamond has on chain beside what its open deals and credits need,
// both as of one block. Writes nothing.
import { erc20Abi } from 'viem';
import { type Chain, reachable } from '../chain/chain.ts';
import { mirrorPosition } from '../chain/mirror.ts';
import { isMissingRelation, type Sql } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { listNetworks } from '../platform/platform.ts';
import type { NetworkRow } from '../schema.ts';

/** One token of a network, in base units as of `block`; balance null: the network does not answer now. */
export type Reserve = {
  network: NetworkRow;
  currency: string;
  token: `0x${string}`;
  decimals: number;
  block: bigint;
  openDeals: number;
  heldUnits: bigint;
  creditUnits: bigint;
  balanceUnits: bigint | null;
};

type Needed = Omit<Reserve, 'network' | 'balanceUnits'>;

/** The reserves of every network in use that is mirrored. */
export async function readReserves(sql: Sql, chain: Chain): Promise<Reserve[]> {
  const networks = (await listNetworks(sql)).filter((network) => !network.archivedAt);
  return (await Promise.all(networks.map((network) => readNetwork(sql, chain, network)))).flat();
}

async function readNetwork(sql: Sql, chain: Chain, network: NetworkRow): Promise<Reserve[]> {
  const needed = await readNeeded(sql, network);
  const client = chain.client(network);
  const balances = needed.map(({ token, block }) =>
    reachable(network, () =>
      client.readContract({
        address: token,
        abi: erc20Abi,
        functionName: 'balanceOf',
        args: [network.diamondAddress],
        blockNumber: block,
      }),
    ).catch((error) => {
      if (error instanceof CoreError) return null;
      throw error;
    }),
  );
  return await Promise.all(
    needed.map(async (row, index) => ({ ...row, network, balanceUnits: (await balances[index]) ?? null })),
  );
}

/** What each token's deals and credits need, and the block up to which the mirror knows of them: one statement, one moment. */
async function readNeeded(sql: Sql, network: NetworkRow): Promise<Needed[]> {
  const rows = sql<Needed[]>`
    with position as (${mirrorPosition(sql, network)})
    select c.code as currency, c.token_address as token, c.decimals, p.block,
      coalesce(t.held, 0) as held_units, coalesce(t.credits, 0) as credit_units,
      (select count(*)::int from chain.deal d
        where d.chain_id = ${network.eip155Id} and d.diamond = ${network.diamondAddress} and d.token = c.token_address
          and d.status in ('funded', 'disputed')) as open_deals
    from currency c cross join position p
    left join chain.token_total t on t.chain_id = ${network.eip155Id} and t.diamond = ${network.diamondAddress}
      and t.token = c.token_address
    where c.network_id = ${network.id} order by c.code`;
  return await rows.catch((error) => {
    if (isMissingRelation(error)) return [];
    throw error;
  });
}
