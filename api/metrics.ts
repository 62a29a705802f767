// Owns the numbers that a process shows to Prometheus, on a port of their own that no client of the API reaches: its requests,
// counted as they are answered, and core's vitals, read when somebody asks.
import { createServer, type Server } from 'node:http';
import type { MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Sql } from './core/database/db.ts';
import { readReconciliations } from './core/reconciliation/reconciliations.ts';
import { readEscrow, readMirrors, readQueue, readSigners, readWebhooks } from './core/vitals.ts';

// From a warm read (2 ms) to a request that waits for a chain (RPC_TIMEOUT_MS in core).
const SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** The metrics of one process. */
export class Metrics {
  readonly #sql: Sql;
  readonly #registry = new Registry();
  readonly #requests = new Histogram({
    name: 'dealkeep_request_seconds',
    help: 'Requests answered, by route and status',
    labelNames: ['method', 'route', 'status'],
    buckets: SECONDS,
    registers: [this.#registry],
  });
  readonly #queueDue = this.#gauge('queue_due', 'Jobs that could run now', ['work']);
  readonly #queueOldest = this.#gauge('queue_oldest_seconds', 'Age of the oldest such job', ['work']);
  readonly #queueExhausted = this.#gauge('queue_exhausted', 'Jobs whose attempts are used up', ['work']);
  readonly #mirrorAge = this.#gauge('mirror_age_seconds', 'Age of the last mirrored block', ['network']);
  readonly #mirrorReady = this.#gauge('mirror_ready', '0 while the indexer rebuilds or is not there', ['network']);
  readonly #signerBalance = this.#gauge('signer_balance', "What a signer has of the chain's own coin", [
    'network',
    'signer',
  ]);
  readonly #signerWaits = this.#gauge(
    'signer_waits',
    '1 while it sends nothing: short of coin (paused), or fees are dear',
    ['network', 'signer', 'state'],
  );
  readonly #signerOpen = this.#gauge(
    'signer_open_transactions',
    'Sent and in no block yet: how far the chain lags the nonces',
    ['network', 'signer'],
  );
  readonly #held = this.#gauge('escrow_held', 'What open deals hold, in major units', ['network', 'currency', 'token']);
  readonly #credits = this.#gauge('escrow_credits', 'What waits to be withdrawn, in major units', [
    'network',
    'currency',
    'token',
  ]);

  readonly #reconciledDiffering = this.#gauge(
    'reconciliation_differing',
    'What the last comparison found; NaN: it failed',
    ['network'],
  );
  readonly #reconciledAge = this.#gauge('reconciliation_age_seconds', 'Age of the last comparison', ['network']);
  readonly #webhooksWaiting = this.#gauge('webhooks_waiting', 'Webhooks that have not arrived yet', []);
  readonly #webhooksOldest = this.#gauge('webhooks_oldest_seconds', 'Age of the oldest of them', []);
  readonly #webhooksRetrying = this.#gauge('webhooks_retrying', 'Those of them that have failed at least once', []);
  readonly #webhooksFailed = this.#gauge('webhooks_failed', 'Webhooks given up after three days', []);
  readonly #webhookEndpoints = this.#gauge(
    'webhook_endpoints_failing',
    'Endpoints with an open breaker, or disabled by a 410',
    ['state'],
  );

  constructor(sql: Sql) {
    this.#sql = sql;
    collectDefaultMetrics({ register: this.#registry });
  }

  #gauge<Label extends string>(name: string, help: string, labelNames: Label[]): Gauge<Label> {
    return new Gauge({ name: `dealkeep_${name}`, help, labelNames, registers: [this.#registry] });
  }

  /** Counts and times every request under its route's pattern, so that no id becomes a label. */
  count(): MiddlewareHandler {
    return async (c, next) => {
      const end = this.#requests.startTimer();
      await next();
      end({ method: c.req.method, route: routePath(c, -1), status: c.res.status });
    };
  }

  /** Everything as Prometheus reads it. @throws what the database throws */
  async expose(): Promise<string> {
    const [queue, mirrors, escrow, signers, webhooks, reconciliations] = await Promise.all([
      readQueue(this.#sql),
      readMirrors(this.#sql),
      readEscrow(this.#sql),
      readSigners(this.#sql),
      readWebhooks(this.#sql),
      readReconciliations(this.#sql),
    ]);
    // What is gone must not stay behind as its last number.
    for (const gauge of [this.#queueDue, this.#queueOldest, this.#queueExhausted]) gauge.reset();
    for (const { work, due, oldestSeconds, exhausted } of queue) {
      this.#queueDue.set({ work }, due);
      this.#queueOldest.set({ work }, oldestSeconds);
      this.#queueExhausted.set({ work }, exhausted);
    }
    for (const gauge of [this.#mirrorAge, this.#mirrorReady]) gauge.reset();
    for (const { network, ageSeconds, ready } of mirrors) {
      this.#mirrorAge.set({ network }, ageSeconds ?? Number.NaN);
      this.#mirrorReady.set({ network }, Number(ready));
    }
    for (const { network, currency, token, decimals, heldUnits, creditUnits } of escrow) {
      this.#held.set({ network, currency, token }, majorUnits(heldUnits, decimals));
      this.#credits.set({ network, currency, token }, majorUnits(creditUnits, decimals));
    }
    this.#webhooksWaiting.set(webhooks.waiting);
    this.#webhooksOldest.set(webhooks.oldestSeconds);
    this.#webhooksRetrying.set(webhooks.retrying);
    this.#webhooksFailed.set(webhooks.failed);
    this.#webhookEndpoints.set({ state: 'open' }, webhooks.open);
    this.#webhookEndpoints.set({ state: 'gone' }, webhooks.gone);
    for (const gauge of [this.#reconciledDiffering, this.#reconciledAge]) gauge.reset();
    for (const { network, differing, ageSeconds } of reconciliations) {
      this.#reconciledDiffering.set({ network }, differing ?? Number.NaN);
      this.#reconciledAge.set({ network }, ageSeconds);
    }
    for (const gauge of [this.#signerBalance, this.#signerOpen, this.#signerWaits]) gauge.reset();
    for (const { network, signer, state, balanceWei, open } of signers) {
      for (const cause of ['paused', 'dear'])
        this.#signerWaits.set({ network, signer, state: cause }, Number(state === cause));
      this.#signerBalance.set({ network, signer }, majorUnits(balanceWei, 18));
      this.#signerOpen.set({ network, signer }, open);
    }
    return await this.#registry.metrics();
  }

  /** Serves `/metrics` until the server is closed. */
  serve({ hostname, port }: { hostname: string; port: number }): Server {
    const server = createServer((request, response) => {
      if (request.url !== '/metrics') {
        response.writeHead(404).end();
        return;
      }
      this.expose().then(
        (text) => response.writeHead(200, { 'Content-Type': this.#registry.contentType }).end(text),
        () => response.writeHead(503).end('The database cannot be read.\n'),
      );
    });
    return server.listen(port, hostname);
  }
}

// A picture for people and alerts; no amount that moves money passes through it.
function majorUnits(amountUnits: bigint, decimals: number): number {
  return Number(amountUnits) / 10 ** decimals;
}
