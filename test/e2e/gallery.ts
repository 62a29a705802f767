/**
 * A page that shows any scene of widget/playground/scenes.ts: the element as it is delivered, standing still at a fixed time, in the
 * packaged Chromium with fonts from npm. So what it draws depends on nothing but the sources.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Hono } from 'hono';
import type { Browser, Page } from 'playwright-core';
import { launchBrowser } from './browser.ts';
import { buildWidget, listen } from './checkout.ts';
import { compare, indexed, writePng } from './pixels.ts';

const ROOT = join(import.meta.dirname, '../..');
const DIST = join(ROOT, 'widget/dist');
/** One picture a scene, its variants side by side. */
const PICTURES = join(ROOT, 'widget/screenshots/states');
const DIFFERENCES = join(ROOT, 'node_modules/.cache/dealkeep-pictures');
const NOW = new Date('2026-11-25T12:00:00Z');
const MARGIN = 12;
/** The tallest scene is shorter. */
const HEIGHT = 1_700;
const WAIT_MS = 20_000;
/** Where Arabic letters come from: the packaged Chromium has none. */
const FONT_WEIGHTS = [400, 600, 700];

/** How a scene is looked at: the width in CSS pixels that there is for it, and attributes of the element. */
export const variants = {
  light: { width: 456, theme: 'light', lang: 'en' },
  dark: { width: 456, theme: 'dark', lang: 'en' },
  phone: { width: 320, theme: 'light', lang: 'en' },
  'right to left': { width: 456, theme: 'light', lang: 'ar' },
  'forced colours': { width: 456, theme: 'light', lang: 'en' },
} as const;

/** The name of a variant. */
export type VariantName = keyof typeof variants;

const names = Object.keys(variants) as VariantName[];
// All that are no matter of the whole page stand side by side on one.
const [together, alone] = [names.slice(0, -1), names.slice(-1)];

/** A gallery: open it once a file. */
export type Gallery = Awaited<ReturnType<typeof openGallery>>;

/** Builds the widget when it is stale, starts the browser, and serves the gallery. */
export async function openGallery() {
  await buildWidget();
  const host = await listen(site());
  const browser = await launchBrowser({ packaged: true });
  return {
    browser,
    url: host.url,
    open: (shown: readonly VariantName[]) => openPage(browser, host.url, shown),
    close: async () => {
      await browser.close();
      await host.close();
    },
  };
}

/** Holds scenes against their pictures: open it once a file. */
export async function openPictures({ open, browser }: Gallery) {
  const usual = await open(together);
  const forced = await open(alone);
  await forced.emulateMedia({ forcedColors: 'active' });
  const desk = await browser.newPage();
  return {
    /** What differs from the scene's picture, by variant; with SCREENSHOTS set it makes the picture instead. */
    differences: async (scene: string): Promise<string[]> => {
      const drawn = await Promise.all([draw(usual, scene), draw(forced, scene)]);
      return await hold(desk, scene, drawn);
    },
  };
}

