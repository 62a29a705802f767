// Owns the worker's settings of keys: from the environment, from encrypted files, or behind remote signers.
// Refuses to quote any of them: an error names the setting, never what it holds.
import { readFile } from 'node:fs/promises';
import { keySigner, keystoreSigner, remoteSigner, type Signer } from './core/chain/signers.ts';

/** The part of a usage text that says how keys are given. */
export const KEYS_USAGE = `  OPERATOR_KEYS    worker: private keys, 0x…, comma-separated: of the networks' operators, of delegates that they named on
                   chain, of arbiters for whom we resolve
  OPERATOR_KEYSTORES
                   worker: paths of encrypted keys (Web3 keystore v3, as geth, foundry and clef write them), comma-separated,
                   all under the password in the file OPERATOR_KEYSTORE_PASSWORD_FILE
  REMOTE_SIGNERS   worker: ADDRESS=URL of signers that speak JSON-RPC eth_signTransaction (Web3Signer, clef),
                   comma-separated; https, or http on this machine. REMOTE_SIGNER_TOKEN_FILE holds a bearer token for them
                   The worker needs at least one of these three
`;

/** A setting of keys that cannot be used; its message says which and why. */
export class KeySettingError extends Error {}

/** Opens every signer that the settings name. @throws KeySettingError when one cannot be opened, is named twice, or none is. */
export async function openSigners(env: NodeJS.ProcessEnv): Promise<Signer[]> {
  const signers: Signer[] = [];
  for (const [index, key] of listed(env.OPERATOR_KEYS).entries()) {
    signers.push(await opened(`OPERATOR_KEYS, entry ${index + 1}`, () => keySigner(key)));
  }
  const keystores = listed(env.OPERATOR_KEYSTORES);
  if (keystores.length > 0) {
    const password = await secretFile(env, 'OPERATOR_KEYSTORE_PASSWORD_FILE');
    if (password === undefined) throw new KeySettingError('OPERATOR_KEYSTORES needs OPERATOR_KEYSTORE_PASSWORD_FILE.');
    for (const path of keystores) {
      const setting = `OPERATOR_KEYSTORES, ${path}`;
      const text = await opened(setting, () => readFile(path, 'utf8'));
      signers.push(await opened(setting, () => keystoreSigner(text, password)));
    }
  }
  const remotes = listed(env.REMOTE_SIGNERS);
  const bearerToken = remotes.length > 0 ? await secretFile(env, 'REMOTE_SIGNER_TOKEN_FILE') : undefined;
  for (const [index, remote] of remotes.entries()) {
    const [address = '', ...url] = remote.split('=');
    signers.push(
      await opened(`REMOTE_SIGNERS, entry ${index + 1}`, () =>
        remoteSigner({ address, url: url.join('='), bearerToken }),
      ),
    );
  }
  if (signers.length === 0) {
    throw new KeySettingError('No key is given: set OPERATOR_KEYS, OPERATOR_KEYSTORES or REMOTE_SIGNERS.');
  }
  const twice = signers.find(({ address }, index) => signers.findIndex((other) => other.address === address) !== index);
  if (twice) throw new KeySettingError(`${twice.address} is given twice.`);
  return signers;
}

async function opened<T>(setting: string, open: () => T | Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    throw new KeySettingError(`${setting}: ${(error as Error).message}`);
  }
}

async function secretFile(env: NodeJS.ProcessEnv, name: string): Promise<string | undefined> {
  const path = env[name];
  if (!path) return undefined;
  return (await opened(name, () => readFile(path, 'utf8'))).replace(/\r?\n$/, '');
}

function listed(setting: string | undefined): string[] {
  return (setting ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}
