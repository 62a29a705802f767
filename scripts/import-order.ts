// Writes biome.core.json, by which the lint holds the files of api/core to the order of api/core/import-order.txt. With
// `--check` it writes nothing and exits 1 when that file is stale or a file of core has no place in the order.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);
const target = new URL('biome.core.json', root);
const lines = readFileSync(new URL('api/core/import-order.txt', root), 'utf8').split('\n');
const order = lines.filter((line) => line !== '' && !line.startsWith('#'));
const files = readdirSync(new URL('api/core/', root)).filter((name) => name.endsWith('.ts'));

const misplaced = [
  ...files.filter((name) => !order.includes(name.slice(0, -3))).map((name) => `${name} is not in it`),
  ...order.filter((name) => !files.includes(`${name}.ts`)).map((name) => `${name} is no file of core`),
  ...order.filter((name, place) => order.indexOf(name) !== place).map((name) => `${name} stands in it twice`),
];
if (misplaced.length > 0) {
  console.error(`api/core/import-order.txt: ${misplaced.join(', ')}.`);
  process.exit(1);
}

const outside = {
  group: [
    'hono',
    'hono/**',
    '@hono/**',
    '../*.ts',
    '../{payments,milestones,trades,orders,items}/**',
    '**/indexer/**',
    '**/widget/**',
  ],
  message: 'Core knows no HTTP and no surface.',
};
const nobody = { group: ['**/scripts/**', '**/test/**'], message: 'Nothing imports scripts or test.' };

function override(name: string, place: number) {
  const later = order.slice(place + 1);
  const below = {
    group: [`./${later.length > 1 ? `{${later.join(',')}}` : later[0]}.ts`],
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
