/**
 * How the contracts are compiled, tested and run locally: offline, with the solc that npm installed, and always with the
 * settings of the deployment, so that tests and gas measurements see the very code that holds money.
 */
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import hardhatViem from '@nomicfoundation/hardhat-viem';
import { defineConfig } from 'hardhat/config';

const compiler = {
  version: '0.8.37',
  path: createRequire(import.meta.url).resolve('solc/soljson.js'),
  settings: { evmVersion: 'prague', viaIR: true, optimizer: { enabled: true, runs: 20_000 } },
};

/** Tests take the contracts from their artifacts, so they can be compiled without viaIR, four times as fast. */
const overrides = Object.fromEntries(
  readdirSync(new URL('test/contracts', import.meta.url))
    .filter((name) => name.endsWith('.t.sol') && name !== 'Twins.t.sol')
    .map((name) => [
      `test/contracts/${name}`,
      { ...compiler, settings: { evmVersion: 'prague', optimizer: { enabled: true, runs: 200 } } },
    ]),
);
/** How hard the tests search: `npm run test:long` sets LONG_TESTS. */
const searching = process.env.LONG_TESTS
  ? { fuzz: { runs: 1_000 }, invariant: { runs: 256, depth: 100 } }
  : { fuzz: { runs: 64 }, invariant: { runs: 16, depth: 50 } };
const profile = { compilers: [compiler], overrides, isolated: false };

export default defineConfig({
  plugins: [hardhatViem],
  solidity: {
    splitTestsCompilation: true,
    npmFilesToBuild: [
      '@openzeppelin/contracts/governance/TimelockController.sol',
      '@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol',
    ],
    profiles: { default: profile, production: profile },
  },
  paths: { sources: 'contracts', tests: { solidity: 'test/contracts' } },
  networks: {
    default: { type: 'edr-simulated', chainType: 'l1', hardfork: 'prague', blockGasLimit: 60_000_000 },
    node: { type: 'edr-simulated', chainType: 'l1', hardfork: 'prague', blockGasLimit: 60_000_000 },
  },
  test: { solidity: { ...searching, fsPermissions: { readFile: ['test/contracts/vectors.json'] } } },
});
