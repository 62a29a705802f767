/**
 * What a diamond that is deployed cannot bear to change by accident: the layout of its storage namespaces (ERC-7201) and
 * the selectors of its functions, kept in contracts/shape.json. Without a flag it writes that file; it refuses to move or
 * retype what stands in storage unless told that no diamond is deployed.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { encodeAbiParameters, type Hex, keccak256, toHex } from 'viem';
import { facetNames, functionsOf, readArtifact } from './artifacts.ts';
import { readJson } from './diamond/manifest.ts';

/** One namespace: where it begins, and what lies where from there on. */
interface Namespace {
  slot: Hex;
  /** `slot.byte type` by name. */
  layout: Record<string, string>;
  /** The same of structs inside. */
  structs: Record<string, Record<string, string>>;
}

interface Shape {
  storage: Record<string, Namespace>;
  /** Selector by signature, by contract. */
  functions: Record<string, Record<string, Hex>>;
}

interface StorageLayout {
  storage: Member[];
  types: Record<string, { label: string; members?: Member[]; key?: string; value?: string; base?: string }> | null;
}
interface Member {
  label: string;
  offset: number;
  slot: string;
  type: string;
}

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TARGET = `${ROOT}contracts/shape.json`;
const require = createRequire(import.meta.url);

/** A struct that its comment says is a namespace, with the slot that its library gives it. */
interface Declared {
  name: string;
  /** `contracts/libraries/X.sol`. */
  file: string;
  struct: string;
  slot: Hex;
}

function sourcesOf(): Record<string, string> {
  const names = readdirSync(`${ROOT}contracts`, { recursive: true, encoding: 'utf8' });
  return Object.fromEntries(
    names
      .filter((name) => name.endsWith('.sol'))
      .map((name) => [`contracts/${name}`, readFileSync(`${ROOT}contracts/${name}`, 'utf8')]),
  );
}

/** The namespaces of all sources. @throws Error when two share a name, or one does not stand where ERC-7201 puts it */
function declaredIn(sources: Record<string, string>): Declared[] {
  const found: Declared[] = [];
  for (const [file, source] of Object.entries(sources)) {
    for (const [, name, struct] of source.matchAll(/@custom:storage-location erc7201:(\S+)\s+struct (\w+)/g)) {
      const library = /^library (\w+)/m.exec(source)?.[1];
      const slot = /constant SLOT = (0x[0-9a-f]{64});/.exec(source)?.[1];
      if (!name || !struct || !library || !slot)
        throw new Error(`${file}: a namespace is a struct in a library with a SLOT`);
      if (found.some((other) => other.name === name)) throw new Error(`${file}: the namespace ${name} is taken`);
      const expected = namespaceSlot(name);
      if (slot !== expected) throw new Error(`${file}: ${name} has to begin at ${expected}, not at ${slot}`);
      found.push({ name, file, struct: `${library}.${struct}`, slot: expected });
    }
  }
  return found;
}

/** keccak256(abi.encode(uint256(keccak256(name)) - 1)) & ~0xff */
function namespaceSlot(name: string): Hex {
  const inner = BigInt(keccak256(toHex(name))) - 1n;
  const outer = BigInt(keccak256(encodeAbiParameters([{ type: 'uint256' }], [inner])));
  return toHex(outer & ~0xffn, { size: 32 });
}

