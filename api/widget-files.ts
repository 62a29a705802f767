// Owns the widget's files over HTTP: under the interface's version for an hour, under one build's name for ever, and the hosted
// checkout, a page of our own that nobody may frame.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serveStatic } from '@hono/node-server/serve-static';
import type { Hono } from 'hono';
import { compress } from 'hono/compress';
import { cors } from 'hono/cors';
import { secureHeaders } from 'hono/secure-headers';
import type { Env } from './http.ts';

const folder = fileURLToPath(new URL('../widget/dist', import.meta.url));
const PATH = '/widget/v1';
const BUILD = /^\/widget\/v1\/build-([0-9a-f]{16})(\/[\w.-]+)$/;

const hostedPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Checkout</title>
<link rel="icon" href="data:,">
<script type="module" src="${PATH}/hosted.js"></script>
</head>
<body><main id="checkout"></main></body>
</html>
`;

/** Mounts the files and the hosted checkout. */
export function mountWidgetFiles(app: Hono<Env>): void {
  app.get('/checkout/:id', secureHeaders(hostedPolicy), (c) => {
    c.header('Cache-Control', 'no-store');
    return c.html(hostedPage);
  });
  if (!existsSync(folder)) return;
  app.use(`${PATH}/*`, cors({ origin: '*', allowMethods: ['GET'], maxAge: 86_400 }), compress(), async (c, next) => {
    await next();
    const age = BUILD.test(c.req.path) ? 'max-age=31536000, immutable' : 'max-age=3600';
    if (c.res.ok) c.res.headers.set('Cache-Control', `public, ${age}`);
  });
  app.use(`${PATH}/*`, async (c, next) => {
    const [, build] = BUILD.exec(c.req.path) ?? [];
    // Another build's name must not answer with this one's files: pages pin their hashes.
    if (build !== undefined && build !== (await currentBuild())) return c.notFound();
    return await next();
  });
  // A page that signs is framed by nobody; a page cannot say that of itself.
  app.use(`${PATH}/*`, async (c, next) => {
    await next();
    if (c.req.path.endsWith('.html')) c.res.headers.set('Content-Security-Policy', "frame-ancestors 'none'");
  });
  const rewriteRequestPath = (path: string) => BUILD.exec(path)?.[2] ?? path.slice(PATH.length);
  app.get(`${PATH}/*`, serveStatic({ root: folder, rewriteRequestPath }));
}

const hostedPolicy: Parameters<typeof secureHeaders>[0] = {
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    connectSrc: ["'self'"],
    imgSrc: ["'self'", 'data:'],
    styleSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
};

async function currentBuild(): Promise<string> {
  const { sources }: { sources: string } = JSON.parse(await readFile(join(folder, 'build.json'), 'utf8'));
  return sources.slice(0, 16);
}
