import { afterEach, describe, expect, inject, test } from 'vitest';
import type { Transaction } from '../../api/core/database/db.ts';
import { escrowAbi } from '../../contracts/abi.ts';
import { type Door, lagAt, openDoor } from '../support/door.ts';
import { untilDeal } from '../support/mirror.ts';
import { chainOf, mineBlocks, openWallet, strangerAddress } from '../support/wallet.ts';
import { type Marketplace, termsOf, testMarketplace } from './marketplace.ts';

const doors: Door[] = [];
afterEach(() => {
  for (const door of doors.splice(0)) door.close();
});

/** A marketplace on a network that is read through two doors before the same node. */
async function behindTwoDoors(): Promise<{ shop: Marketplace; second: Door }> {
  const { rpcUrl } = inject('stack');
  const [first, second] = [await openDoor(rpcUrl), await openDoor(rpcUrl)];
  doors.push(first, second);
  const shop = await testMarketplace({ rpcUrl: first.url });
  const body = { rpc_urls: [first.url, second.url] };
  expect((await shop.call('PATCH', `/networks/${shop.networkId}`, { body })).status).toBe(200);
  return { shop, second };
}

/** Passes of the worker that would have moved the payment, had it believed the mirror. */
async function somePasses(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 2_000));
}

/** Writes to the mirror past the indexer's triggers. */
async function asNobody({ sql }: Marketplace, write: (tx: Transaction) => Promise<void>): Promise<void> {
  await sql.begin(async (tx) => {
    await tx`set local session_replication_role = replica`;
    await write(tx);
  });
}

describe('a network with two RPC URLs', () => {
  test('a deposit that one of them does not know is mirrored, and funds nothing until it does', async () => {
    const { shop, second } = await behindTwoDoors();
    const { payment, widget } = await shop.payable();
    second.intercept = async (request, forward) =>
      request.method === 'eth_getTransactionReceipt' ? { result: null } : await forward(request);
    const { id } = await (await openWallet(inject('stack'))).deposit(termsOf(widget));
    await untilDeal(shop.sql, id, { status: 'funded' });
    await somePasses();
    expect(['awaiting_deposit', 'confirming']).toContain((await shop.get(`/payments/${payment.id}`)).json.status);
    second.intercept = (request, forward) => forward(request);
    await shop.untilStatus(payment.id, 'funded');
  });

  test('an event that one of them tells otherwise funds nothing', async () => {
    const { shop, second } = await behindTwoDoors();
    const { payment, widget } = await shop.payable();
    second.intercept = async (request, forward) => {
      const answer = await forward(request);
      if (request.method !== 'eth_getTransactionReceipt' || !answer.result) return answer;
      return { result: { ...Object(answer.result), logs: [] } };
    };
    await (await openWallet(inject('stack'))).deposit(termsOf(widget));
    await somePasses();
    expect((await shop.get(`/payments/${payment.id}`)).json.status).not.toBe('funded');
    second.intercept = (request, forward) => forward(request);
    await shop.untilStatus(payment.id, 'funded');
  });

  test('a withdrawal of fees that one of them does not know is mirrored, and entered when it does', async () => {
    const { shop, second } = await behindTwoDoors();
    const recipient = strangerAddress();
    const { payment, widget } = await shop.payable({ deal: { fee_recipient: recipient } });
    const buyer = await openWallet(inject('stack'));
    const { terms } = await buyer.deposit(termsOf(widget));
    await buyer.call('release', terms);
    await shop.untilStatus(payment.id, 'released');
    second.intercept = async (request, forward) =>
      request.method === 'eth_getTransactionReceipt' ? { result: null } : await forward(request);
    const args = [terms.token, recipient] as const;
    const call = { address: shop.diamond, abi: escrowAbi, functionName: 'withdraw', args } as const;
    await buyer.mined(await buyer.client.writeContract(call));
    const withdrawn = async () => {
      const { json } = await shop.get(`/accounts?node_id=${shop.nodeId}&owner=${recipient}&type=withdrawn`);
      return json.items[0]?.balance_units ?? '0';
    };
    await somePasses();
    expect(await withdrawn()).toBe('0');
    second.intercept = (request, forward) => forward(request);
    await expect.poll(withdrawn, { timeout: 20_000 }).toBe(terms.fee.toString());
  });

  test('while one of them lags, a deposit in a block that it lacks is not deep enough', async () => {
    const { shop, second } = await behindTwoDoors();
    const { payment, widget } = await shop.payable();
    lagAt(second, await chainOf(inject('stack')).getBlockNumber({ cacheTime: 0 }));
    await (await openWallet(inject('stack'))).deposit(termsOf(widget));
    await mineBlocks(inject('stack'), 2);
    await shop.untilStatus(payment.id, 'confirming');
    await somePasses();
    expect((await shop.get(`/payments/${payment.id}`)).json.status).toBe('confirming');
    second.intercept = (request, forward) => forward(request);
    await shop.untilStatus(payment.id, 'funded');
  });
});

describe('a mirror that was told a lie', () => {
  test('a deal under our offer that is not the hash of our terms moves nothing', async () => {
    const shop = await testMarketplace();
    const { payment, widget } = await shop.payable();
    const other = await shop.payable();
    const { id } = await (await openWallet(inject('stack'))).deposit(termsOf(other.widget));
    await shop.untilStatus(other.payment.id, 'funded');

    const [indexer] = await shop.sql<{ schema: string }[]>`select schema from indexer where schema is not null`;
    const schema = shop.sql(indexer?.schema ?? '');
    const forged = `0x${'fd'.repeat(32)}`;
    const [copied] = await shop.sql<{ columns: string }[]>`
      select string_agg(column_name, ', ') as columns from information_schema.columns
      where table_schema = ${indexer?.schema ?? ''} and table_name = 'deal' and column_name not in ('id', 'offer_id')`;
    const columns = shop.sql.unsafe(copied?.columns ?? '');
    await asNobody(shop, async (tx) => {
      await tx`
        insert into ${schema}.deal (id, offer_id, ${columns})
        select ${forged}, ${widget.offer_hash}, ${columns} from ${schema}.deal where id = ${id}`;
    });
    await somePasses();
    expect((await shop.get(`/payments/${payment.id}`)).json.status).toBe('awaiting_deposit');
    await asNobody(shop, async (tx) => void (await tx`delete from ${schema}.deal where id = ${forged}`));
  });
});
