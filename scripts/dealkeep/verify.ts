/** `dealkeep verify`: whether the API tells the truth of a payment, read from the chain by a node of your own. */
import { Command, Option } from 'commander';
import { createPublicClient, getAddress, http, isAddress } from 'viem';
import { type ClaimedLeg, type Finding, verify } from '../../contracts/verify.ts';
import { Api, settingsOf } from './api.ts';
import { Failure } from './failure.ts';
import { examples } from './options.ts';
import { printJson, printRows } from './output.ts';

export function verifyCommand(): Command {
  return new Command('verify')
    .argument('<payment>', "the payment's id")
    .description('read a payment from the chain and say, field by field, whether the API told the truth')
    .addOption(
      new Option('--rpc-url <url>', "a node that you trust; left out: the running stack's").env('DEALKEEP_RPC_URL'),
    )
    .addOption(
      new Option(
        '--diamond <address>',
        "the escrow's address as you know it; left out: the running stack's, or whatever the API claims",
      ).env('DEALKEEP_DIAMOND'),
    )
    .addHelpText(
      ...examples(
        'verify 0198c5f1-6f4e-7c3a-9d52-3f1f0a6b7c8d --rpc-url https://rpc.example --diamond 0x2279B7A0a67DB372996a5FaB50D91eAA73d2eBe6',
      ),
    )
    .action(async (id: string, { rpcUrl, diamond: named }, self: Command) => {
      if (named !== undefined && !isAddress(named))
        throw new Failure('--diamond takes an address, 0x and 40 digits.', 2);
      if (rpcUrl !== undefined && !/^https?:$/.test(URL.parse(rpcUrl)?.protocol ?? '')) {
        throw new Failure('--rpc-url takes an http or https URL.', 2);
      }
      const settings = settingsOf(self);
      const api = await Api.open(settings);
      const node = rpcUrl ?? api.place.rpcUrl;
      if (!node) throw new Failure('Name a node that you trust: --rpc-url URL.', 2);
      const diamond = named ?? api.place.diamond;
      const payment = await api.get(`/payments/${encodeURIComponent(id)}`);
      const client = createPublicClient({ transport: http(node) });
      const findings = await verify(payment, client, diamond ? { diamond: getAddress(diamond) } : {}).catch(() => {
        throw new Failure('The RPC node does not answer, or does not know what was asked of it.', 3);
      });
      const lies = findings.filter(({ agrees }) => !agrees);
      if (settings.json) printJson({ payment: payment.id, status: payment.status, true: lies.length === 0, findings });
      else showFindings(findings);
      if (lies.length > 0) {
        throw new Failure(
          `Not as on chain: ${lies.map(({ field }) => field).join(', ')}. The chain may be ahead by a moment: try again.`,
        );
      }
      if (settings.json) return;
      const proven = payment.legs.some(({ proof }: ClaimedLeg) => proof !== null);
      console.log(proven ? `All of it is true: ${payment.status}.` : `It claims nothing on chain: ${payment.status}.`);
    });

  function showFindings(findings: Finding[]): void {
    printRows({ data: '', json: false, yes: false }, { items: findings, total: 0 }, [
      ['leg', (row: Finding) => row.leg],
      ['field', (row: Finding) => row.field],
      ['the API says', (row: Finding) => row.claimed],
      ['the chain says', (row: Finding) => row.found],
      ['true', (row: Finding) => (row.agrees ? 'yes' : 'NO')],
    ]);
  }
}