/** Shows a scene in every place of the page, with what is to be folded out or pressed in it. */
export async function show(page: Page, scene: string): Promise<void> {
  const name = JSON.stringify(scene);
  await page.evaluate(
    `for (const one of document.querySelectorAll('dealkeep-checkout')) one.setAttribute('payment-id', ${name})`,
  );
  const elsewhere = page.locator(`dealkeep-checkout:not([data-still=${name}])`);
  const deadline = Date.now() + WAIT_MS;
  while ((await elsewhere.count()) > 0) {
    if (Date.now() > deadline) throw new Error(`${scene} does not come: ${await elsewhere.first().ariaSnapshot()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Where the picture of a scene is. */
export function pictureOf(scene: string): string {
  return join(PICTURES, `${scene.replaceAll(/\W+/g, '-')}.png`);
}

async function openPage(browser: Browser, url: string, shown: readonly VariantName[]): Promise<Page> {
  const width = shown.reduce((sum, name) => sum + variants[name].width, 0);
  const context = await browser.newContext({
    ...{ viewport: { width, height: HEIGHT }, colorScheme: 'light' },
    ...{ locale: 'en-GB', timezoneId: 'Europe/Berlin' },
  });
  const page = await context.newPage();
  await page.clock.setFixedTime(NOW);
  await page.goto(`${url}/?${new URLSearchParams(shown.map((name): [string, string] => ['show', name]))}`);
  const load = `document.fonts.load(weight + ' 1rem Arabic', 'أ')`;
  await page.evaluate(`Promise.all(${JSON.stringify(FONT_WEIGHTS)}.map((weight) => ${load})).then(() => undefined)`);
  // What was drawn before its letters came would stay blank.
  await page.addScriptTag({ url: `${url}/widget/v1/playground.js` });
  return page;
}

function site(): Hono {
  const app = new Hono();
  const fonts = createRequire(import.meta.url).resolve('@fontsource/noto-sans-arabic/package.json');
  const face = (weight: number) =>
    `@font-face{font-family:Arabic;font-weight:${weight};src:url(/fonts/${weight}.woff2)}`;
  app.get('/', (c) => {
    const shown = names.filter((name) => c.req.queries('show')?.includes(name));
    const place = (name: VariantName) => {
      const { width, theme, lang } = variants[name];
      const ground = `width:${width}px;color-scheme:${theme};background:${theme === 'dark' ? '#101413' : '#f6f5f2'}`;
      return `<section style="${ground}"><dealkeep-checkout api="${new URL(c.req.url).origin}" theme="${theme}" lang="${lang}"
        payment-id="loading" access-token="none" return-url="https://shop.example.com/"></dealkeep-checkout></section>`;
    };
    return c.html(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Gallery</title>
      <meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
      <style>${FONT_WEIGHTS.map(face).join('')}body{margin:0}main{display:flex}
      section{box-sizing:border-box;padding:${MARGIN}px}dealkeep-checkout{--dealkeep-font:'Open Sans',Arabic}</style></head>
      <body><main>${shown.map(place).join('')}</main></body></html>`);
  });
  app.get('/fonts/:weight{\\d+\\.woff2}', async (c) => {
    const file = `files/noto-sans-arabic-arabic-${c.req.param('weight').replace('.', '-normal.')}`;
    return c.body(await readFile(join(fonts, '..', file)), 200, { 'Content-Type': 'font/woff2' });
  });
  app.get('/widget/v1/:file{[\\w.-]+}', async (c) => {
    return c.body(await readFile(join(DIST, c.req.param('file'))), 200, { 'Content-Type': 'text/javascript' });
  });
  return app;
}

async function draw(page: Page, scene: string): Promise<string> {
  await show(page, scene);
  const { width = 0 } = page.viewportSize() ?? {};
  const height = await page.evaluate<number>(
    "Math.ceil(document.querySelector('main').getBoundingClientRect().height)",
  );
  const clip = { x: 0, y: 0, width, height };
  return (await page.screenshot({ clip, animations: 'disabled' })).toString('base64');
}

async function hold(desk: Page, scene: string, drawn: readonly string[]): Promise<string[]> {
  const path = pictureOf(scene);
  if (process.env.SCREENSHOTS) {
    await mkdir(PICTURES, { recursive: true });
    await writeFile(path, writePng(await indexed(desk, drawn)));
    return [];
  }
  if (!existsSync(path)) return [`${path} is missing: SCREENSHOTS=1 npx vitest run test/e2e/pictures.test.ts`];
  const widths = names.map((name) => variants[name].width);
  const { counts, picture } = await compare(desk, drawn, await readFile(path), widths);
  const different = names.flatMap((name, index) =>
    counts[index] ? [`${scene}, ${name}: ${counts[index]} pixels differ`] : [],
  );
  if (different.length === 0) return [];
  await mkdir(DIFFERENCES, { recursive: true });
  const difference = join(DIFFERENCES, path.slice(PICTURES.length + 1));
  await writeFile(difference, picture);
  return [...different, `see ${difference}`];
}
