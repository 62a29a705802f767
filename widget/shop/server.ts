// Starts the demo shop beside a running stack: `node widget/shop/server.ts --stack .data/stack.json`.
import { parseArgs } from 'node:util';
import { serve } from '@hono/node-server';
import { readSettings } from './settings.ts';
import { createShop } from './shop.ts';

const USAGE = `Usage: node widget/shop/server.ts [options]

  --stack <file>   stack.json of a running stack (default .data/stack.json)
  --port <port>    default 4100, on 127.0.0.1
  --test-wallet    give the page a wallet that signs with a known key; chain 31337 only
`;

const { values } = parseArgs({
  options: {
    stack: { type: 'string', default: '.data/stack.json' },
    port: { type: 'string', default: '4100' },
    'test-wallet': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}

try {
  const settings = readSettings(values.stack, { testWallet: values['test-wallet'] });
  const server = serve(
    { fetch: createShop(settings).fetch, hostname: '127.0.0.1', port: Number(values.port) },
    (info) => console.log(`Demo shop listening on http://127.0.0.1:${info.port}`),
  );
  server.on('error', (error) => fail(`Port ${values.port} cannot be used: ${error.message}`));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => server.close(() => process.exit(0)));
  }
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
