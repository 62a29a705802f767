import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Chain } from '../../api/core/chain/chain.ts';
import type { Transaction } from '../../api/core/database/db.ts';
import { reconcileWhenDue } from '../../api/core/reconciliation/reconciliations.ts';
import { usdcAbi } from '../../contracts/abi.ts';
import { makeEvents } from '../../scripts/bench/indexer-stage.ts';
import { startWorker } from '../../scripts/dev/services.ts';
import { type Json, type Marketplace, openMarketplace, termsOf } from '../api/marketplace.ts';
import { openDoor } from '../support/door.ts';
import { type RunningStack, startStack } from '../support/stack.ts';
import { openWallet } from '../support/wallet.ts';

const COMMAND = join(import.meta.dirname, '../../scripts/dealkeep.mjs');

let running: RunningStack;
let market: Marketplace;
let worker: Awaited<ReturnType<typeof startWorker>>;
beforeAll(async () => {
  // Sums are of a whole diamond, so it must be this test's own.
  running = await startStack();
  const { stack } = running;
  const logPath = join(stack.folder, 'worker.log');
  worker = await startWorker({ ...stack, operatorKeys: [stack.operatorKey, stack.arbiterKey], logPath });
  market = await openMarketplace({ stack });
}, 240_000);
afterAll(async () => {
  await worker?.process.stop();
  await market?.close();
  await running?.stop();
});

type Run = { code: number; output: string; errors: string; json: Json };

const reconcile = (...args: string[]) => dealkeep('reconcile', args);
const rebuild = (...args: string[]) => dealkeep('rebuild', args);

function dealkeep(command: string, args: string[]): Promise<Run> {
  const given = [command, '--database-url', running.stack.databaseUrl, ...args];
  return new Promise((resolve, reject) => {
    const child = spawn(COMMAND, given, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (errors += chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      const json = args.includes('--json') && output !== '' ? JSON.parse(output) : null;
      resolve({ code: code ?? -1, output, errors, json });
    });
  });
}

async function funded(): Promise<Json> {
  const { payment, widget } = await market.payable();
  await (await openWallet(running.stack)).deposit(termsOf(widget));
  return await market.untilStatus(payment.id, 'funded');
}

const usdc = (run: Run): Json => run.json.items[0].tokens.find((sums: Json) => sums.currency === 'USDC');

/** Adds to what the ledger says that a payment's escrow holds, as nobody but a superuser can. */
async function change(paymentId: string, units: bigint): Promise<void> {
  await market.sql.begin(async (tx) => {
    await tx`alter table ledger_posting disable trigger ledger_posting_is_immutable`;
    await tx`
      update ledger_posting p set amount_units = amount_units + ${units.toString()}
      from ledger_account a where a.node_id = p.node_id and a.id = p.account_id and a.type = 'escrow' and a.owner = ${paymentId}`;
    await tx`alter table ledger_posting enable trigger ledger_posting_is_immutable`;
  });
}

type Write = (tx: Transaction) => PromiseLike<unknown>;

/** Writes to the mirror past the indexer's triggers. */
async function asNobody(write: Write): Promise<void> {
  await market.sql.begin(async (tx) => {
    await tx`set local session_replication_role = replica`;
    await write(tx);
  });
}

