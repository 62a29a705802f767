/**
 * Measures what each verb costs as a whole transaction, and holds it against the goals.
 * Exits 1 when a must is missed, or with `--check` when a row grew by more than 1 % over the committed snapshot.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Hex } from 'viem';
import { buildArtifacts, readArtifact } from '../artifacts.ts';
import { gasCases } from './gas-cases.ts';
import { setStage } from './gas-stage.ts';

const help = `Measures gasUsed of whole transactions on a local chain, compiled as for deployment.

  npm run bench:gas                      the table
  npm run bench:gas -- --json            one JSON object and nothing else
  npm run bench:gas -- --only deposit    one row
  npm run bench:gas -- --check           hold every row against the committed snapshot, 1 % at most
  npm run bench:gas -- --snapshot        write the snapshot

  --permit2 FILE   hex of the real Permit2's runtime code; otherwise our stand-in is used`;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    snapshot: { type: 'boolean', default: false },
    only: { type: 'string' },
    permit2: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(help);
  process.exit(0);
}

buildArtifacts();
const permit2Code = values.permit2 ? (readFileSync(values.permit2, 'utf8').trim() as Hex) : undefined;
const chosen = gasCases.filter((row) => (values.only ? row.name === values.only : true));
if (chosen.length === 0) {
  console.error(`no row is called ${values.only}: ${gasCases.map((row) => row.name).join(', ')}`);
  process.exit(1);
}
const results = new Map<string, { plain: number; proxy?: number }>();
for (const row of chosen) {
  const plain = Number(await row.measure(await setStage('plain', permit2Code)));
  const proxy =
    values.json || values.check || values.snapshot
      ? undefined
      : Number(await row.measure(await setStage('proxy', permit2Code)));
  results.set(row.name, { plain, ...(proxy !== undefined && { proxy }) });
}

const snapshotPath = new URL('gas-snapshot.json', import.meta.url);

/** The rows that grew by more than 1 % since the snapshot, each as a line. */
function grown(): string[] {
  const snapshot: Record<string, number> = JSON.parse(readFileSync(snapshotPath, 'utf8'));
  return chosen.flatMap((row) => {
    const before = snapshot[row.name];
    const now = results.get(row.name)!.plain;
    if (before === undefined) return [`${row.name}: not in the snapshot`];
    return now > before * 1.01 ? [`${row.name}: ${now} gas, was ${before}`] : [];
  });
}

process.exitCode = chosen.some((row) => results.get(row.name)!.plain > row.must) ? 1 : 0;
if (values.snapshot) {
  const rows = chosen.map((row) => [row.name, results.get(row.name)!.plain]);
  writeFileSync(snapshotPath, `${JSON.stringify(Object.fromEntries(rows), null, 2)}\n`);
} else if (values.check) {
  const lines = grown();
  if (lines.length > 0) {
    console.error(
      `gas grew by more than 1 %: ${lines.join('; ')}. Run \`npm run bench:gas -- --snapshot\` if it must be`,
    );
    process.exitCode = 1;
  }
} else if (values.json) {
  const shown = chosen.filter((row) => row.inJson).map((row) => [row.name, results.get(row.name)?.plain]);
  console.log(JSON.stringify(Object.fromEntries(shown)));
} else {
  const line = (cells: readonly (string | number)[]) =>
    cells.map((cell, i) => (i === 0 ? String(cell).padEnd(23) : cell.toLocaleString('en').padStart(9))).join(' ');
  console.log(`${line(['', 'measured', 'must', 'stretch', 'proxy'])}   verdict, best elsewhere`);
  for (const row of chosen) {
    const { plain, proxy } = results.get(row.name)!;
    const verdict = plain <= row.stretch ? 'stretch' : plain <= row.must ? 'must' : 'MISSED';
    console.log(
      `${line([row.name, plain, row.must, row.stretch, proxy ?? 0])}   ${verdict.padEnd(8)} ${row.elsewhere}`,
    );
  }
  const size = (readArtifact('Diamond').deployedBytecode.length - 2) / 2;
  console.log(`\nDiamond: ${size} of 24576 bytes. Permit2: ${permit2Code ? 'the real code' : 'our stand-in'}.`);
}
