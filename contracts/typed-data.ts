/**
 * What wallets sign for the escrow (EIP-712), with the very types that the contracts hash: settlements of this diamond,
 * Permit2 transfers with the deal or cart as witness, ERC-3009 authorizations whose nonce is the deal, ERC-2612 permits.
 */
import { type Address, concatHex, type Hex, keccak256 } from 'viem';
import { type Terms, termsParameters } from './terms.ts';

/** The types of a Permit2 transfer that opens one deal; the primary type is `PermitWitnessTransferFrom`. */
export const permit2DealTypes = {
  PermitWitnessTransferFrom: [
    { name: 'permitted', type: 'TokenPermissions' },
    { name: 'spender', type: 'address' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint256' },
    { name: 'witness', type: 'Terms' },
  ],
  Terms: termsParameters,
  TokenPermissions: [
    { name: 'token', type: 'address' },
    { name: 'amount', type: 'uint256' },
  ],
} as const;

/** The types of a Permit2 transfer that opens several deals; the witness holds `cartHash` of their ids. */
export const permit2CartTypes = {
  PermitWitnessTransferFrom: [
    { name: 'permitted', type: 'TokenPermissions' },
    { name: 'spender', type: 'address' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint256' },
    { name: 'witness', type: 'Cart' },
  ],
  Cart: [{ name: 'deals', type: 'bytes32' }],
  TokenPermissions: permit2DealTypes.TokenPermissions,
} as const;

/** The types of an ERC-3009 authorization; its nonce is the deal's id, or `cartHash` of several. */
export const authorizationTypes = {
  ReceiveWithAuthorization: [
    { name: 'from', type: 'address' },
    { name: 'to', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'validAfter', type: 'uint256' },
    { name: 'validBefore', type: 'uint256' },
    { name: 'nonce', type: 'bytes32' },
  ],
} as const;

/** The types of an ERC-2612 permit. */
export const permitTypes = {
  Permit: [
    { name: 'owner', type: 'address' },
    { name: 'spender', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint256' },
  ],
} as const;

/** The types of a settlement; released and refunded are what was settled before, in base units. */
export const settlementTypes = {
  Settlement: [
    { name: 'deal', type: 'bytes32' },
    { name: 'released', type: 'uint256' },
    { name: 'refunded', type: 'uint256' },
    { name: 'toPayee', type: 'uint256' },
    { name: 'toPayer', type: 'uint256' },
    { name: 'deadline', type: 'uint256' },
  ],
} as const;

/** The EIP-712 domain of a diamond's own signatures. */
export function escrowDomain(chainId: number, diamond: Address) {
  return { name: 'Dealkeep', version: '1', chainId, verifyingContract: diamond } as const;
}

/** The EIP-712 domain of Permit2. */
export function permit2Domain(chainId: number, permit2: Address) {
  return { name: 'Permit2', chainId, verifyingContract: permit2 } as const;
}

/** The message of a Permit2 transfer that opens one deal, for `signTypedData` with `permit2DealTypes`. */
export function permit2DealMessage(terms: Terms, diamond: Address, nonce: bigint, deadline: bigint) {
  return {
    permitted: { token: terms.token, amount: terms.amount },
    spender: diamond,
    nonce,
    deadline,
    witness: terms,
  } as const;
}

/** What a signature over several deals binds: keccak256 of their ids in order (32 bytes). */
export function cartHash(ids: readonly Hex[]): Hex {
  return keccak256(concatHex(ids));
}