describe('dealkeep reconcile and rebuild', () => {
  test('finds chain, mirror and ledger the same after deposits and a release, and what is nobody’s is a surplus', async () => {
    const [kept, released] = [await funded(), await funded()];
    await market.ask(released.id, 'release');
    await market.untilStatus(released.id, 'released');
    const run = await reconcile('--all', '--json');
    expect(run, run.errors).toMatchObject({ code: 0, json: { failures: [], items: [{ agrees: true, deals: 2 }] } });
    expect(usdc(run)).toMatchObject({
      openDeals: 1,
      heldUnits: { chain: '25500000', mirror: '25500000', ledger: '25500000', others: '0' },
      creditUnits: { chain: '255000', mirror: '255000' },
      surplusUnits: '0',
    });
    expect(kept.status).toBe('funded');
    const wallet = await openWallet(running.stack);
    const { tokens, diamond } = running.stack;
    const gift = { address: tokens.USDC, abi: usdcAbi, functionName: 'mint', args: [diamond, 7n] } as const;
    await wallet.mined(await wallet.client.writeContract(gift));
    await expect.poll(async () => usdc(await reconcile('--json')).surplusUnits, { timeout: 60_000 }).toBe('7');
  });

  test('names the deal whose row was tampered with, with what each of the three says', async () => {
    const payment = await funded();
    const { sql } = market;
    // A worker would put it right again, as long as its pass still looks at the deal.
    await worker.process.stop();
    await sql`update deal set released_units = 1 where payment_id = ${payment.id}`;
    const run = await reconcile('--json');
    expect(run.code).toBe(1);
    const [difference] = run.json.items[0].differences;
    expect(run.json.items[0].differences).toHaveLength(1);
    expect(difference).toMatchObject({
      dealId: payment.deal.hash,
      paymentId: payment.id,
      chain: { status: 'funded', releasedUnits: '0', heldUnits: '25500000' },
      mirror: { status: 'funded', releasedUnits: '0' },
      ledger: { status: 'funded', releasedUnits: '1' },
    });
    expect((await reconcile()).output).toContain(payment.id);
    await sql`update deal set released_units = 0 where payment_id = ${payment.id}`;
    expect((await reconcile()).code).toBe(0);
  });

  test('names the deal of a ledger row that was changed, and the token with it', async () => {
    const payment = (await market.get(`/payments?node_id=${market.nodeId}&status=funded`)).json.items[0];
    await change(payment.id, 5n);
    const run = await reconcile('--json');
    expect(run.code).toBe(1);
    expect(run.json.items[0].differences).toMatchObject([
      { paymentId: payment.id, chain: { heldUnits: '25500000' }, ledger: { heldUnits: '25500005' } },
    ]);
    expect(usdc(run).agrees).toBe(false);
    await change(payment.id, -5n);
    expect((await reconcile()).code).toBe(0);
  });

  test('rebuild names a status, released units and a ledger row that were changed, and nothing when all is well', async () => {
    const { sql } = market;
    const payment = (await market.get(`/payments?node_id=${market.nodeId}&status=funded`)).json.items[0];
    const healthy = await rebuild('--json');
    expect(healthy, healthy.errors).toMatchObject({ code: 0, json: { items: [{ payments: 3, misstated: [] }] } });
    await sql`update payment set status = 'released' where id = ${payment.id}`;
    await sql`update deal set released_units = 1 where payment_id = ${payment.id}`;
    await change(payment.id, 5n);
    const run = await rebuild('--json');
    expect(run.code).toBe(1);
    const named = run.json.items[0].misstated;
    expect(named.every((one: Json) => one.paymentId === payment.id)).toBe(true);
    expect(named.map(({ what, stands, rebuilt }: Json) => [what, stands, rebuilt])).toEqual([
      ['leg 0: released_units', '1', '0'],
      ['status', 'released', 'funded'],
      ['status in its log', 'funded', 'released'],
      [`escrow account of ${payment.id}`, '25500005', '25500000'],
    ]);
    await sql`update payment set status = 'funded' where id = ${payment.id}`;
    await sql`update deal set released_units = 0 where payment_id = ${payment.id}`;
    await change(payment.id, -5n);
    const after = await rebuild();
    expect(after).toMatchObject({
      code: 0,
      output: expect.stringMatching(/^\d+ events are mirrored as on chain; 3 payments/),
    });
    expect(await sql`select 1 from pg_namespace where nspname = 'dealkeep_shadow'`).toEqual([]);
  });

  test('rebuild names an event that the mirror lacks, has too much, or tells otherwise than the chain', async () => {
    const payment = (await market.get(`/payments?node_id=${market.nodeId}&status=funded`)).json.items[0];
    const dealId = payment.deal.hash;
    const { sql } = market;
    const [indexer] = await sql<{ schema: string }[]>`select schema from indexer where schema is not null`;
    const schema = sql(indexer?.schema ?? '');
    await sql`create table kept as select * from chain.deal_event where deal_id = ${dealId}`;
    const [deposit] = await sql<{ block: bigint; logIndex: number }[]>`
      select block_number as block, log_index from kept`;
    const place = { block: String(deposit?.block), logIndex: deposit?.logIndex, dealId };
    /** What a rebuild names while the mirror is as `write` left it, past the indexer's triggers. */
    const named = async (write: Write, unwrite: Write): Promise<Json[]> => {
      await asNobody(write);
      const run = await rebuild('--json');
      expect(run.code, run.errors).toBe(1);
      await asNobody(unwrite);
      return run.json.items[0].mismirrored;
    };

    const lacked = await named(
      (tx) => tx`delete from ${schema}.deal_event where deal_id = ${dealId}`,
      (tx) => tx`insert into ${schema}.deal_event select * from kept`,
    );
    expect(lacked).toMatchObject([{ ...place, what: 'event', field: null, chain: 'Deposited', mirror: null }]);

    const moved = (tx: Transaction, from: number) => tx`
      update kept set log_index = ${from}`;
    const added = await named(
      async (tx) => {
        await moved(tx, 77);
        await tx`insert into ${schema}.deal_event select * from kept`;
      },
      async (tx) => {
        await tx`delete from ${schema}.deal_event where deal_id = ${dealId} and log_index = 77`;
        await moved(tx, deposit?.logIndex ?? 0);
      },
    );
    expect(added).toContainEqual(
      expect.objectContaining({ ...place, logIndex: 77, what: 'event', chain: null, mirror: 'Deposited' }),
    );

    const altered = await named(
      (tx) => tx`update ${schema}.deal_event set released = 5 where deal_id = ${dealId}`,
      (tx) => tx`update ${schema}.deal_event set released = 0 where deal_id = ${dealId}`,
    );
    expect(altered[0]).toMatchObject({ ...place, what: 'event', field: 'released', chain: '0', mirror: '5' });

    const [terms] = await sql<{ payee: string }[]>`select payee from chain.deal where id = ${dealId}`;
    const otherTerms = await named(
      (tx) => tx`update ${schema}.deal set payee = operator where id = ${dealId}`,
      (tx) => tx`update ${schema}.deal set payee = ${terms?.payee ?? ''} where id = ${dealId}`,
    );
    expect(otherTerms).toMatchObject([{ ...place, what: 'deal', field: 'payee', chain: terms?.payee }]);

    const forged = `0x${'fd'.repeat(32)}`;
    const [copied] = await sql<{ columns: string }[]>`
      select string_agg(column_name, ', ') as columns from information_schema.columns
      where table_schema = ${indexer?.schema ?? ''} and table_name = 'deal' and column_name <> 'id'`;
    const rest = sql.unsafe(copied?.columns ?? '');
    const unfounded = await named(
      (tx) => tx`
        insert into ${schema}.deal (id, ${rest}) select ${forged}, ${rest} from ${schema}.deal where id = ${dealId}`,
      (tx) => tx`delete from ${schema}.deal where id = ${forged}`,
    );
    expect(unfounded).toMatchObject([{ what: 'deal', dealId: forged, chain: null, mirror: 'Deposited' }]);
    expect((await rebuild()).code).toBe(0);
  });

  test('rebuild reads the chain in smaller ranges when a node limits them, and names a node that refuses', async () => {
    const { sql } = market;
    const door = await openDoor(running.stack.rpcUrl);
    const [network] = await sql<{ rpcUrls: string[] }[]>`select rpc_urls from network where id = ${market.networkId}`;
    await sql`update network set rpc_urls = ${[door.url]} where id = ${market.networkId}`;
    const limited = { error: { code: -32_005, message: 'query returned more than 10000 results' } };
    let most = 4n;
    door.intercept = async (request, forward) => {
      if (request.method !== 'eth_getLogs') return await forward(request);
      const { fromBlock, toBlock } = Object(request.params[0]);
      return BigInt(toBlock) - BigInt(fromBlock) >= most ? limited : await forward(request);
    };
    const run = await rebuild('--json');
    expect(run, run.errors).toMatchObject({ code: 0, json: { items: [{ payments: 3, mismirrored: [] }] } });
    expect(run.json.items[0].events).toBe(4);
    expect(door.asked.get('eth_getLogs')).toBeGreaterThan(8);
    most = 0n;
    const refused = await rebuild();
    expect(refused.code).toBe(3);
    expect(refused.errors).toMatch(
      /cannot be read: its node refuses \(code -32005\)\.\nNothing was changed\. See `dealkeep doctor`/,
    );
    door.close();
    await sql`update network set rpc_urls = ${network?.rpcUrls ?? []} where id = ${market.networkId}`;
  });

  test('rebuild says nothing of a chain whose two nodes do not give the same logs', async () => {
    const { sql } = market;
    const doors = [await openDoor(running.stack.rpcUrl), await openDoor(running.stack.rpcUrl)];
    const [network] = await sql<{ rpcUrls: string[] }[]>`select rpc_urls from network where id = ${market.networkId}`;
    await sql`update network set rpc_urls = ${doors.map(({ url }) => url)} where id = ${market.networkId}`;
    const agreed = await rebuild('--json');
    expect(agreed, agreed.errors).toMatchObject({ code: 0, json: { items: [{ events: 4, mismirrored: [] }] } });
    for (const door of doors.slice(1)) {
      door.intercept = async (request, forward) =>
        request.method === 'eth_getLogs' ? { result: [] } : await forward(request);
    }
    const hidden = await rebuild('--json');
    expect(hidden.code).toBe(3);
    expect(hidden.json).toMatchObject({ items: [], failures: [expect.stringContaining('its nodes disagree')] });
    for (const door of doors) door.close();
    await sql`update network set rpc_urls = ${network?.rpcUrls ?? []} where id = ${market.networkId}`;
  });

  test('is made once an hour by whoever comes first, and operators read it', async () => {
    const chain = new Chain();
    const [one, other] = await Promise.all([reconcileWhenDue(market.sql, chain), reconcileWhenDue(market.sql, chain)]);
    expect(one.length + other.length).toBeLessThanOrEqual(1);
    expect(await reconcileWhenDue(market.sql, chain)).toEqual([]);
    const { status, json } = await market.get('/reconciliations');
    expect(status).toBe(200);
    expect(json).toMatchObject({ total: 1, items: [{ network_id: market.networkId, failure: null, differing: 0 }] });
  });

  test('hundreds of deals are more than one call to a node, and all are compared', async () => {
    const { rpcUrl, addressBookPath, chainId } = running.stack;
    const book: Json = JSON.parse(await readFile(addressBookPath, 'utf8'));
    await makeEvents(rpcUrl, book[chainId], 600, () => {});
    const deals = async () => (await market.sql<{ n: number }[]>`select count(*)::int as n from chain.deal`)[0]?.n;
    await expect.poll(deals, { timeout: 60_000 }).toBe(303);
    const compared = async () => {
      const run = await reconcile('--all', '--json');
      return [run.code, run.json.items[0]?.deals, run.errors];
    };
    await expect.poll(compared, { timeout: 60_000 }).toEqual([0, 303, '']);
    expect((await rebuild('--json')).json.items[0]).toMatchObject({ events: 604, mismirrored: [] });
  });

  test('exit code 2 for a network that there is not, 3 when its nodes do not answer', async () => {
    expect((await reconcile('--network', 'Atlantis')).code).toBe(2);
    const { sql } = market;
    const [network] = await sql<{ rpcUrls: string[] }[]>`select rpc_urls from network where id = ${market.networkId}`;
    await sql`update network set rpc_urls = ${['http://127.0.0.1:9/own-key']} where id = ${market.networkId}`;
    const run = await reconcile();
    expect(run.code).toBe(3);
    expect(run.errors).toContain('See `dealkeep doctor`');
    expect(run.output + run.errors).not.toContain('own-key');
    await sql`update network set rpc_urls = ${network?.rpcUrls ?? []} where id = ${market.networkId}`;
  });
});
