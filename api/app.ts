// Mounts the surfaces, their OpenAPI documents and the reference page. Reads no environment and opens no port.
import { createReadStream } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { createRouter, limitBody, renderError, renderNotFound, requestId, type Services } from './http.ts';
import { paymentsSurface } from './payments/index.ts';

const swaggerFolder = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
const referenceAssets: Record<string, string> = {
  'swagger-ui.css': 'text/css',
  'swagger-ui-bundle.js': 'text/javascript',
};

const referencePage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Dealkeep API reference</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

const referenceStart = `SwaggerUIBundle({ url: '/api/v1/openapi.json', dom_id: '#reference', validatorUrl: null });\n`;

/** The whole HTTP API over the given services. */
export function createApp(services: Services) {
  const app = createRouter();
  app.use(requestId(), limitBody());
  app.onError(renderError(services.log));
  app.notFound(renderNotFound);

  const payments = paymentsSurface(services);
  app.route('/api/v1', payments);
  app.get('/api/v1/openapi.json', (c) =>
    c.json(
      app.getOpenAPI31Document({
        openapi: '3.1.0',
        info: {
          title: 'Dealkeep payments',
          version: '1.0.0',
          description: 'Marketplace payments without a custodian: the money waits on chain until both sides are done.',
        },
        servers: [{ url: services.publicUrl }],
      }),
    ),
  );

  app.get('/docs', (c) => c.html(referencePage));
  app.get('/docs/start.js', (c) => c.body(referenceStart, 200, { 'Content-Type': 'text/javascript' }));
  app.get('/docs/:asset', (c) => {
    const asset = c.req.param('asset');
    const contentType = referenceAssets[asset];
    if (!contentType) return renderNotFound(c);
    const file = Readable.toWeb(createReadStream(join(swaggerFolder, asset))) as ReadableStream;
    return c.body(file, 200, { 'Content-Type': contentType });
  });

  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.get('/readyz', async (c) => {
    const ready = await services.sql`select 1`.then(
      () => true,
      () => false,
    );
    return ready ? c.json({ status: 'ready' }) : c.json({ status: 'database unreachable' }, 503);
  });
  return app;
}
