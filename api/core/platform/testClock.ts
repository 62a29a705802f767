// Owns the test clock: how far the installation's time is ahead of the machine's, kept in one row that every process follows.
// Refuses to move where money is real, and never moves back.
import { createTestClient, http, publicActions } from 'viem';
import { hardhat } from 'viem/chains';
import { setClockOffset } from '../clock.ts';
import { type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { ProviderError, type Providers } from '../rails/provider.ts';
import type { NetworkRow } from '../schema.ts';
import { type Integration, listNetworks, requireOperator } from './platform.ts';

const CHANNEL = 'test_clock';
// A process that missed the notice is at most so much behind.
const FOLLOW_INTERVAL_MS = 1_000;
// The chain id of local development chains, the only ones whose time can be set.
const LOCAL_CHAIN_ID = 31_337n;

/** Where the clock is to go. */
export type ClockMove = { now: Date } | { advanceSeconds: number };

/** The installation's time as the database has it, and its lead on the machine's. */
export type TestClock = { now: Date; offsetMs: number };

/** @throws forbidden unless an operator of an installation asks that knows no live network and no live integration. */
export async function requireTestClock(sql: Sql | Transaction, integration: Integration): Promise<void> {
  await requireOperator(sql, integration);
  const [live] = await sql`
    select 1 from network where mode = 'live' union all select 1 from integration where mode = 'live' limit 1`;
  if (live || integration.mode === 'live') {
    throw new CoreError('forbidden', 'Where money is real, time is too: the clock cannot be moved.');
  }
}

/** What the clock shows. */
export async function readTestClock(sql: Sql | Transaction, { lock = false } = {}): Promise<TestClock> {
  const [row] = await sql<{ offsetMs: bigint }[]>`select offset_ms from test_clock ${lock ? sql`for update` : sql``}`;
  const offsetMs = Number(row?.offsetMs ?? 0n);
  return { now: new Date(Date.now() + offsetMs), offsetMs };
}

/**
 * Moves every local chain, the providers, this process and, within a second, every other one together.
 * @throws forbidden · invalid_request: it would go back · upstream_unavailable: a chain or a provider does not follow; ask again.
 */
export async function moveTestClock(
  sql: Sql | Transaction,
  providers: Providers,
  integration: Integration,
  move: ClockMove,
): Promise<TestClock> {
  await requireTestClock(sql, integration);
  const moved = await transact(sql, async (tx) => {
    const before = await readTestClock(tx, { lock: true });
    const now = 'now' in move ? move.now : new Date(before.now.getTime() + move.advanceSeconds * 1_000);
    if (now < before.now) {
      const field = 'now' in move ? 'now' : 'advance_seconds';
      const message = `would move the clock back; it is ${before.now.toISOString()}`;
      throw new CoreError('invalid_request', `Not valid: ${field}.`, [{ pointer: `/${field}`, message }]);
    }
    await Promise.all([...(await localChains(tx)).map((url) => moveChain(url, now)), moveProviders(providers, now)]);
    const offsetMs = now.getTime() - Date.now();
    await tx`update test_clock set offset_ms = ${offsetMs}`;
    // What is open at a provider may have changed by the hour alone.
    await tx`
      update rail_attempt set next_step_at = now()
      where next_step_at is not null and status in ('open', 'held', 'captured', 'bounced', 'voided', 'requested')`;
    await tx`select pg_notify(${CHANNEL}, ${String(offsetMs)})`;
    return { now, offsetMs };
  });
  setClockOffset(moved.offsetMs);
  return moved;
}

async function moveProviders(providers: Providers, now: Date): Promise<void> {
  try {
    await providers.moveClocks(now);
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    throw new CoreError('upstream_unavailable', `A provider does not follow the clock. ${error.message}`);
  }
}

async function localChains(sql: Sql | Transaction): Promise<string[]> {
  const local = (await listNetworks(sql)).filter(
    // Only there may a URL lead anywhere.
    ({ eip155Id, archivedAt, local: mayBeAnywhere }: NetworkRow) =>
      eip155Id === LOCAL_CHAIN_ID && archivedAt === null && mayBeAnywhere,
  );
  return [...new Set(local.flatMap(({ rpcUrls }) => rpcUrls.slice(0, 1)))];
}

/** A local chain runs ahead by its own blocks; then one more block is all that it needs. */
async function moveChain(url: string, now: Date): Promise<void> {
  const chain = createTestClient({ chain: hardhat, mode: 'hardhat', transport: http(url, { retryCount: 0 }) });
  try {
    const { timestamp } = await chain.extend(publicActions).getBlock();
    const target = BigInt(Math.floor(now.getTime() / 1_000));
    if (target > timestamp) await chain.setNextBlockTimestamp({ timestamp: target });
    await chain.mine({ blocks: 1 });
  } catch {
    throw new CoreError('upstream_unavailable', 'A local chain does not follow the clock.');
  }
}

/** Keeps this process's clock where the database says, until stopped; while that is away, the clock stays as it is. */
export async function followTestClock(sql: Sql, onError: (error: unknown) => void): Promise<{ stop(): Promise<void> }> {
  let failing = false;
  let listening: ReturnType<Sql['listen']> | undefined;
  async function follow(): Promise<void> {
    try {
      setClockOffset((await readTestClock(sql)).offsetMs);
      listening ??= sql.listen(CHANNEL, (offsetMs) => setClockOffset(Number(offsetMs)));
      await listening;
      failing = false;
    } catch (error) {
      // Said once, not each second.
      if (!failing) onError(error);
      failing = true;
    }
  }
  await follow();
  const timer = setInterval(() => void follow(), FOLLOW_INTERVAL_MS);
  return {
    async stop() {
      clearInterval(timer);
      await (await listening?.catch(() => null))?.unlisten();
    },
  };
}
