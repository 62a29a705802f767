// Owns what becomes of fees that a deal has earned: confirmed withdrawals of a fee recipient's credit, entered in the ledger of each
// node whose fees were in it. It compares and keeps no cursor, as settling does.
import type { Chain } from '../chain/chain.ts';
import type { SafeBlock } from '../chain/mirror.ts';
import { type FeeAccountInToken, feesBefore, readWithdrawals, touchedFeeAccounts } from '../chain/withdrawals.ts';
import { type Sql, type Transaction, transact } from '../database/db.ts';
import { CoreError } from '../errors.ts';
import { postWithdrawals } from '../ledger.ts';
import type { NetworkRow } from '../schema.ts';

/**
 * Enters the withdrawals that something touched from the block `since` on; 0: all, each amount anew. Every deal must have been
 * settled up to the safe block before. @throws upstream_unavailable when a quorum does not have a withdrawal
 */
export async function settleWithdrawals(
  sql: Sql,
  chain: Chain,
  network: NetworkRow,
  safe: SafeBlock,
  { since }: { since: bigint },
): Promise<void> {
  let doubted: CoreError | undefined;
  for (const account of await touchedFeeAccounts(sql, network, safe, since)) {
    try {
      await transact(sql, (tx) => postMirrored(tx, network, safe, account, { chain, verify: since === 0n }));
    } catch (error) {
      // What is in doubt about one recipient holds up no other.
      if (!(error instanceof CoreError) || error.code !== 'upstream_unavailable') throw error;
      doubted ??= error;
    }
  }
  if (doubted) throw doubted;
}

/** Brings a fee account's withdrawals to what the mirror says; with a chain, none that a quorum does not have. */
export async function postMirrored(
  tx: Transaction,
  network: NetworkRow,
  safe: SafeBlock,
  account: FeeAccountInToken,
  { chain, verify = false }: { chain?: Chain; verify?: boolean } = {},
): Promise<void> {
  const withdrawals = await readWithdrawals(tx, network, safe, account);
  await postWithdrawals(
    tx,
    account,
    withdrawals,
    async (withdrawal, { posted }) => {
      if (chain && !posted && !(await chain.isWithdrawalWitnessed(network, withdrawal))) {
        const what = `a withdrawal in transaction ${withdrawal.transactionHash}, which the network's nodes do not have`;
        throw new CoreError(
          'upstream_unavailable',
          `Network ${network.name}: the mirror has ${what}; nothing was posted.`,
        );
      }
      return await feesBefore(tx, network, account, withdrawal);
    },
    { verify },
  );
}
