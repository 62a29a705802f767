// Owns reconciliation: each deal that is open to anybody, as its slot on chain, the mirror and our ledger have it, all as of one
// block, and by token what the diamond has beside what it owes. Judges and writes nothing; whatever it names, a person decides.
import { type Address, erc20Abi, type Hex } from 'viem';
import { escrowAbi } from '../../../contracts/abi.ts';
import { statusNames } from '../../../contracts/terms.ts';
import type { Chain } from '../chain/chain.ts';
import { mirroredBlock } from '../chain/mirror.ts';
import type { Sql } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import type { NetworkRow } from '../schema.ts';

/** How one of the three has a deal, in base units; null: it knows no such deal. `heldUnits` of the ledger is the escrow account's. */
export type Account = { status: string; releasedUnits: bigint; refundedUnits: bigint; heldUnits: bigint };

/** A deal; without `paymentId` it funds no payment of the network, and the ledger has nothing to say. */
export type ComparedDeal = {
  dealId: Hex;
  token: Address;
  nodeId: string | null;
  paymentId: string | null;
  chain: Account | null;
  mirror: Account | null;
  ledger: Account | null;
};

/** One token's sums in base units. `surplusUnits`: what the diamond has beyond what the chain says that it owes. */
export type TokenSums = {
  token: Address;
  currency: string | null;
  decimals: number | null;
  openDeals: number;
  balanceUnits: bigint;
  /** As the three have it; the ledger's and those of deals that fund no payment of the network add up to the others. */
  heldUnits: { chain: bigint; mirror: bigint; ledger: bigint; others: bigint };
  creditUnits: { chain: bigint; mirror: bigint };
  surplusUnits: bigint;
  agrees: boolean;
};

/** What one network's comparison found. */
export type Reconciliation = {
  network: NetworkRow;
  block: bigint;
  deals: number;
  tokens: TokenSums[];
  differences: ComparedDeal[];
};

/** How a comparison is made. */
export type ReconcileOptions = {
  /** Also deals that nobody holds for open. */
  all?: boolean;
  /** How long a deal that differs may take to be the same once more, in milliseconds. */
  patienceMs?: number;
  onProgress?: (deals: number) => void;
};

// The calls travel as the code of a contract that is never deployed, of which a node takes 49,152 bytes (EIP-3860): 200 were too many,
// 100 are some 27 kB.
const SLOTS_PER_CALL = 100;
// A settle pass comes every 250 ms; a payment that just moves has been settled by then.
const PATIENCE_MS = 3_000;

/**
 * Compares one network. What differs while it moves is looked at once more, as of a newer block, before it counts.
 * @throws upstream_unavailable when the network or its mirror cannot be read
 */
export async function reconcileNetwork(
  sql: Sql,
  chain: Chain,
  network: NetworkRow,
  { all = false, patienceMs = PATIENCE_MS, onProgress = () => {} }: ReconcileOptions = {},
): Promise<Reconciliation> {
  const first = await compare(sql, chain, network, { all, onProgress });
  if (agrees(first)) return first;
  await new Promise((resolve) => setTimeout(resolve, patienceMs));
  const suspects = new Set(first.differences.map(({ dealId }) => dealId));
  const second = await compare(sql, chain, network, { all, onProgress });
  // A deal that differs now only may have moved since the first look.
  return { ...second, differences: second.differences.filter(({ dealId }) => suspects.has(dealId)) };
}

/** Whether nothing differs and every token is covered. */
export function agrees({ differences, tokens }: Reconciliation): boolean {
  return differences.length === 0 && tokens.every((token) => token.agrees);
}

async function compare(
  sql: Sql,
  chain: Chain,
  network: NetworkRow,
  { all, onProgress }: { all: boolean; onProgress: (deals: number) => void },
): Promise<Reconciliation> {
  const mirrored = await mirroredBlock(sql, network);
  if (mirrored === null) {
    throw new CoreError('upstream_unavailable', `Network ${network.name}: the indexer has no complete mirror now.`);
  }
  const { number: block } = await chain.safeBlock(network, mirrored);
  const sums = new Map<Address, Sums>();
  const differences: ComparedDeal[] = [];
  let deals = 0;
  for (let after = ''; ; ) {
    const known = await readKnown(sql, network, block, { after, all });
    const last = known.at(-1);
    if (!last) break;
    after = last.dealId;
    const slots = await readSlots(chain, network, block, known);
    for (const [index, { amountUnits, ...deal }] of known.entries()) {
      const compared = { ...deal, chain: slotAccount(slots[index], amountUnits) };
      addUp(sums, compared);
      if (differs(compared)) differences.push(compared);
    }
    deals += known.length;
    onProgress(deals);
  }
  return {
    network,
    block,
    deals,
    tokens: await readTokens(sql, chain, network, { block, mirrored, sums }),
    differences,
  };
}

