/** Before the first test file: compiles the contracts and starts the stack and the worker that the whole run shares. */

import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { compileContracts } from '../../scripts/dev/hardhat.ts';
import { startWorker } from '../../scripts/dev/services.ts';
import { type Stack, startStack } from './stack.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The stack that the whole run shares. */
    stack: Stack;
  }
}

/** Called by vitest once a run; answers what ends everything again. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const compileLog = join(tmpdir(), `dealkeep-compile-${process.pid}.log`);
  await compileContracts(compileLog);
  await rm(compileLog);
  const running = await startStack();
  const { databaseUrl, secret, operatorKey, arbiterKey, folder } = running.stack;
  try {
    const logPath = join(folder, 'worker.log');
    const worker = await startWorker({ databaseUrl, secret, operatorKeys: [operatorKey, arbiterKey], logPath });
    project.provide('stack', running.stack);
    return async () => {
      await worker.process.stop();
      await running.stop();
    };
  } catch (error) {
    await running.stop();
    throw error;
  }
}
