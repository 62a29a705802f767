/** Calls through an OpenZeppelin TimelockController: their ids and states. It sends nothing itself. */
import { type Address, encodeAbiParameters, encodeFunctionData, type Hex, keccak256, parseAbi, zeroHash } from 'viem';
import type { Connection } from './connection.ts';

/** What of the controller is used. */
export const timelockAbi = parseAbi([
  'function schedule(address target, uint256 value, bytes data, bytes32 predecessor, bytes32 salt, uint256 delay)',
  'function execute(address target, uint256 value, bytes data, bytes32 predecessor, bytes32 salt) payable',
  'function cancel(bytes32 id)',
  'function getTimestamp(bytes32 id) view returns (uint256)',
  'function getMinDelay() view returns (uint256)',
  'function hasRole(bytes32 role, address account) view returns (bool)',
  'function PROPOSER_ROLE() view returns (bytes32)',
  'function EXECUTOR_ROLE() view returns (bytes32)',
  'function DEFAULT_ADMIN_ROLE() view returns (bytes32)',
]);

/** One call that waits, or will. */
export interface Operation {
  id: Hex;
  salt: Hex;
  /** Unix seconds from which it can be executed; undefined while it is not scheduled. */
  readyAt: number | undefined;
  /** The call data to schedule, execute and cancel it, for proposers that sign elsewhere. */
  calls: { schedule: Hex; execute: Hex; cancel: Hex };
}

/** The controller's mark of an operation that was executed. */
const DONE = 1n;

/**
 * The operation that makes a call: the one under way, else the next. The same call may be due again after other upgrades,
 * and an id works once, so the salt counts; the chain alone tells where the count is.
 */
export async function operationOf(
  { reader }: Connection,
  timelock: Address,
  delaySeconds: number,
  { target, data }: { target: Address; data: Hex },
): Promise<Operation> {
  for (let count = 0n; ; count++) {
    const salt = keccak256(encodeAbiParameters([{ type: 'string' }, { type: 'uint256' }], ['dealkeep.upgrade', count]));
    const id = keccak256(
      encodeAbiParameters(
        [{ type: 'address' }, { type: 'uint256' }, { type: 'bytes' }, { type: 'bytes32' }, { type: 'bytes32' }],
        [target, 0n, data, zeroHash, salt],
      ),
    );
    const timestamp = await reader.readContract({
      abi: timelockAbi,
      address: timelock,
      functionName: 'getTimestamp',
      args: [id],
    });
    if (timestamp === DONE) continue;
    const call = [target, 0n, data, zeroHash, salt] as const;
    return {
      id,
      salt,
      readyAt: timestamp === 0n ? undefined : Number(timestamp),
      calls: {
        schedule: encodeFunctionData({
          abi: timelockAbi,
          functionName: 'schedule',
          args: [...call, BigInt(delaySeconds)],
        }),
        execute: encodeFunctionData({ abi: timelockAbi, functionName: 'execute', args: call }),
        cancel: encodeFunctionData({ abi: timelockAbi, functionName: 'cancel', args: [id] }),
      },
    };
  }
}

/** Whether an account holds one of the controller's roles. */
export async function hasRole(
  { reader }: Connection,
  timelock: Address,
  role: 'PROPOSER_ROLE' | 'EXECUTOR_ROLE' | 'DEFAULT_ADMIN_ROLE',
  account: Address,
): Promise<boolean> {
  const contract = { abi: timelockAbi, address: timelock } as const;
  const id = await reader.readContract({ ...contract, functionName: role });
  return reader.readContract({ ...contract, functionName: 'hasRole', args: [id, account] });
}