type Known = Omit<ComparedDeal, 'chain'> & { amountUnits: bigint };
type Slot = { released: bigint; refunded: bigint; status: number };

/** The next deals by their hash, as mirror and ledger have them up to a block. */
async function readKnown(
  sql: Sql,
  network: NetworkRow,
  block: bigint,
  { after, all }: { after: string; all: boolean },
): Promise<Known[]> {
  const { eip155Id, diamondAddress, id: networkId } = network;
  const rows = await sql<KnownRow[]>`
    with mirrored as (
      select m.id, m.token, m.amount, m.offer_id, e.status, e.released, e.refunded
      from chain.deal m join lateral (
        select * from chain.deal_event e
        where e.chain_id = m.chain_id and e.diamond = m.diamond and e.deal_id = m.id and e.block_number <= ${block}
        order by e.block_number desc, e.log_index desc limit 1
      ) e on true
      where m.chain_id = ${eip155Id} and m.diamond = ${diamondAddress} and m.id > ${after}
    ), ids as (
      select id from mirrored
      union select deal_id from deal where network_id = ${networkId} and deal_id > ${after} and chain_status <> 'confirming'
    )
    select i.id as deal_id, coalesce(m.token, d.token) as token, coalesce(m.amount, d.amount_units) as amount_units,
      d.node_id, d.payment_id, m.status as mirror_status, m.released as mirror_released, m.refunded as mirror_refunded,
      d.chain_status as our_status, d.released_units as our_released, d.refunded_units as our_refunded, l.held as our_held
    from ids i left join mirrored m on m.id = i.id
    left join deal d on d.network_id = ${networkId} and (d.deal_id = i.id or (d.deal_id is null and d.offer_id = m.offer_id))
    left join lateral (
      select coalesce(sum(p.amount_units), 0) as held
      from ledger_entry e join ledger_posting p on p.node_id = e.node_id and p.entry_id = e.id
      join ledger_account a on a.node_id = p.node_id and a.id = p.account_id and a.type = 'escrow'
      where e.node_id = d.node_id and e.leg_id = d.id
    ) l on true
    ${all ? sql`` : sql`where m.status in ('funded', 'disputed') or d.chain_status in ('funded', 'disputed') or l.held <> 0`}
    order by i.id limit ${SLOTS_PER_CALL}`;
  return rows.map(({ dealId, token, amountUnits, nodeId, paymentId, ...row }) => ({
    dealId,
    token,
    amountUnits,
    nodeId,
    paymentId,
    mirror:
      row.mirrorStatus === null
        ? null
        : account(row.mirrorStatus, row.mirrorReleased ?? 0n, row.mirrorRefunded ?? 0n, amountUnits),
    ledger:
      row.ourStatus === null
        ? null
        : {
            status: row.ourStatus,
            releasedUnits: row.ourReleased ?? 0n,
            refundedUnits: row.ourRefunded ?? 0n,
            heldUnits: row.ourHeld ?? 0n,
          },
  }));
}

type KnownRow = Pick<Known, 'dealId' | 'token' | 'amountUnits' | 'nodeId' | 'paymentId'> & {
  mirrorStatus: string | null;
  mirrorReleased: bigint | null;
  mirrorRefunded: bigint | null;
  ourStatus: string | null;
  ourReleased: bigint | null;
  ourRefunded: bigint | null;
  ourHeld: bigint | null;
};

async function readSlots(chain: Chain, network: NetworkRow, block: bigint, deals: readonly Known[]): Promise<Slot[]> {
  const contracts = deals.map(({ dealId }) => ({
    address: network.diamondAddress,
    abi: escrowAbi,
    functionName: 'getDeal' as const,
    args: [dealId] as const,
  }));
  return await chain.agree(
    network,
    (client) =>
      client.multicall({ contracts, blockNumber: block, allowFailure: false, deployless: true, batchSize: 0 }),
    (slots) => slots.map(({ released, refunded, status }) => `${released} ${refunded} ${status}`).join(),
  );
}

function slotAccount(slot: Slot | undefined, amountUnits: bigint): Account | null {
  const status = statusNames[slot?.status ?? 0];
  if (!slot || !status || status === 'None') return null;
  return account(status.toLowerCase(), slot.released, slot.refunded, amountUnits);
}

function account(status: string, releasedUnits: bigint, refundedUnits: bigint, amountUnits: bigint): Account {
  const open = status === 'funded' || status === 'disputed';
  return { status, releasedUnits, refundedUnits, heldUnits: open ? amountUnits - releasedUnits - refundedUnits : 0n };
}

function differs({ chain, mirror, ledger, paymentId }: ComparedDeal): boolean {
  return keyOf(chain) !== keyOf(mirror) || (paymentId !== null && keyOf(chain) !== keyOf(ledger));
}

