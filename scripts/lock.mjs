// Completes package-lock.json: a lock written by a registry that lacks other platforms' native packages omits them,
// and `npm ci` then refuses it. Each missing optional package gets an entry with its version, os and cpu.
import { readFileSync, writeFileSync } from 'node:fs';

const OPERATING_SYSTEMS = [
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
  'aix',
];
const PROCESSORS = ['arm64', 'x64', 'ia32', 'ppc64', 'riscv64', 's390x', 'loong64', 'mips64el', 'wasm32', 'arm'];

const lockPath = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(lockPath, 'utf8'));

/** Where Node would look for `name` from the package installed at `from`: the nearest folder first. */
function candidates(from, name) {
  const places = [];
  for (let at = from; ; at = at.slice(0, at.lastIndexOf('/node_modules/'))) {
    places.push(at ? `${at}/node_modules/${name}` : `node_modules/${name}`);
    if (!at) return places;
    if (!at.includes('/node_modules/')) {
      places.push(`node_modules/${name}`);
      return places;
    }
  }
}

function platformOf(name) {
  const words = name.split(/[/-]/);
  const os = OPERATING_SYSTEMS.find((word) => words.includes(word) || (word === 'win32' && words.includes('windows')));
  const cpu = PROCESSORS.find((word) =>
    words.some((part) => part === word || (word === 'arm' && /^arm(eabi|v\d)?$/.test(part))),
  );
  const libc = words.includes('musl') ? 'musl' : words.includes('gnu') ? 'glibc' : undefined;
  return {
    ...(os && { os: [os] }),
    ...(cpu && { cpu: [cpu] }),
    ...(libc && os === 'linux' && { libc: [libc] }),
  };
}

let added = 0;
for (const [from, entry] of Object.entries(lock.packages)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    const places = candidates(from, name);
    const version = range.replace(/^[\^~]/, '');
    if (places.some((place) => lock.packages[place]?.version)) continue;
    lock.packages[places.at(-1)] = { version, optional: true, ...platformOf(name) };
    added += 1;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(lockPath, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`package-lock.json: ${added} packages of other platforms added`);
