// Owns the tree of commands: `npx dealkeep <command>`. Speaks to the API by REST, as any integrator could; only bootstrap, doctor,
// reconcile and rebuild may be given the database.
import { Command, Option } from 'commander';
import { bootstrapCommand } from './bootstrap.ts';
import { completionCommand } from './completion.ts';
import { doctorCommand } from './doctor.ts';
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

/** The whole command line, ready to parse; what is wrong with its usage is thrown as a CommanderError, not exited with. */
export function openProgram(): Command {
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
  inheritSettings(program);
  return program;
}

/** Commands inherit none of these from the one above. */
function inheritSettings(command: Command): void {
  command.exitOverride().configureHelp({ showGlobalOptions: true });
  for (const below of command.commands) inheritSettings(below);
}
