/**
 * Owns what a token can do with a buyer's signature: ERC-2612, ERC-3009 in either form, and whether the escrow's Permit2 is
 * there. Believes no name or version: each is tried on the chain with a signature of a key made for the trial, and has to
 * refuse a false one, since some tokens answer anything.
 */
import {
  type Address,
  domainSeparator,
  encodeFunctionData,
  type Hex,
  parseAbi,
  parseSignature,
  type TypedDataDomain,
  zeroHash,
} from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { escrowAbi, usdcAbi } from '../../../contracts/abi.ts';
import { authorizationTypes, permitTypes } from '../../../contracts/typed-data.ts';
import type { Sql } from '../database/db.ts';
import type { CurrencyRow, NetworkRow } from '../schema.ts';
import { type Chain, contractOnly, isRevert, reachable } from './chain.ts';

/** What can be signed for a token. */
export type TokenSignatures = {
  /** Name and version of the token's EIP-712 domain, without which nothing can be signed for it. */
  domain: { name: string; version: string } | null;
  /** ERC-2612. */
  permit: boolean;
  /** ERC-3009: by the standard's form (v, r, s), and by bytes of any length as accounts with code need it. */
  authorization: { standard: boolean; bytes: boolean };
  /** The escrow's Permit2, when it has code. */
  permit2: Address | null;
};

const NONE: TokenSignatures = {
  domain: null,
  permit: false,
  authorization: { standard: false, bytes: false },
  permit2: null,
};

const versionAbi = parseAbi(['function version() view returns (string)']);

const FOREVER = (1n << 64n) - 1n;
const REFRESH = '1 day';

/** What is known of a currency's token; nothing before the first payment in it was prepared. */
export async function signaturesOf(sql: Sql, { id }: Pick<CurrencyRow, 'id'>): Promise<TokenSignatures> {
  const [row] = await sql<{ found: TokenSignatures }[]>`select found from token_signature where currency_id = ${id}`;
  return row?.found ?? NONE;
}

/** Tries the token and keeps what was found, unless that was done within a day. @throws upstream_unavailable */
export async function learnSignatures(
  sql: Sql,
  chain: Chain,
  network: NetworkRow,
  currency: CurrencyRow,
): Promise<void> {
  const { tokenAddress } = currency;
  if (!tokenAddress) return;
  const [known] = await sql`
    select 1 from token_signature where currency_id = ${currency.id} and found_at > now() - ${REFRESH}::interval`;
  if (known) return;
  const found = await reachable(network, () => trySignatures(chain, network, tokenAddress));
  await sql`
    insert into token_signature ${sql({ currencyId: currency.id, found: sql.json(found) })}
    on conflict (currency_id) do update set found = excluded.found, found_at = now()`;
}

async function trySignatures(chain: Chain, network: NetworkRow, token: Address): Promise<TokenSignatures> {
  const client = chain.client(network);
  const permit2 = await client.readContract({
    address: network.diamondAddress,
    abi: escrowAbi,
    functionName: 'permit2',
  });
  const hasPermit2 = (await client.getCode({ address: permit2 })) !== undefined;
  const domain = await domainOf(chain, network, token);
  const found = { ...NONE, permit2: hasPermit2 ? permit2 : null };
  if (!domain) return found;

  const signer = privateKeyToAccount(generatePrivateKey());
  const receiver = privateKeyToAccount(generatePrivateKey()).address;
  const accepts = async (data: Hex) =>
    await client.call({ account: receiver, to: token, data }).then(
      () => true,
      (error) => {
        if (!isRevert(error)) throw error;
        return false;
      },
    );
  /** Whether the token takes a true signature and refuses one by somebody else. */
  const tells = async (call: (signedBy: typeof signer) => Promise<Hex>) => {
    const stranger = privateKeyToAccount(generatePrivateKey());
    return (await accepts(await call(signer))) && !(await accepts(await call(stranger)));
  };

  const permit = await tells(async (signedBy) => {
    const message = { owner: signer.address, spender: receiver, value: 1n, nonce: 0n, deadline: FOREVER };
    const signature = await signedBy.signTypedData({ domain, types: permitTypes, primaryType: 'Permit', message });
    const { r, s, yParity } = parseSignature(signature);
    const args = [signer.address, receiver, 1n, FOREVER, 27 + yParity, r, s] as const;
    return encodeFunctionData({ abi: usdcAbi, functionName: 'permit', args });
  });
  const authorization = { from: signer.address, to: receiver, value: 0n, validAfter: 0n, validBefore: FOREVER };
  const authorize = async (signedBy: typeof signer) =>
    await signedBy.signTypedData({
      domain,
      types: authorizationTypes,
      primaryType: 'ReceiveWithAuthorization',
      message: { ...authorization, nonce: zeroHash },
    });
  const words = [signer.address, receiver, 0n, 0n, FOREVER, zeroHash] as const;
  const standard = await tells(async (signedBy) => {
    const { r, s, yParity } = parseSignature(await authorize(signedBy));
    const args = [...words, 27 + yParity, r, s] as const;
    return encodeFunctionData({ abi: usdcAbi, functionName: 'receiveWithAuthorization', args });
  });
  const bytes = await tells(async (signedBy) => {
    const args = [...words, await authorize(signedBy)] as const;
    return encodeFunctionData({ abi: usdcAbi, functionName: 'receiveWithAuthorization', args });
  });
  const { name, version } = domain;
  return { ...found, domain: { name, version }, permit, authorization: { standard, bytes } };
}

/** The token's EIP-712 domain: the one, of those that it may mean, whose separator the token itself computes. */
async function domainOf(chain: Chain, network: NetworkRow, token: Address) {
  const client = chain.client(network);
  const [separator, described, name, version] = await Promise.all([
    client.readContract({ address: token, abi: usdcAbi, functionName: 'DOMAIN_SEPARATOR' }).catch(contractOnly),
    client.readContract({ address: token, abi: usdcAbi, functionName: 'eip712Domain' }).catch(contractOnly),
    client.readContract({ address: token, abi: usdcAbi, functionName: 'name' }).catch(contractOnly),
    client.readContract({ address: token, abi: versionAbi, functionName: 'version' }).catch(contractOnly),
  ]);
  if (!separator) return null;
  const fromName =
    name === undefined ? [] : [version ?? '1', '1', '2'].map((candidate) => ({ name, version: candidate }));
  const candidates = [...(described ? [{ name: described[1], version: described[2] }] : []), ...fromName];
  for (const candidate of candidates) {
    const domain = { ...candidate, chainId: Number(network.eip155Id), verifyingContract: token };
    if (domainSeparator({ domain: domain satisfies TypedDataDomain }) === separator) return domain;
  }
  return null;
}
