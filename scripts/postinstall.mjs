// Completes the install. npm runs on the machine's own Node: on one older than 22 it silently drops native packages whose `engines` ask for more,
// and Hardhat then cannot start (HHE27). When that happened, the install is completed once under the Node 24 it brought along.
import { spawnSync } from 'node:child_process';
import { rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, 'node_modules', '.bin');
const require = createRequire(join(root, 'node_modules', 'hardhat', 'package.json'));

function edrLoads() {
  const probe = spawnSync(join(bin, 'node'), [
    '-e',
    'require(process.argv[1])',
    require.resolve('@nomicfoundation/edr'),
  ]);
  return probe.status === 0;
}

if (!process.env.DEALKEEP_POSTINSTALL && !edrLoads()) {
  console.log(`Node ${process.versions.node} left native packages out: completing the install under Node 24 …`);
  const env = { ...process.env, DEALKEEP_POSTINSTALL: '1', PATH: `${bin}${delimiter}${process.env.PATH}` };
  const npm = process.env.npm_execpath;
  const again = spawnSync(
    join(bin, 'node'),
    [npm, 'install', '--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: root,
      env,
      stdio: 'inherit',
    },
  );
  if (again.status !== 0 || !edrLoads()) {
    console.error("Hardhat's native part is still missing. Run: npx -y -p node@24 npm ci");
    process.exit(1);
  }
}

const mended = spawnSync(process.execPath, [join(root, 'scripts', 'mend-postgres.mjs')], { stdio: 'inherit' });
if (mended.status !== 0) process.exit(1);

// npm links the commands of dependencies, not the package's own: this one makes `npx dealkeep` work.
if (process.platform !== 'win32') {
  rmSync(join(bin, 'dealkeep'), { force: true });
  symlinkSync('../../scripts/dealkeep.mjs', join(bin, 'dealkeep'));
}
