/**
 * Builds the widget into widget/dist: ES module, classic script, types, and build.json with sizes and integrity hashes.
 * With `--if-stale` it does nothing when the sources are those of the last build.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { glob, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build, loadConfigFromFile } from 'vite';

const root = join(import.meta.dirname, '..');
const widget = join(root, 'widget');
const dist = join(widget, 'dist');
const manifestPath = join(dist, 'build.json');

/** What build.json says. */
type Manifest = {
  /** Hash of every source and of the lock file. */
  sources: string;
  files: Record<string, { bytes: number; gzipBytes: number; integrity: string }>;
};

async function hashSources(): Promise<string> {
  const names = ['package-lock.json', 'contracts/terms.ts', 'scripts/build-widget.ts'];
  for await (const name of glob(['*.ts', '*.json', 'deposit/*.ts'], { cwd: widget })) names.push(join('widget', name));
  const hash = createHash('sha256');
  for (const name of names.sort()) hash.update(name).update(await readFile(join(root, name)));
  return hash.digest('hex');
}

async function bundle(mode: 'esm' | 'script'): Promise<void> {
  const env = { command: 'build', mode } as const;
  const loaded = await loadConfigFromFile(env, join(widget, 'vite.config.ts'));
  if (!loaded) throw new Error('widget/vite.config.ts cannot be read.');
  await build({ ...loaded.config, configFile: false, mode });
}

async function emitTypes(): Promise<void> {
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  await promisify(execFile)(process.execPath, [tsc, '-p', join(widget, 'tsconfig.types.json')]);
}

async function describeFiles(): Promise<Manifest['files']> {
  const files: Manifest['files'] = {};
  for await (const name of glob('*.js', { cwd: dist })) {
    const content = await readFile(join(dist, name));
    const integrity = `sha384-${createHash('sha384').update(content).digest('base64')}`;
    files[name] = { bytes: content.length, gzipBytes: gzipSync(content, { level: 9 }).length, integrity };
  }
  return files;
}

const sources = await hashSources();
if (process.argv.includes('--if-stale') && existsSync(manifestPath)) {
  const { sources: built }: Manifest = JSON.parse(await readFile(manifestPath, 'utf8'));
  if (built === sources) process.exit(0);
}
await rm(dist, { recursive: true, force: true });
await bundle('esm');
await bundle('script');
await emitTypes();
const manifest: Manifest = { sources, files: await describeFiles() };
await writeFile(manifestPath, `${JSON.stringify(manifest, null, 2)}\n`);
for (const [name, { gzipBytes }] of Object.entries(manifest.files)) {
  console.log(`widget/dist/${name}  ${(gzipBytes / 1024).toFixed(1)} KiB gzip`);
}
