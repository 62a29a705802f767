/** `dealkeep reserves`: what the escrow has beside what it owes. */
import { Command } from 'commander';
import { type Answer, placeOf, request, settingsOf } from './api.ts';
import { Failure } from './failure.ts';
import { examples } from './options.ts';
import { printRows } from './output.ts';

export function reservesCommand(): Command {
  return new Command('reserves')
    .description('show what the escrow has of each token, and what open deals and credits need')
    .addHelpText(...examples('reserves', '--url https://pay.example.com reserves --json'))
    .action(async (_options, self: Command) => {
      const settings = settingsOf(self);
      const answer = await request(placeOf(settings).url, 'GET', '/reserves');
      printRows(settings, answer, [
        ['network', (row) => row.network],
        ['currency', (row) => row.currency],
        ['block', (row) => row.block],
        ['open deals', (row) => row.open_deals],
        ['held, base units', (row) => row.held_units],
        ['credits', (row) => row.credit_units],
        ['balance', (row) => row.balance_units],
        ['covered', (row) => (row.covered === null ? 'unknown' : row.covered ? 'yes' : 'NO')],
      ]);
      if (answer.items.some((row: Answer) => row.covered === false))
        throw new Failure('The escrow owes more than it has.');
    });
}