/** Lets the compiler lay out the namespaces, and our contracts, which must have no state beside them. */
function layOut(sources: Record<string, string>, declared: readonly Declared[]): StorageLayout {
  const imports = declared.map(({ file, struct }) => `import {${struct.split('.')[0]}} from "${file}";`);
  const variables = declared.map(({ struct }, index) => `${struct} n${index};`);
  const probe = `// SPDX-License-Identifier: MIT\npragma solidity ^0.8.30;\n${imports.join('\n')}\ncontract Probe { ${variables.join(' ')} }`;
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(
      Object.entries({ ...sources, 'probe.sol': probe }).map(([k, content]) => [k, { content }]),
    ),
    settings: { evmVersion: 'prague', outputSelection: { '*': { '*': ['storageLayout'] } } },
  };
  const read = (path: string) => ({ contents: readFileSync(require.resolve(path), 'utf8') });
  const output = JSON.parse(require('solc').compile(JSON.stringify(input), { import: read }));
  const failed = output.errors?.find((error: { severity: string }) => error.severity === 'error');
  if (failed) throw new Error(failed.formattedMessage);
  for (const [file, contracts] of Object.entries<Record<string, { storageLayout: StorageLayout }>>(output.contracts)) {
    if (!/^contracts\/(Diamond\.sol|escrow\/|facets\/)/.test(file)) continue;
    for (const [name, { storageLayout }] of Object.entries(contracts)) {
      const [stray] = storageLayout.storage;
      if (stray) throw new Error(`${file}: ${name}.${stray.label} is state outside of the namespaces`);
    }
  }
  return output.contracts['probe.sol'].Probe.storageLayout;
}

/** Members in words, and the structs that they reach. */
function describe({ types }: StorageLayout, type: string, structs: Namespace['structs']): Record<string, string> {
  const place = ({ slot, offset, type: of }: Member) => `${slot}.${offset} ${types?.[of]?.label}`;
  const reach = (name: string | undefined) => {
    const reached = name === undefined ? undefined : types?.[name];
    if (!name || !reached) return;
    for (const next of [reached.key, reached.value, reached.base]) reach(next);
    if (reached.members && !structs[reached.label])
      structs[reached.label] = describe({ storage: [], types }, name, structs);
  };
  const members = types?.[type]?.members ?? [];
  for (const member of members) reach(member.type);
  return Object.fromEntries(members.map((member) => [member.label, place(member)]));
}

function currentShape(): Shape {
  const sources = sourcesOf();
  const declared = declaredIn(sources);
  const layout = layOut(sources, declared);
  const storage: Shape['storage'] = {};
  for (const [index, { name, slot }] of declared.entries()) {
    const structs = {};
    storage[name] = { slot, layout: describe(layout, layout.storage[index]!.type, structs), structs };
  }
  const functions = ['Diamond', ...facetNames].map((name) => [name, functionsOf(readArtifact(name))]);
  return { storage, functions: Object.fromEntries(functions) };
}

/** Everything by one path of names, so that two shapes can be compared. */
function flatten(value: object, path = ''): [string, string][] {
  return Object.entries(value).flatMap(([key, inner]) =>
    typeof inner === 'string' ? [[`${path}${key}`, inner]] : flatten(inner, `${path}${key} › `),
  );
}

/** What was in `before` and is otherwise now, one line each. */
function changes(before: object, now: object): string[] {
  const current = new Map(flatten(now));
  return flatten(before)
    .filter(([path, value]) => current.get(path) !== value)
    .map(([path, value]) => `${path}: was ${value}, is ${current.get(path) ?? 'gone'}`);
}

const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    breaking: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function run(): number {
  if (values.help) {
    console.log(`Writes contracts/shape.json: storage layout and selectors of the diamond. Compile first: npm run build

  node scripts/shape.ts             writes it; refuses to move or retype what stands in storage
  node scripts/shape.ts --breaking  writes it anyway: only while no diamond is deployed
  node scripts/shape.ts --check     writes nothing; exit code 1 when the file is not what the contracts are`);
    return 0;
  }
  const shape = currentShape();
  const kept = readJson<Shape>(TARGET) ?? { storage: {}, functions: {} };
  const moved = changes(kept.storage, shape.storage);
  if (moved.length > 0 && !values.breaking) {
    console.error(`A deployed diamond would read its storage wrongly:\n  ${moved.join('\n  ')}`);
    console.error('Append instead; while nothing is deployed: node scripts/shape.ts --breaking');
    return 1;
  }
  if (!values.check) {
    writeFileSync(TARGET, `${JSON.stringify(shape, null, 2)}\n`);
    return 0;
  }
  const other = [...changes(kept.functions, shape.functions), ...changes(shape, kept)];
  if (other.length === 0) return 0;
  console.error(`contracts/shape.json is stale:\n  ${other.join('\n  ')}\nIf that is meant: node scripts/shape.ts`);
  return 1;
}

try {
  process.exitCode = run();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
