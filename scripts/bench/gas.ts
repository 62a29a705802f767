/**
 * Measures what each verb costs as a whole transaction, and holds it against the goals.
 * Usage: node scripts/bench/gas.ts [--json] [--only NAME] [--permit2 FILE]; exits 1 when a must is missed.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Hex } from 'viem';
import { readArtifact } from '../artifacts.ts';
import { gasCases } from './gas-cases.ts';
import { setStage } from './gas-stage.ts';

const help = `Measures gasUsed of whole transactions on a local chain, compiled as for deployment.

  npm run bench:gas                      the table
  npm run bench:gas -- --json            one JSON object and nothing else
  npm run bench:gas -- --only deposit    one row

  --permit2 FILE   hex of the real Permit2's runtime code; otherwise our stand-in is used`;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    permit2: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(help);
  process.exit(0);
}

const permit2Code = values.permit2 ? (readFileSync(values.permit2, 'utf8').trim() as Hex) : undefined;
const chosen = gasCases.filter((row) => (values.only ? row.name === values.only : true));
const results = new Map<string, { plain: number; proxy?: number }>();
for (const row of chosen) {
  const plain = Number(await row.measure(await setStage('plain', permit2Code)));
  const proxy = values.json ? undefined : Number(await row.measure(await setStage('proxy', permit2Code)));
  results.set(row.name, { plain, ...(proxy !== undefined && { proxy }) });
}

if (values.json) {
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
process.exitCode = chosen.some((row) => results.get(row.name)!.plain > row.must) ? 1 : 0;
