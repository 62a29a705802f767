/**
 * Ids, digests and signatures as TypeScript computes them, in test/contracts/vectors.json; Vectors.t.sol hands the same
 * file to the contracts. A change of either side is red here or there. `npx vitest run test/contracts/vectors -u` writes it.
 */
import { type Address, getAddress, type Hex, hashStruct, hashTypedData, keccak256, toHex } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { expect, test } from 'vitest';
import { dealId, offerId, type Terms } from '../../contracts/terms.ts';
import {
  authorizationTypes,
  cartHash,
  escrowDomain,
  permit2CartTypes,
  permit2DealMessage,
  permit2DealTypes,
  permit2Domain,
  settlementTypes,
} from '../../contracts/typed-data.ts';

const chainId = 8453;
const diamond: Address = getAddress('0xd1a0000000000000000000000000000000000001');
const token: Address = '0x7000000000000000000000000000000000000002';
const permit2: Address = '0x000000000022D473030F116dDEE9F6B43aC78BA3';
const payerKey = keccak256(toHex('payer'));
const payeeKey = keccak256(toHex('payee'));
const payer = privateKeyToAccount(payerKey);
const payee = privateKeyToAccount(payeeKey);
const tokenDomain = { name: 'USD Coin', version: '1', chainId, verifyingContract: token } as const;

const terms: Terms = {
  ref: (7n << 192n) | 0xfeedn,
  operator: getAddress('0x0000000000000000000000000000000000000a01'),
  payee: payee.address,
  payer: payer.address,
  token,
  amount: 100_000_000n,
  fee: 1_000_000n,
  feeRecipient: getAddress('0x0000000000000000000000000000000000000a02'),
  arbiter: getAddress('0x0000000000000000000000000000000000000a03'),
  depositDeadline: 1_800_086_400n,
  settlementDeadline: 1_800_864_000n,
  resolutionDeadline: 1_801_728_000n,
  defaultOutcome: 1,
};
const second = { ...terms, ref: terms.ref + 1n };
const deadline = 1_800_000_005n;

/** Numbers as decimal text, so that every reader keeps all digits. */
function plain(fields: Record<string, bigint | number | string>) {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
}

type Signed = Parameters<typeof hashTypedData>[0];

/** The digest of typed data and the payer's signature of it. */
async function signed(data: Signed): Promise<{ digest: Hex; signature: Hex }> {
  return { digest: hashTypedData(data), signature: await payer.signTypedData(data) };
}

function authorization(nonce: Hex, value: bigint): Signed {
  return {
    domain: tokenDomain,
    types: authorizationTypes,
    primaryType: 'ReceiveWithAuthorization',
    message: { from: payer.address, to: diamond, value, validAfter: 0n, validBefore: deadline, nonce },
  };
}

test('the vectors are what TypeScript computes', async () => {
  const id = dealId(terms, chainId, diamond);
  const cart = cartHash([id, dealId(second, chainId, diamond)]);
  const settlement = {
    domain: escrowDomain(chainId, diamond),
    types: settlementTypes,
    primaryType: 'Settlement',
    message: { deal: id, released: 0n, refunded: 0n, toPayee: 70n, toPayer: terms.amount - 70n, deadline },
  } as const;
  const vectors = {
    chainId: String(chainId),
    diamond,
    token,
    permit2,
    payerKey,
    payeeKey,
    deadline: String(deadline),
    terms: plain({ ...terms }),
    dealId: id,
    offerId: offerId(terms, chainId, diamond),
    witness: hashStruct({ data: { ...terms }, types: permit2DealTypes, primaryType: 'Terms' }),
    /** Of these terms and of the same with `ref` one higher. */
    cartHash: cart,
    permit: await signed({
      domain: tokenDomain,
      types: {
        Permit: [
          { name: 'owner', type: 'address' },
          { name: 'spender', type: 'address' },
          { name: 'value', type: 'uint256' },
          { name: 'nonce', type: 'uint256' },
          { name: 'deadline', type: 'uint256' },
        ],
      },
      primaryType: 'Permit',
      message: { owner: payer.address, spender: diamond, value: terms.amount, nonce: 0n, deadline },
    }),
    authorization: await signed(authorization(id, terms.amount)),
    cartAuthorization: await signed(authorization(cart, 2n * terms.amount)),
    permit2Deal: await signed({
      domain: permit2Domain(chainId, permit2),
      types: permit2DealTypes,
      primaryType: 'PermitWitnessTransferFrom',
      message: permit2DealMessage(terms, diamond, 0n, deadline),
    }),
    permit2Cart: await signed({
      domain: permit2Domain(chainId, permit2),
      types: permit2CartTypes,
      primaryType: 'PermitWitnessTransferFrom',
      message: {
        permitted: { token, amount: 2n * terms.amount },
        spender: diamond,
        nonce: 0n,
        deadline,
        witness: { deals: cart },
      },
    }),
    settlement: { ...(await signed(settlement)), ofPayee: await payee.signTypedData(settlement), toPayee: '70' },
  };
  await expect(`${JSON.stringify(vectors, null, 2)}\n`).toMatchFileSnapshot('vectors.json');
});
