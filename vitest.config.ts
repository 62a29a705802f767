import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/setup.ts'],
    // Chain and indexer are real: a step waits for blocks and confirmations, not for a mock.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Two cores; more files at once only wait for each other.
    maxWorkers: 2,
  },
});
