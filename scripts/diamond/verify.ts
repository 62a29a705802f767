/**
 * Holds a diamond against its manifest: code hashes, who serves which selector by the loupe and by storage (a loupe cut in
 * by a thief would lie), owner, guardian, Permit2 and the timelock. It changes nothing.
 */
import {
  type Address,
  encodeAbiParameters,
  getAddress,
  type Hex,
  keccak256,
  sliceHex,
  toFunctionSelector,
  toHex,
  zeroAddress,
} from 'viem';
import { escrowAbi } from '../../contracts/abi.ts';
import type { Connection } from './connection.ts';
import type { Standing } from './manifest.ts';
import { hasRole, timelockAbi } from './timelock.ts';

/** One thing that is not as the manifest says. */
export interface Difference {
  /** `code` is what runs, `setting` what the owner sets by its own calls. */
  kind: 'code' | 'setting';
  text: string;
}

/** The table of selectors: namespace `dealkeep.diamond`, mapping in its slot 0, list in its slot 1. */
const SERVED_SLOT = 0x74bff40b028f3f1689f37dd94728c19a4fd3a0a5d10fc90818cbeaf8e3dc6f00n;

/** Gone once the diamond is finalized. */
export const CUT = toFunctionSelector('diamondCut((address,uint8,bytes4[])[],address,bytes)');
const FINALIZE = toFunctionSelector('finalize()');

/** What differs; empty when the chain is as the manifest says. */
export async function differences(connection: Connection, standing: Standing): Promise<Difference[]> {
  const { reader, codeAt } = connection;
  const found: Difference[] = [];
  const compare = (what: string, onChain: unknown, inManifest: unknown, kind: Difference['kind'] = 'setting') => {
    if (String(onChain).toLowerCase() !== String(inManifest).toLowerCase()) {
      found.push({ kind, text: `${what}: ${onChain} on the chain, ${inManifest} in the manifest` });
    }
  };
  const { diamond, facets, timelock } = standing;

  async function compareCode(what: string, { address, codeHash }: { address: Address; codeHash: Hex }) {
    const code = await codeAt(address);
    compare(`code of ${what} at ${address}`, code === undefined ? 'none' : keccak256(code), codeHash, 'code');
  }
  await compareCode('the diamond', diamond);
  for (const [name, facet] of Object.entries(facets)) await compareCode(name, facet);
  if (timelock) await compareCode('the timelock', timelock);
  // What changed code answers says nothing.
  if (found.length > 0) return found;

  const named = new Map<Address, string>([
    [diamond.address, 'the diamond'],
    ...Object.entries(facets).map(([name, { address }]) => [address, name] as const),
  ]);
  const nameOf = (address: Address | undefined) => (address === undefined ? 'nobody' : (named.get(address) ?? address));
  const inManifest = new Map<Hex, Address>();
  for (const { address, selectors } of [diamond, ...Object.values(facets)]) {
    for (const selector of Object.values(selectors)) inManifest.set(selector, address);
  }
  const contract = { abi: escrowAbi, address: diamond.address } as const;
  const onChain = new Map<Hex, Address>();
  for (const { facetAddress, functionSelectors } of await reader.readContract({
    ...contract,
    functionName: 'facets',
  })) {
    for (const selector of functionSelectors) onChain.set(selector, facetAddress);
  }
  if (!onChain.has(CUT)) for (const selector of [CUT, FINALIZE]) inManifest.delete(selector); // finalized
  for (const selector of new Set([...inManifest.keys(), ...onChain.keys()])) {
    compare(`who serves ${selector}`, nameOf(onChain.get(selector)), nameOf(inManifest.get(selector)), 'code');
  }
  if (!found.some(({ kind }) => kind === 'code')) {
    const word = async (slot: Hex) =>
      (await reader.getStorageAt({ address: diamond.address, slot })) ?? toHex(0, { size: 32 });
    await Promise.all(
      [...inManifest].map(async ([selector, address]) => {
        const served = sliceHex(await word(servedSlot(selector)), 12);
        compare(`who serves ${selector} by storage`, nameOf(getAddress(served)), nameOf(address), 'code');
      }),
    );
    const listed = BigInt(await word(toHex(SERVED_SLOT + 1n, { size: 32 })));
    compare('number of selectors by storage', listed, inManifest.size, 'code');
  }

  compare('owner', await reader.readContract({ ...contract, functionName: 'owner' }), standing.owner);
  compare('pending owner', await reader.readContract({ ...contract, functionName: 'pendingOwner' }), zeroAddress);
  compare('guardian', await reader.readContract({ ...contract, functionName: 'guardian' }), standing.guardian);
  compare('Permit2', await reader.readContract({ ...contract, functionName: 'permit2' }), standing.permit2);
  if (timelock) {
    const { address, proposer } = timelock;
    const delay = await reader.readContract({ abi: timelockAbi, address, functionName: 'getMinDelay' });
    compare("the timelock's delay in seconds", delay, timelock.delaySeconds);
    for (const role of ['PROPOSER_ROLE', 'EXECUTOR_ROLE'] as const) {
      compare(`${proposer} has ${role}`, await hasRole(connection, address, role, proposer), true);
    }
    compare(
      `${proposer} has DEFAULT_ADMIN_ROLE`,
      await hasRole(connection, address, 'DEFAULT_ADMIN_ROLE', proposer),
      false,
    );
  }
  return found;
}

/** Where the table keeps who serves a selector; the facet is the low 20 bytes. */
function servedSlot(selector: Hex): Hex {
  return keccak256(encodeAbiParameters([{ type: 'bytes4' }, { type: 'uint256' }], [selector, SERVED_SLOT]));
}
