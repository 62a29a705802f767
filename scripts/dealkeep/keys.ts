/** `dealkeep keys`: new secrets in place of old ones, which go into a file and never onto the screen. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { Api, settingsOf } from './api.ts';
import { Failure } from './failure.ts';
import { examples } from './options.ts';
import { printRecord } from './output.ts';

export function keysCommand(): Command {
  const command = new Command('keys').description('secrets of integrations');

  command
    .command('rotate')
    .argument('<integration>', "the integration's id")
    .description('give an integration a new secret; the old one stays valid for a while')
    .requiredOption('--out <file>', 'where url, client_id and client_secret are written, for you alone to read')
    .option('--overlap <seconds>', 'how long the old secret stays valid', '86400')
    .addHelpText(...examples('keys rotate 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d --out new.json --overlap 3600'))
    .action(async (id: string, { out, overlap }, self: Command) => {
      if (!/^\d{1,7}$/.test(overlap)) throw new Failure('--overlap takes seconds.', 2);
      const settings = settingsOf(self);
      const api = await Api.open(settings);
      requireWritable(out);
      const path = `/integrations/${encodeURIComponent(id)}/rotate-secret`;
      const { client_secret, ...rest } = await api.post(path, { overlap_seconds: Number(overlap) });
      writeSecret(out, { url: api.place.url, client_id: rest.client_id, client_secret });
      printRecord(
        settings,
        { ...rest, written_to: out },
        {
          integration: rest.id,
          'old secret until': rest.previous_secret_until,
          'new secret in': out,
        },
      );
    });

  return command;
}

/** A secret that is shown once must not be lost for want of a folder. @throws Failure */
export function requireWritable(path: string): void {
  try {
    writeFileSync(path, '', { flag: 'a', mode: 0o600 });
  } catch {
    throw new Failure(`${path} cannot be written: choose another file.`, 2);
  }
  if (readFileSync(path, 'utf8') !== '') throw new Failure(`${path} is there already: choose another file.`, 2);
}

/** Writes credentials at once, readable by their owner alone. */
export function writeSecret(path: string, content: Record<string, string>): void {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  renameSync(temporary, path);
}
