/** `npm run migrate`: brings the database at DATABASE_URL up to date and says what it did. */
import { Command } from 'commander';
import { migrate } from '../api/core/database/db.ts';
import { describe } from './dev/problem.ts';

async function run({ json }: { json: boolean }): Promise<void> {
  const databaseUrl = process.env.DATABASE_URL;
  if (!databaseUrl) {
    console.error('DATABASE_URL is not set: it names the database to migrate, postgres://user:password@host/database.');
    process.exit(2);
  }
  try {
    const applied = await migrate(databaseUrl);
    if (json) console.log(JSON.stringify({ applied }));
    else console.log(applied.length === 0 ? 'Up to date.' : `Applied: ${applied.join(', ')}`);
  } catch (error) {
    console.error(`The database was not migrated: ${describe(error)}`);
    process.exit(1);
  }
}

await new Command()
  .name('npm run migrate --')
  .description('Brings the database at DATABASE_URL up to date; run again it changes nothing.')
  .option('--json', 'print one JSON object: { "applied": [names] }', false)
  .addHelpText('after', '\nExample:\n  DATABASE_URL=postgres://me:secret@127.0.0.1/dealkeep npm run migrate')
  .action(run)
  .parseAsync();
