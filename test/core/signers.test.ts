import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as Keystore from 'ox/Keystore';
import { parseTransaction, recoverTransactionAddress, type TransactionSerializedEIP1559 } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { describe, expect, onTestFinished, test } from 'vitest';
import { keystoreSigner, remoteSigner, type UnsignedTransaction } from '../../api/core/chain/signers.ts';
import { openSigners } from '../../api/keys.ts';
import { startRemoteSigner } from '../support/remote-signer.ts';

const privateKey = generatePrivateKey();
const address = privateKeyToAccount(privateKey).address;
const transaction: UnsignedTransaction = {
  chainId: 31_337,
  nonce: 0,
  to: '0x00000000000000000000000000000000000000aa',
  data: '0x12345678',
  gas: 100_000n,
  maxFeePerGas: 2_000_000_000n,
  maxPriorityFeePerGas: 1_000_000_000n,
};

/** A keystore of little strength, so that the test takes no time. */
function keystore(password: string): string {
  const [key, options] = Keystore.scrypt({ password, n: 1_024 });
  return JSON.stringify({ ...Keystore.encrypt(privateKey, key, options), address: address.slice(2).toLowerCase() });
}

describe('an encrypted key file', () => {
  test('signs with its key once the password opens it', async () => {
    const signer = await keystoreSigner(keystore('right'), 'right');
    const raw = (await signer.sign(transaction)) as TransactionSerializedEIP1559;
    expect(await recoverTransactionAddress({ serializedTransaction: raw })).toBe(address);
    expect(parseTransaction(raw)).toMatchObject({ to: transaction.to, data: transaction.data, gas: 100_000n });
  });

  test('stays shut to another password, says so, and shows nothing of it', async () => {
    await expect(keystoreSigner(keystore('right'), 'wrong')).rejects.toThrow(
      'The password does not open the keystore.',
    );
  });

  test.each(['', 'no json', '{}', '[]', 'null', '{"version":1}', '{"version":3,"crypto":{"cipher":"aes-256-gcm"}}'])(
    'that is none is refused: %s',
    async (text) => {
      await expect(keystoreSigner(text, 'right')).rejects.toThrow('This is no Web3 keystore of version 3');
    },
  );

  test('that names another address than its key’s is refused', async () => {
    const text = JSON.stringify({ ...JSON.parse(keystore('right')), address: '00'.repeat(20) });
    await expect(keystoreSigner(text, 'right')).rejects.toThrow('but holds the key of');
  });
});

describe('a remote signer', () => {
  const bearerToken = 'a token';
  async function server(options: Partial<Parameters<typeof startRemoteSigner>[0]> = {}) {
    const started = await startRemoteSigner({ privateKey, bearerToken, ...options });
    onTestFinished(() => started.stop());
    return started;
  }

  test('signs what it is asked for', async () => {
    const { url } = await server();
    const raw = await remoteSigner({ address, url, bearerToken }).sign(transaction);
    expect(parseTransaction(raw)).toMatchObject({ to: transaction.to, data: transaction.data });
  });

  test.each([
    ['another receiver', { to: '0x00000000000000000000000000000000000000bb' as const }],
    ['other calldata', { data: '0x87654321' as const }],
    ['a value', { value: 1n }],
    ['another nonce', { nonce: 1 }],
    ['another chain', { chainId: 1 }],
    ['a higher fee', { maxFeePerGas: 3_000_000_000n }],
    ['more gas', { gas: 200_000n }],
  ])('that signs %s is refused', async (_, change) => {
    const { url } = await server({ tamper: (asked) => ({ ...asked, ...change }) });
    const signing = remoteSigner({ address, url, bearerToken }).sign(transaction);
    await expect(signing).rejects.toThrow('signed something else than it was asked to');
  });

  test('that signs with another key is refused', async () => {
    const { url } = await server();
    const other = privateKeyToAccount(generatePrivateKey()).address;
    const asked = remoteSigner({ address: other, url, bearerToken }).sign(transaction);
    await expect(asked).rejects.toMatchObject({ code: 'upstream_unavailable' });
  });

  test('that is down, slow, or wants another token is unavailable, and its URL and token stay inside', async () => {
    const { url, stop } = await server();
    const refused = remoteSigner({ address, url, bearerToken: 'wrong' }).sign(transaction);
    await expect(refused).rejects.toThrow(`The signer of ${address.toLowerCase()} answers with status 401.`);
    await stop();
    const down = remoteSigner({ address, url, bearerToken }).sign(transaction);
    await expect(down).rejects.toThrow(`The signer of ${address.toLowerCase()} does not answer.`);
  });

  test.each(['http://signer.example/', 'ftp://127.0.0.1/', 'signer'])('is not asked over %s', (url) => {
    expect(() => remoteSigner({ address, url })).toThrow('needs an https URL');
  });
});

describe('the worker’s settings', () => {
  test.each([
    [{}, 'No key is given'],
    [{ OPERATOR_KEYS: `${privateKey},0x12` }, 'OPERATOR_KEYS, entry 2: A private key is 0x and 64 hex digits.'],
    [{ OPERATOR_KEYS: `${privateKey},${privateKey}` }, 'is given twice'],
    [{ OPERATOR_KEYSTORES: '/nowhere.json' }, 'needs OPERATOR_KEYSTORE_PASSWORD_FILE'],
    [{ REMOTE_SIGNERS: `${address}=http://signer.example` }, 'REMOTE_SIGNERS, entry 1: The remote signer of'],
    [{ REMOTE_SIGNERS: 'https://signer.example' }, 'REMOTE_SIGNERS, entry 1: A remote signer'],
  ])('that cannot be used are named without what they hold: %#', async (env, message) => {
    const failure = await openSigners(env).catch((error: Error) => error.message);
    expect(failure).toContain(message);
    expect(failure).not.toContain(privateKey.slice(2));
  });

  test('open keys of all three kinds', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dealkeep-keys-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'key.json'), keystore('right'));
    await writeFile(join(folder, 'password'), 'right\n');
    const signers = await openSigners({
      OPERATOR_KEYS: generatePrivateKey(),
      OPERATOR_KEYSTORES: join(folder, 'key.json'),
      OPERATOR_KEYSTORE_PASSWORD_FILE: join(folder, 'password'),
      REMOTE_SIGNERS: '0x00000000000000000000000000000000000000AA=https://signer.example/?a=b',
    });
    expect(signers.map((signer) => signer.address).slice(1)).toEqual([
      address.toLowerCase(),
      '0x00000000000000000000000000000000000000aa',
    ]);
  });
});
