/**
 * Hardhat's well-known accounts by the role that each plays on a local chain. Everybody holds these keys, so nothing here
 * may be used on any other chain.
 */
import { bytesToHex, type Hex } from 'viem';
import { type HDAccount, mnemonicToAccount } from 'viem/accounts';

const MNEMONIC = 'test test test test test test test test test test test junk';

/** Which of Hardhat's accounts plays which role; from 5 on they are buyers. */
export const ROLES = {
  deployer: 0,
  operator: 1,
  payee: 2,
  feeRecipient: 3,
  arbiter: 4,
  buyer: 5,
  secondBuyer: 6,
} as const;

// Deriving one takes 20 ms: a bench that asked for two with each deal spent its time on that.
const derived = new Map<number, HDAccount>();

/** The local chain's account number `index`. */
export function hardhatAccount(index: number): HDAccount {
  const account = derived.get(index) ?? mnemonicToAccount(MNEMONIC, { addressIndex: index });
  derived.set(index, account);
  return account;
}

/** The private key of the local chain's account number `index`. */
export function hardhatKey(index: number): Hex {
  const key = hardhatAccount(index).getHdKey().privateKey;
  if (!key) throw new Error(`Hardhat's account ${index} has no private key`);
  return bytesToHex(key);
}
