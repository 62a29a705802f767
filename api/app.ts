// Mounts the surfaces, their OpenAPI documents and the reference page. Reads no environment and opens no port.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { serveStatic } from '@hono/node-server/serve-static';
import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { secureHeaders } from 'hono/secure-headers';
import { completeDocument } from './document.ts';
import { examine } from './health.ts';
import {
  createRouter,
  type Env,
  limitBody,
  limitStrangers,
  problems,
  renderError,
  renderNotFound,
  requestId,
  type Services,
} from './http.ts';
import { logRequests } from './logging.ts';
import { ordersDescription, ordersSurface } from './orders/index.ts';
import { eventWebhook } from './payments/events.ts';
import { paymentsSurface, paymentsTags } from './payments/index.ts';
import { documentScopes } from './scopes.ts';
import { apiVersion, VERSION_HEADER, versions } from './versions.ts';
import { mountWidgetFiles } from './widget-files.ts';

const swaggerFolder = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));

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
<script src="/docs/swagger-ui-standalone-preset.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

const referenceStart = `SwaggerUIBundle({
  urls: [
    { name: 'Payments and platform', url: '/api/v1/openapi.json' },
    { name: 'Orders: marketplaces with many sellers', url: '/orders/v1/openapi.json' },
  ],
  dom_id: '#reference',
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  layout: 'StandaloneLayout',
  validatorUrl: null,
});\n`;

/** The whole HTTP API over the given services. */
export function createApp(services: Services) {
  const app = new Hono<Env>();
  // A widget lives on any marketplace's page, so its script and its data must be readable there; nothing else is.
  app.use(requestId(), logRequests(services.log));
  if (services.metrics) app.use(services.metrics.count());
  app.use(secureHeaders({ crossOriginResourcePolicy: 'cross-origin' }), limitBody());
  const anyOrigin = cors({
    origin: '*',
    allowMethods: ['GET', 'POST'],
    allowHeaders: ['Authorization', 'Content-Type', 'X-Correlation-Id', VERSION_HEADER],
    exposeHeaders: ['X-Request-Id', 'X-Correlation-Id', VERSION_HEADER, 'RateLimit', 'RateLimit-Policy', 'Retry-After'],
    maxAge: 86_400,
  });
  app.use('/api/v1/widget/*', anyOrigin);
  app.use('/api/*', limitStrangers(services), apiVersion());
  app.use('/orders/*', limitStrangers(services));
  app.onError(renderError(services.log));
  app.notFound(renderNotFound);

  const payments = createRouter();
  payments.route('/api/v1', paymentsSurface(services));
  payments.openAPIRegistry.registerWebhook(eventWebhook);
  app.route('/', payments);
  const paymentsDocument = documentOf(payments, services, {
    title: 'Dealkeep payments',
    description: 'Marketplace payments without a custodian: the money waits on chain until both sides are done.',
    tags: paymentsTags,
    versioned: true,
  });
  app.get('/api/v1/openapi.json', (c) => c.json(paymentsDocument));

  const orders = createRouter();
  orders.route('/orders/v1', ordersSurface(services));
  app.route('/', orders);
  const ordersDocument = documentOf(orders, services, { ...ordersDescription, versioned: false });
  app.get('/orders/v1/openapi.json', (c) => c.json(ordersDocument));

  app.get('/docs', (c) => c.html(referencePage));
  app.get('/docs/start.js', (c) => c.body(referenceStart, 200, { 'Content-Type': 'text/javascript' }));
  for (const asset of ['swagger-ui.css', 'swagger-ui-bundle.js', 'swagger-ui-standalone-preset.js']) {
    app.get(`/docs/${asset}`, serveStatic({ path: join(swaggerFolder, asset) }));
  }

  mountWidgetFiles(app);

  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.get('/readyz', async (c) => {
    const problems = await examine(services.sql);
    if (problems.some(({ fatal }) => fatal)) return c.json({ status: 'unready', problems }, 503);
    return c.json({ status: problems.length > 0 ? 'degraded' : 'ready', problems });
  });
  return app;
}

/** The OpenAPI document of one surface, made from its routes. */
function documentOf(
  router: ReturnType<typeof createRouter>,
  { publicUrl }: Services,
  {
    title,
    description,
    tags,
    versioned,
  }: { title: string; description: string; tags: { name: string; description: string }[]; versioned: boolean },
) {
  documentScopes(router.openAPIRegistry, problems('forbidden'));
  const document = router.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title,
      version: versions[0],
      description,
      contact: { name: 'Dealkeep', url: `${publicUrl}/docs` },
      license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
    },
    servers: [{ url: publicUrl }],
    tags,
  });
  return completeDocument(document, { versioned });
}
