/** The texts that loader.ts changes: the named lines at which a worker may be killed, and the bugs that the suite must notice. */
import type { KillPoint } from './schedule.ts';

/** A text of a file below api/, found there exactly once, and what stands there instead. */
export type Patch = { file: string; before: string; after: string };

const SENDER = 'core/chain/sender.ts';
const FOLLOWER = 'core/chain/follower.ts';
const SETTLE = 'core/payments/settle.ts';

const call = (point: KillPoint) => `(globalThis as any).dealkeepFaultPoint('${point}');`;

/** A signed transaction is stored and not sent; sent and not marked; its receipt is read and nothing written; entries are posted and not committed. */
export const POINTS: readonly Patch[] = [
  {
    file: SENDER,
    before: '    await broadcast(work, step.form);\n',
    after: `    ${call('stored')}\n    await broadcast(work, step.form);\n`,
  },
  {
    file: SENDER,
    before: '  await markSent(sql, form.hash);\n',
    after: `  ${call('sent')}\n  await markSent(sql, form.hash);\n`,
  },
  {
    file: FOLLOWER,
    before: '  const operations = await carriedOperations(sql, transaction);\n',
    after: `  ${call('receipt')}\n  const operations = await carriedOperations(sql, transaction);\n`,
  },
  {
    file: SETTLE,
    before: '    await answerAwaiting(tx, network, ',
    after: `    ${call('ledger')}\n    await answerAwaiting(tx, network, `,
  },
];

/** Bugs by name, one for each thing that the suite watches. */
export const BUGS: Record<string, readonly Patch[]> = {
  'skip-storing': [
    {
      file: SENDER,
      before: 'form: await storeTransaction(tx, lane, { nonce, raw, carries }) };',
      after: `form: await (async () => {
        await chain.client(network).sendRawTransaction({ serializedTransaction: raw }).catch(() => {});
        const [none] = await tx<any[]>\`select 0 as attempt, \${\`0x\${'00'.repeat(32)}\`} as hash, \${raw} as raw where \${carries.length} >= 0\`;
        return none;
      })() };`,
    },
  ],
  'no-reversing-entry': [
    {
      file: 'core/ledger.ts',
      before: '  for (const entry of standing.slice(kept).reverse()) await reverseEntry(tx, parties, entry);\n',
      after: '  if (reverseEntry.length < 0) return;\n',
    },
  ],
  'double-claim': [
    {
      file: 'core/chain/transactions.ts',
      before: "      update operation set status = 'submitted', transaction_hash",
      after: "      update operation set status = 'queued', transaction_hash",
    },
    {
      file: 'core/chain/transactions.ts',
      before: '          position,\n',
      after: '          position,\n          live: false,\n',
    },
  ],
  'drop-webhook': [
    {
      file: 'core/webhooks/dispatch.ts',
      before: 'const outcome = await this.#request(endpoint, delivery, startedAt);',
      after: `const outcome = await (delivery.eventId.endsWith('7')
      ? Promise.resolve<Outcome>({ answer: { status: 204, headers: {}, body: Buffer.alloc(0), complete: true }, error: null })
      : this.#request(endpoint, delivery, startedAt));`,
    },
  ],
  'trust-unconfirmed': [
    {
      file: 'core/chain/chain.ts',
      before: '      const deep = head - BigInt(network.confirmations - 1);\n      const number',
      after: '      const deep = head;\n      const number',
    },
  ],
  'wrong-hash': [
    {
      file: 'core/chain/mirror.ts',
      before: 'and m.offer_id = d.offer_id\n        order by m.id',
      after: 'and m.number = d.number\n        order by m.id',
    },
    {
      file: 'core/chain/mirror.ts',
      before: 'and d.offer_id = m.offer_id\n    where',
      after: 'and d.number = m.number\n    where',
    },
    {
      file: SETTLE,
      before: '    dealId &&\n    hashOf(',
      after: '    false &&\n    hashOf(',
    },
  ],
};
