/**
 * What separates a diamond from the compiled facets: which selectors are to be added, replaced and removed, and which
 * contracts that needs. It reads and decides; it sends nothing.
 */
import { type Address, type Hex, isAddressEqual, keccak256, toFunctionSelector, zeroAddress } from 'viem';
import { escrowAbi } from '../../contracts/abi.ts';
import { type Artifact, facetNames, functionsOf, logicHash, readArtifact } from '../artifacts.ts';
import type { Connection } from './connection.ts';
import { CUT } from './verify.ts';

/** A facet as compiled. */
export interface CompiledFacet {
  name: string;
  artifact: Artifact;
}

/** A facet as the loupe lists it. */
export interface ServedFacet {
  address: Address;
  selectors: readonly Hex[];
  /** Hash of the code without metadata. */
  logicHash: Hex;
}

/** One selector that changes hands. */
export interface SelectorChange {
  selector: Hex;
  /** Undefined when no compiled contract knows it. */
  signature?: string;
  /** Which compiled facet will serve it; absent when it is removed. */
  facet?: string;
  /** Who serves it now; absent when it is added. */
  from?: Address;
}

/** The whole difference; all lists empty when there is none. */
export interface Plan {
  /** Facets that have to be created. */
  creates: { facet: string; codeHash: Hex; bytes: number }[];
  added: SelectorChange[];
  replaced: SelectorChange[];
  removed: SelectorChange[];
  /** Where a facet's very code serves already. */
  unchanged: Record<string, Address>;
}

/** The facets of this source tree. */
export function compiledFacets(): CompiledFacet[] {
  return facetNames.map((name) => ({ name, artifact: readArtifact(name) }));
}

/** What the loupe tells, with the hash of what each facet does. */
export async function readFacets({ reader, codeAt }: Connection, diamond: Address): Promise<ServedFacet[]> {
  const facets = await reader.readContract({ abi: escrowAbi, address: diamond, functionName: 'facets' });
  return Promise.all(
    facets.map(async ({ facetAddress, functionSelectors }) => ({
      address: facetAddress,
      selectors: functionSelectors,
      logicHash: logicHash((await codeAt(facetAddress)) ?? '0x'),
    })),
  );
}

/** Two facets that want one selector. @throws Error that names both */
export function requireDistinct(facets: readonly CompiledFacet[]): void {
  const owners = new Map<Hex, string>();
  for (const { name, artifact } of facets) {
    for (const [signature, selector] of Object.entries(functionsOf(artifact))) {
      const other = owners.get(selector);
      if (other !== undefined) {
        throw new Error(
          `selector clash: ${other} and ${name} both serve ${selector} (${signature}): rename one function`,
        );
      }
      owners.set(selector, name);
    }
  }
}

/**
 * Compares. `served` is what the diamond serves now.
 * @throws Error when two facets share a selector, when a facet wants a function of the diamond itself, or when the cut
 * would remove the cut
 */
export function planCut(diamond: Address, served: readonly ServedFacet[], facets: readonly CompiledFacet[]): Plan {
  requireDistinct(facets);
  const servedBy = new Map(served.flatMap((facet) => facet.selectors.map((selector) => [selector, facet] as const)));
  const plan: Plan = { creates: [], added: [], replaced: [], removed: [], unchanged: {} };
  const wanted = new Set<Hex>();
  for (const { name, artifact } of facets) {
    const logic = logicHash(artifact.deployedBytecode, artifact);
    const functions = Object.entries(functionsOf(artifact));
    const standing = served.find(
      (facet) => facet.logicHash === logic && functions.some(([, selector]) => servedBy.get(selector) === facet),
    );
    if (standing) plan.unchanged[name] = standing.address;
    else {
      const code = artifact.deployedBytecode;
      plan.creates.push({ facet: name, codeHash: keccak256(code), bytes: (code.length - 2) / 2 });
    }
    for (const [signature, selector] of functions) {
      wanted.add(selector);
      const current = servedBy.get(selector);
      if (current && isAddressEqual(current.address, diamond)) {
        throw new Error(
          `${name} has ${signature}, which is part of the diamond itself: no cut can replace it. Take it out of the facet`,
        );
      }
      if (!current) plan.added.push({ selector, signature, facet: name });
      else if (current !== standing) plan.replaced.push({ selector, signature, facet: name, from: current.address });
    }
  }
  const signatures = new Map(
    escrowAbi.flatMap((item) => (item.type === 'function' ? [[toFunctionSelector(item), item.name] as const] : [])),
  );
  for (const facet of served) {
    if (isAddressEqual(facet.address, diamond)) continue;
    for (const selector of facet.selectors) {
      if (wanted.has(selector)) continue;
      if (selector === CUT) {
        throw new Error(
          'this would remove diamondCut and end all upgrades: if that is meant, let the owner call finalize()',
        );
      }
      const signature = signatures.get(selector);
      plan.removed.push({ selector, from: facet.address, ...(signature !== undefined && { signature }) });
    }
  }
  return plan;
}

/** Whether there is nothing to do. */
export function isEmpty({ added, replaced, removed }: Plan): boolean {
  return added.length + replaced.length + removed.length === 0;
}

/** The plan as the argument of `diamondCut`; `addresses` by facet name. */
export function cutsOf({ added, replaced, removed }: Plan, addresses: Record<string, Address>) {
  const cuts: { facetAddress: Address; action: 0 | 1 | 2; functionSelectors: Hex[] }[] = [];
  for (const [action, changes] of [
    [0, added],
    [1, replaced],
  ] as const) {
    for (const facet of new Set(changes.map((change) => change.facet))) {
      const facetAddress = facet === undefined ? undefined : addresses[facet];
      if (facetAddress === undefined) throw new Error(`${facet} stands nowhere`);
      const functionSelectors = changes.filter((change) => change.facet === facet).map(({ selector }) => selector);
      cuts.push({ facetAddress, action, functionSelectors });
    }
  }
  if (removed.length > 0) {
    cuts.push({ facetAddress: zeroAddress, action: 2, functionSelectors: removed.map(({ selector }) => selector) });
  }
  return cuts;
}

/** The plan for people, one line a change. */
export function linesOf(plan: Plan): string[] {
  const name = ({ signature, selector }: SelectorChange) => `${selector} ${signature ?? '(not compiled here)'}`;
  return [
    ...Object.entries(plan.unchanged).map(([facet, address]) => `  unchanged  ${facet} ${address}`),
    ...plan.creates.map(
      ({ facet, codeHash, bytes }) => `  create     ${facet} (${bytes} bytes, code hash ${codeHash})`,
    ),
    ...plan.added.map((change) => `  add        ${name(change)} by ${change.facet}`),
    ...plan.replaced.map((change) => `  replace    ${name(change)} by ${change.facet}, now ${change.from}`),
    ...plan.removed.map((change) => `  remove     ${name(change)}, now ${change.from}`),
  ];
}
