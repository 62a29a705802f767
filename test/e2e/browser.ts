/** Finds a Chromium: one that is installed, else the one that `npm ci` brings along with the libraries that it needs. */
import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import chromiumPackage, { inflate } from '@sparticuz/chromium';
import { type Browser, chromium } from 'playwright-core';

const INSTALLED = [
  process.env.CHROME_PATH ?? '',
  '/usr/bin/google-chrome',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];
const FLAGS = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  // Text looks the same with and without a display.
  '--font-render-hinting=none',
];

/** Starts a headless Chromium; `packaged`: the one of `npm ci` with its fonts, which draws the same on every machine. */
export async function launchBrowser({ packaged = false } = {}): Promise<Browser> {
  const installed = packaged ? undefined : INSTALLED.find((path) => path !== '' && existsSync(path));
  if (installed) return await chromium.launch({ executablePath: installed, args: FLAGS });
  const folder = await unpacked();
  const env = { ...process.env, FONTCONFIG_FILE: join(folder, 'fonts.conf') };
  const libraries = [join(folder, 'al2023', 'lib'), process.env.LD_LIBRARY_PATH].filter(Boolean).join(':');
  return await chromium.launch({
    executablePath: join(folder, 'chromium'),
    args: FLAGS,
    env: { ...env, LD_LIBRARY_PATH: libraries },
  });
}

/** The folder with the packaged Chromium, unpacked once per version and user of this machine. */
async function unpacked(): Promise<string> {
  const bin = join(dirname(createRequire(import.meta.url).resolve('@sparticuz/chromium')), '..', 'bin');
  const version: unknown = createRequire(import.meta.url)(join(bin, '..', 'package.json')).version;
  const folder = join(tmpdir(), `dealkeep-chromium-${String(version)}-${process.getuid?.() ?? 'user'}`);
  if (existsSync(folder)) return folder;
  const fresh = await mkdtemp(`${folder}-`);
  const before = process.env.TMPDIR;
  // The package unpacks into the temporary folder and takes whatever half of it another process has written there.
  process.env.TMPDIR = fresh;
  try {
    await chromiumPackage.executablePath();
    await inflate(join(bin, 'al2023.tar.br'));
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
  await writeFile(join(fresh, 'fonts.conf'), fontsConfig(folder));
  // Somebody else may have been faster.
  await rename(fresh, folder).catch(() => rm(fresh, { recursive: true, force: true }));
  return folder;
}

function fontsConfig(folder: string): string {
  return `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${join(folder, 'fonts', 'fonts')}</dir>
  <cachedir>${join(folder, 'fonts-cache')}</cachedir>
</fontconfig>
`;
}
