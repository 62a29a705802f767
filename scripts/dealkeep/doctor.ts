/** `dealkeep doctor`: what is wrong with an installation, and what to do about it. */
import { Command } from 'commander';
import { Chain } from '../../api/core/chain/chain.ts';
import type { Sql } from '../../api/core/database/db.ts';
import { listNetworks } from '../../api/core/platform/platform.ts';
import { type Ailment, examine } from '../../api/health.ts';
import { type Answer, placeOf, settingsOf } from './api.ts';
import { databaseOption, withDatabase } from './database.ts';
import { Failure } from './failure.ts';
import { examples } from './options.ts';
import { printRows } from './output.ts';

// Tokens and deadlines count in seconds; a chain's own clock may be off by some.
const CLOCK_LATE_MS = 5_000;
const HEAD_LATE_SECONDS = 120;

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('check API, database, migrations, worker, queue, indexer, RPC nodes, signers, webhooks and clocks')
    .addOption(databaseOption('the database; without it only the API is asked'))
    .addHelpText(...examples('doctor', '--url https://pay.example.com doctor --json'))
    .action(async ({ databaseUrl }, self: Command) => {
      const settings = settingsOf(self);
      const place = placeOf(settings);
      const database = databaseUrl ?? place.databaseUrl;
      const ailments = [...(await examineApi(place.url, { problems: !database }))];
      if (database) ailments.push(...(await examineInstallation(database)));
      const answer = { items: ailments, total: ailments.length };
      if (ailments.length === 0 && !settings.json) console.log('All is well.');
      else {
        printRows(settings, answer, [
          ['what', (row: Ailment) => row.part],
          ['is wrong', (row: Ailment) => row.problem],
          ['do this', (row: Ailment) => row.remedy],
        ]);
      }
      if (ailments.some(({ fatal }) => fatal)) throw new Failure('Requests cannot be answered.', 3);
      if (ailments.length > 0) throw new Failure('Not all is well.');
    });
}

/** Whether the API answers and knows the time; with `problems`, also what it says of the rest. */
async function examineApi(url: string, { problems }: { problems: boolean }): Promise<Ailment[]> {
  const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(10_000) }).catch(() => null);
  if (!response) {
    return [
      { part: 'API', fatal: true, problem: `${url} does not answer.`, remedy: 'Start it: node api/index.ts api.' },
    ];
  }
  const offMs = Date.now() - Date.parse(response.headers.get('Date') ?? new Date().toUTCString());
  const ailments = clockAilments('clock of the API', offMs);
  const answer: Answer = await response.json().catch(() => null);
  return problems && Array.isArray(answer?.problems) ? [...ailments, ...answer.problems] : ailments;
}

async function examineInstallation(databaseUrl: string): Promise<Ailment[]> {
  return await withDatabase(databaseUrl, async (sql) => {
    const ailments = await examine(sql);
    if (ailments.some(({ fatal }) => fatal)) return ailments;
    return [...ailments, ...(await examineClock(sql)), ...(await examineNetworks(sql))];
  });
}

async function examineClock(sql: Sql): Promise<Ailment[]> {
  const [row] = await sql<{ now: Date }[]>`select clock_timestamp() as now`;
  return clockAilments('clock of the database', Date.now() - (row?.now ?? new Date()).getTime());
}

// HTTP dates count whole seconds, so up to one is no difference.
function clockAilments(part: string, offMs: number): Ailment[] {
  if (Math.abs(offMs) < CLOCK_LATE_MS) return [];
  const problem = `It is ${Math.round(Math.abs(offMs) / 1_000)} s ${offMs > 0 ? 'behind' : 'ahead of'} this machine's.`;
  return [{ part, fatal: false, problem, remedy: 'Synchronise both with NTP.' }];
}

/** Asks every network's RPC nodes; their URLs often hold keys, so a node is called by its place in the record. */
async function examineNetworks(sql: Sql): Promise<Ailment[]> {
  const chain = new Chain();
  const networks = (await listNetworks(sql)).filter((network) => !network.archivedAt);
  const found = networks.map(async (network) => {
    const ailments: Ailment[] = [];
    const ail = (part: string, problem: string, remedy: string) =>
      ailments.push({ part, fatal: false, problem, remedy });
    try {
      const { timestamp } = await chain.client(network).getBlock();
      const ageSeconds = Math.round(Date.now() / 1_000) - Number(timestamp);
      if (ageSeconds > HEAD_LATE_SECONDS) {
        ail(
          `chain of ${network.name}`,
          `Its newest block is ${ageSeconds} s old.`,
          'Check whether the RPC nodes follow the chain.',
        );
      }
    } catch {
      ail(
        `chain of ${network.name}`,
        'No RPC node answers.',
        'Check the RPC URLs of the network, and replace them by PATCH.',
      );
    }
    for (const [index, { state, reason }] of chain.report(network).entries()) {
      if (state === 'ok' || state === 'unknown') continue;
      ail(`RPC node ${index + 1} of ${network.name}`, reason ?? `It is ${state}.`, 'Replace its URL by PATCH.');
    }
    return ailments;
  });
  return (await Promise.all(found)).flat();
}
