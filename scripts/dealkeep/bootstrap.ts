/** `dealkeep bootstrap`: the first node and the first integration of an empty installation. */
import { Command } from 'commander';
import { pendingMigrations } from '../../api/core/database/db.ts';
import { createIntegration, createNode } from '../../api/core/platform/platform.ts';
import { settingsOf } from './api.ts';
import { databaseOption, withDatabase } from './database.ts';
import { Failure } from './failure.ts';
import { requireWritable, writeSecret } from './keys.ts';
import { examples } from './options.ts';
import { printRecord } from './output.ts';

export function bootstrapCommand(): Command {
  return new Command('bootstrap')
    .description('add a root node and an integration with every right on it, straight in the database')
    .requiredOption('--name <name>', "the node's and the integration's name")
    .requiredOption('--out <file>', 'where url, client_id and client_secret are written, for you alone to read')
    .addOption(databaseOption('the database, migrated').makeOptionMandatory())
    .addHelpText(
      ...examples(
        '--url http://127.0.0.1:4000 bootstrap --name Lamps --out lamps.json --database-url postgres://me:secret@127.0.0.1/dealkeep',
      ),
    )
    .action(async ({ name, out, databaseUrl }, self: Command) => {
      const settings = settingsOf(self);
      const { url } = settings;
      if (!url) throw new Failure('Say where the API will be: --url URL. It goes into the file.', 2);
      requireWritable(out);
      await withDatabase(databaseUrl, async (sql) => {
        if ((await pendingMigrations(sql)).length > 0)
          throw new Failure('The database is not up to date: npm run migrate.');
        const node = await createNode(sql, { name });
        const { id, clientId, clientSecret } = await createIntegration(sql, { nodeId: node.id, name });
        writeSecret(out, { url, client_id: clientId, client_secret: clientSecret });
        const fields = { node: node.id, integration: id, credentials: out };
        printRecord(settings, fields, fields);
      });
    });
}
