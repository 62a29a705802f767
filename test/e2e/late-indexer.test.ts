// A buyer pays while the indexer is down: told what is known, and funded once it is back.
import { expect, test } from 'vitest';
import { startWorker } from '../../scripts/dev/services.ts';
import { startStack } from '../support/stack.ts';
import { openStage } from './checkout.ts';
import { ScriptedWallet } from './scripted-wallet.ts';

const DOWN_MS = process.env.LONG_TESTS ? 60_000 : 20_000;

test('the indexer is down for a while: the deposit is found by its receipt, also after a reload, then paid', async () => {
  const running = await startStack();
  const { stack } = running;
  const logPath = `${stack.folder}/worker.log`;
  const { databaseUrl, secret, operatorKey } = stack;
  const worker = await startWorker({ databaseUrl, secret, operatorKeys: [operatorKey], logPath });
  const stage = await openStage({ stack });
  try {
    const wallet = await ScriptedWallet.open(stack);
    const { payment } = await stage.market.payable();
    const checkout = await stage.open(payment, [wallet]);
    await checkout.connect(wallet);
    await running.indexer.stop();
    await checkout.press(/^Pay/);
    await checkout.until('mined', 'confirming');
    await checkout.page.reload();
    // By its receipt, which the worker looks at meanwhile.
    await checkout.until('confirming');
    await new Promise((resolve) => setTimeout(resolve, DOWN_MS));
    await checkout.says('Payment found');
    await running.restartIndexer();
    await checkout.until('funded');
    expect(wallet.deeds).toEqual(['connect', 'approve', 'deposit']);
    await checkout.close();
  } finally {
    await stage.close();
    await worker.process.stop();
    await running.stop();
  }
}, 180_000);