function keyOf(said: Account | null): string {
  return said ? `${said.status} ${said.releasedUnits} ${said.refundedUnits} ${said.heldUnits}` : 'nothing';
}

type Sums = TokenSums['heldUnits'] & { openDeals: number };

function addUp(sums: Map<Address, Sums>, { token, chain, mirror, ledger, paymentId }: ComparedDeal): void {
  const sum = sums.get(token) ?? { openDeals: 0, chain: 0n, mirror: 0n, ledger: 0n, others: 0n };
  sums.set(token, sum);
  if (chain && ['funded', 'disputed'].includes(chain.status)) sum.openDeals += 1;
  sum.chain += chain?.heldUnits ?? 0n;
  sum.mirror += mirror?.heldUnits ?? 0n;
  if (paymentId === null) sum.others += chain?.heldUnits ?? 0n;
  else sum.ledger += ledger?.heldUnits ?? 0n;
}

type Credit = { token: Address; account: Address; amount: bigint };

/** Sums of every token that is a currency here or that the mirror has seen. */
async function readTokens(
  sql: Sql,
  chain: Chain,
  network: NetworkRow,
  { block, mirrored, sums }: { block: bigint; mirrored: bigint; sums: ReadonlyMap<Address, Sums> },
): Promise<TokenSums[]> {
  const { eip155Id, diamondAddress } = network;
  const tokens = await sql<Pick<TokenSums, 'token' | 'currency' | 'decimals'>[]>`
    select token, max(code) as currency, max(decimals) as decimals from (
      select token_address as token, code, decimals from currency
      where network_id = ${network.id} and type = 'token'
      union all
      select token, null, null from chain.token_total where chain_id = ${eip155Id} and diamond = ${diamondAddress}
    ) t group by token order by 2 nulls last, 1`;
  const credits = await sql<Credit[]>`
    select token, account, amount from chain.credit where chain_id = ${eip155Id} and diamond = ${diamondAddress}
    order by token, account`;
  const balances = await readUnits(
    chain,
    network,
    block,
    tokens.map(({ token: address }) => ({
      address,
      abi: erc20Abi,
      functionName: 'balanceOf' as const,
      args: [diamondAddress] as const,
    })),
  );
  // The mirror knows each credit as of its newest block alone; the diamond is asked as of that one too.
  const owedAt = async (at: bigint) => await readCredits(chain, network, at, credits);
  const owed = await owedAt(block);
  const owedNow = mirrored === block ? owed : await owedAt(mirrored);
  return tokens.map(({ token, currency, decimals }, index) => {
    const { openDeals, ...heldUnits } = sums.get(token) ?? {
      openDeals: 0,
      chain: 0n,
      mirror: 0n,
      ledger: 0n,
      others: 0n,
    };
    const total = (amounts: readonly bigint[]) =>
      credits.reduce((sum, credit, place) => (credit.token === token ? sum + (amounts[place] ?? 0n) : sum), 0n);
    const creditUnits = { chain: total(owed), mirror: total(credits.map(({ amount }) => amount)) };
    const balanceUnits = balances[index] ?? 0n;
    const surplusUnits = balanceUnits - heldUnits.chain - creditUnits.chain;
    return {
      ...{ token, currency, decimals, openDeals, balanceUnits, heldUnits, creditUnits, surplusUnits },
      agrees:
        surplusUnits >= 0n &&
        total(owedNow) === creditUnits.mirror &&
        heldUnits.mirror === heldUnits.chain &&
        heldUnits.ledger + heldUnits.others === heldUnits.chain,
    };
  });
}

async function readCredits(
  chain: Chain,
  network: NetworkRow,
  block: bigint,
  credits: readonly Credit[],
): Promise<bigint[]> {
  const calls = credits.map(({ token, account: owner }) => ({
    address: network.diamondAddress,
    abi: escrowAbi,
    functionName: 'creditOf' as const,
    args: [token, owner] as const,
  }));
  return await readUnits(chain, network, block, calls);
}

type UnitsCall =
  | { address: Address; abi: typeof erc20Abi; functionName: 'balanceOf'; args: readonly [Address] }
  | { address: Address; abi: typeof escrowAbi; functionName: 'creditOf'; args: readonly [Address, Address] };

async function readUnits(
  chain: Chain,
  network: NetworkRow,
  block: bigint,
  calls: readonly UnitsCall[],
): Promise<bigint[]> {
  const units: bigint[] = [];
  for (let from = 0; from < calls.length; from += SLOTS_PER_CALL) {
    const contracts = calls.slice(from, from + SLOTS_PER_CALL);
    const some = await chain.agree(
      network,
      (client) =>
        client.multicall({ contracts, blockNumber: block, allowFailure: false, deployless: true, batchSize: 0 }),
      String,
    );
    units.push(...(some as bigint[]));
  }
  return units;
}
