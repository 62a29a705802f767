/**
 * How the contracts are compiled, tested and run locally. Both profiles compile offline with the solc that npm installed:
 * `production` is what is deployed and what gas is measured on, `default` skips viaIR so that tests compile fast.
 * Each has its own artifacts folder, so that neither can be mistaken for the other.
 */
import { createRequire } from 'node:module';
import hardhatViem from '@nomicfoundation/hardhat-viem';
import { defineConfig } from 'hardhat/config';

const compiler = { version: '0.8.37', path: createRequire(import.meta.url).resolve('solc/soljson.js') } as const;
const profile = process.env.HARDHAT_BUILD_PROFILE ?? process.argv[process.argv.indexOf('--build-profile') + 1];
const folder = profile === 'production' ? 'production' : 'default';

export default defineConfig({
  plugins: [hardhatViem],
  solidity: {
    splitTestsCompilation: true,
    npmFilesToBuild: [
      '@openzeppelin/contracts/governance/TimelockController.sol',
      '@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol',
    ],
    profiles: {
      default: {
        ...compiler,
        settings: { evmVersion: 'prague', optimizer: { enabled: true, runs: 200 } },
      },
      production: {
        ...compiler,
        isolated: false,
        settings: { evmVersion: 'prague', viaIR: true, optimizer: { enabled: true, runs: 20_000 } },
      },
    },
  },
  paths: {
    sources: 'contracts',
    tests: { solidity: 'test/contracts' },
    artifacts: `artifacts/${folder}`,
    cache: `cache/${folder}`,
  },
  networks: {
    default: { type: 'edr-simulated', chainType: 'l1', hardfork: 'prague', blockGasLimit: 60_000_000 },
    node: { type: 'edr-simulated', chainType: 'l1', hardfork: 'prague', blockGasLimit: 60_000_000 },
  },
  test: { solidity: { fuzz: { runs: 64 }, invariant: { runs: 16, depth: 50 } } },
});
