/**
 * Builds the widget into widget/dist: ES module, classic script, the page without servers, types, and build.json with sizes and integrity hashes.
 * With `--if-stale` it does nothing when the sources are those of the last build.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, glob, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build, loadConfigFromFile } from 'vite';
import { elementVariables } from './element-reference.ts';

// Whoever calls, a test run too, gets what buyers get: Vite takes development builds of dependencies by this variable.
process.env.NODE_ENV = 'production';

const root = join(import.meta.dirname, '..');
const widget = join(root, 'widget');
const dist = join(widget, 'dist');
const manifestPath = join(dist, 'build.json');

/** What build.json says. */
type Manifest = {
  /** Hash of every source and of the lock file. */
  sources: string;
  files: Record<string, { bytes: number; gzipBytes: number; integrity: string }>;
  /** What is loaded before anything is shown: the module and all that it imports at once. */
  shell: string[];
  /** What is loaded until a deposit was sent, in English. */
  deposit: string[];
  /** One file a language; a page loads the one that it speaks. */
  languages: string[];
};

async function hashSources(): Promise<string> {
  const names = ['package-lock.json', 'scripts/build-widget.ts', 'scripts/element-reference.ts'];
  for (const name of ['abi', 'code', 'terms', 'typed-data']) names.push(`contracts/${name}.ts`);
  const folders = '{,deposit/,rails/,{,rails/,afterwards/,escape/}languages/,afterwards/,escape/,playground/}';
  for await (const name of glob(`${folders}*.{ts,json,html}`, { cwd: widget })) {
    names.push(join('widget', name));
  }
  const hash = createHash('sha256');
  for (const name of names.sort()) hash.update(name).update(await readFile(join(root, name)));
  return hash.digest('hex');
}

async function bundle(mode: 'esm' | 'afterwards' | 'script' | 'escape' | 'playground', outDir: string): Promise<void> {
  const env = { command: 'build', mode } as const;
  const loaded = await loadConfigFromFile(env, join(widget, 'vite.config.ts'));
  if (!loaded) throw new Error('widget/vite.config.ts cannot be read.');
  // What can be set in the playground is what the element says of itself.
  const define = { ...loaded.config.define, ELEMENT_VARIABLES: JSON.stringify(elementVariables()) };
  const { config } = loaded;
  await build({ ...config, define, build: { ...config.build, outDir }, configFile: false, mode });
}

/** The page without servers: one file whose policy names its one script and its one style by their hashes. */
async function writeEscapePage(folder: string): Promise<void> {
  await bundle('escape', folder);
  const built = join(folder, 'escape.js');
  // Inside a page, these two would end the script or hide its end.
  const script = (await readFile(built, 'utf8')).replace(/<(?=\/script|!--)/gi, '\\x3c');
  await rm(built);
  const style = ':root{color-scheme:light dark}body{margin:0;background:light-dark(#fff,#161d1b)}';
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const policy = [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
    'img-src data:',
    // Whatever node its owner names.
    'connect-src http: https:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const parts: Record<string, string> = { policy, script, style };
  const page = await readFile(join(widget, 'escape/escape.html'), 'utf8');
  await writeFile(
    join(folder, 'escape.html'),
    page.replace(/\{\{(\w+)\}\}/g, (_, name: string) => parts[name] ?? ''),
  );
}

async function emitTypes(outDir: string): Promise<void> {
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  await promisify(execFile)(process.execPath, [tsc, '-p', join(widget, 'tsconfig.types.json'), '--outDir', outDir]);
}

async function describeFiles(folder: string): Promise<Manifest['files']> {
  const files: Manifest['files'] = {};
  for await (const name of glob('*.{js,html}', { cwd: folder })) {
    const content = await readFile(join(folder, name));
    const integrity = `sha384-${createHash('sha384').update(content).digest('base64')}`;
    files[name] = { bytes: content.length, gzipBytes: gzipSync(content, { level: 9 }).length, integrity };
  }
  return files;
}

const IMPORTED = /(?:from|import)\s*["'`]\.\/([\w.-]+\.js)["'`]/g;
const IMPORTED_EVER = /(?:from|import)\s*\(?\s*["'`]\.\/([\w.-]+\.js)["'`]/g;

/** The file and everything that it imports, by one of the patterns. */
async function closureOf(folder: string, name: string, pattern: RegExp, found = new Set<string>()): Promise<string[]> {
  if (found.has(name)) return [];
  found.add(name);
  const code = await readFile(join(folder, name), 'utf8');
  for (const [, file = ''] of code.matchAll(pattern)) await closureOf(folder, file, pattern, found);
  return [...found];
}

const exported = (name: string, file = name) => ({
  types: `./types/widget/${name}.d.ts`,
  default: `./${file}.js`,
});

/** What makes the folder a package that a bundler or a server can import. */
const packageJson = {
  name: '@dealkeep/widget',
  version: '1.0.0',
  type: 'module',
  license: 'MIT',
  exports: {
    '.': exported('mount'),
    './element': exported('index', 'dealkeep'),
    './react': exported('react'),
    './vue': exported('vue'),
  },
  peerDependencies: { react: '>=18', vue: '>=3.4' },
  peerDependenciesMeta: { react: { optional: true }, vue: { optional: true } },
};

const sources = await hashSources();
if (process.argv.includes('--if-stale') && existsSync(manifestPath)) {
  const { sources: built }: Manifest = JSON.parse(await readFile(manifestPath, 'utf8'));
  if (built === sources) process.exit(0);
}
// Built beside and moved into place: whoever serves the old files, or builds at the same time, never sees half of them.
const fresh = await mkdtemp(join(root, 'node_modules', '.dealkeep-widget-'));
try {
  await bundle('esm', fresh);
  await bundle('afterwards', fresh);
  await bundle('script', fresh);
  await bundle('playground', fresh);
  await writeEscapePage(fresh);
  await emitTypes(join(fresh, 'types'));
  await writeFile(join(fresh, 'package.json'), `${JSON.stringify(packageJson, null, 2)}\n`);
  const shell = await closureOf(fresh, 'dealkeep.js', IMPORTED);
  // Payments by card or transfer make no deposit, few go to another device, and what comes afterwards comes later: loaded beside.
  const beside = ['rails.js', 'qr.js', 'afterwards.js'];
  const everything = await closureOf(fresh, 'dealkeep.js', IMPORTED_EVER, new Set(beside));
  const languages = everything.filter((name) => name.startsWith('language-')).sort();
  // Of what comes later the receipt and its printing are files of their own.
  const later = [...languages, ...beside, ...everything.filter((name) => /^(print|receipt)-/.test(name))];
  const deposit = everything.filter((name) => name === 'language-en.js' || !later.includes(name));
  const manifest: Manifest = { sources, files: await describeFiles(fresh), shell, deposit, languages };
  await writeFile(join(fresh, 'build.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  await rm(dist, { recursive: true, force: true });
  // mkdtemp keeps others out; a server may run as somebody else.
  await chmod(fresh, 0o755);
  await rename(fresh, dist);
  for (const [name, { gzipBytes }] of Object.entries(manifest.files)) {
    console.log(`widget/dist/${name}  ${(gzipBytes / 1024).toFixed(1)} KiB gzip`);
  }
} catch (error) {
  await rm(fresh, { recursive: true, force: true });
  throw error;
}
