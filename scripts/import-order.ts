// Writes biome.core.json, by which the lint holds the files of api/core to the order of api/core/import-order.txt. With
// `--check` it writes nothing and exits 1 when that file is stale or a file of core has no place in the order.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path/posix';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);
const target = new URL('biome.core.json', root);
const lines = readFileSync(new URL('api/core/import-order.txt', root), 'utf8').split('\n');
const order = lines.filter((line) => line !== '' && !line.startsWith('#'));
const files = readdirSync(new URL('api/core/', root), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => path.slice(0, -3).replaceAll('\\', '/'));

const misplaced = [
  ...files.filter((name) => !order.includes(name)).map((name) => `${name} is not in it`),
  ...order.filter((name) => !files.includes(name)).map((name) => `${name} is no file of core`),
  ...order.filter((name, place) => order.indexOf(name) !== place).map((name) => `${name} stands in it twice`),
];
if (misplaced.length > 0) {
  console.error(`api/core/import-order.txt: ${misplaced.join(', ')}.`);
  process.exit(1);
}

const nobody = { group: ['**/scripts/**', '**/test/**'], message: 'Nothing imports scripts or test.' };

/** How a file of core imports another one. */
function specifier(from: string, to: string): string {
  const path = relative(dirname(from), `${to}.ts`);
  return path.startsWith('.') ? path : `./${path}`;
}

function override(name: string, place: number) {
  const later = order.slice(place + 1);
  const up = '../'.repeat(name.split('/').length);
  const outside = {
    group: [
      ...['hono', 'hono/**', '@hono/**', '**/indexer/**', '**/widget/**'],
      ...[`${up}*.ts`, `${up}{payments,milestones,trades,orders,items}/**`],
    ],
    message: 'Core knows no HTTP and no surface.',
  };
  const below = {
    group: later.map((other) => specifier(name, other)),
    message: 'Inside core imports run one way only: see api/core/import-order.txt.',
  };
  const patterns = later.length > 0 ? [nobody, outside, below] : [nobody, outside];
  return {
    includes: [`api/core/${name}.ts`],
    linter: { rules: { style: { noRestrictedImports: { level: 'error', options: { patterns } } } } },
  };
}

const wanted = `${JSON.stringify({ overrides: order.map(override) }, null, 2)}\n`;
if (process.argv.includes('--check')) {
  const present = existsSync(target) ? readFileSync(target, 'utf8') : '';
  if (present !== wanted) {
    console.error(`${fileURLToPath(target)} is stale: run \`node scripts/import-order.ts\` and commit the result.`);
    process.exit(1);
  }
} else {
  writeFileSync(target, wanted);
}
