// The operator's command line: `npx dealkeep <command>`. Speaks to the API by REST, as any integrator could; only bootstrap,
// doctor, reconcile and rebuild may be given the database.
import { Command, CommanderError, Option } from 'commander';
import { bootstrapCommand } from './bootstrap.ts';
import { completionCommand } from './completion.ts';
import { doctorCommand } from './doctor.ts';
import { Failure } from './failure.ts';
import { keysCommand } from './keys.ts';
import { networksCommand } from './networks.ts';
import { nodesCommand } from './nodes.ts';
import { paymentsCommand } from './payments.ts';
import { rebuildCommand } from './rebuild.ts';
import { reconcileCommand } from './reconcile.ts';
import { reservesCommand } from './reserves.ts';
import { unmatchedCommand } from './unmatched.ts';
import { verifyCommand } from './verify.ts';
import { webhooksCommand } from './webhooks.ts';

const program = new Command()
  .name('dealkeep')
  .description('Runs a Dealkeep installation from the terminal.')
  .addOption(new Option('--url <url>', 'the API').env('DEALKEEP_URL'))
  .addOption(
    new Option('--credentials <file>', 'JSON with client_id and client_secret, and url if that is left out').env(
      'DEALKEEP_CREDENTIALS',
    ),
  )
  .option('--data <dir>', 'without the two above: the data folder of a stack that `npm start` runs', '.data')
  .option('--json', 'print what the API answers, as JSON', false)
  .option('--yes', 'do not ask before money moves', false)
  .configureHelp({ showGlobalOptions: true })
  .exitOverride()
  .addHelpText(
    'after',
    `
DEALKEEP_CLIENT_ID and DEALKEEP_CLIENT_SECRET are used where there is no file.

Exit codes: 0 done · 1 refused, failed or not true · 2 wrong usage · 3 nothing answers

Examples:
  npx dealkeep doctor
  npx dealkeep payments list --status funded
  npx dealkeep payments release 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d --amount 10
  npx dealkeep verify 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d --rpc-url https://rpc.example
  npx dealkeep reserves --json
  npx dealkeep reconcile --network Base`,
  );
for (const command of [
  bootstrapCommand(),
  nodesCommand(),
  networksCommand(),
  paymentsCommand(),
  unmatchedCommand(),
  webhooksCommand(),
  keysCommand(),
  verifyCommand(),
  reservesCommand(),
  reconcileCommand(),
  rebuildCommand(),
  doctorCommand(),
]) {
  program.addCommand(command);
}
program.addCommand(completionCommand(program));

/** Subcommands inherit neither of these from the program. */
function completeSubcommands(command: Command): void {
  for (const below of command.commands) {
    below.exitOverride().configureHelp({ showGlobalOptions: true });
    completeSubcommands(below);
  }
}

completeSubcommands(program);
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2);
  if (!(error instanceof Failure)) throw error;
  console.error(error.message);
  process.exit(error.exitCode);
}
