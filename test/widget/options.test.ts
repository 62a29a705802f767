// What the widget says may be done with a deal, by whom and when: against the README's table of verbs, and against the contract
// itself, at the very seconds of the deadlines.
import { readFile } from 'node:fs/promises';
import { type Address, createPublicClient, http, type PublicClient } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { feeAt, type StatusName, type Terms } from '../../contracts/terms.ts';
import { escrowDomain, settlementTypes } from '../../contracts/typed-data.ts';
import { settleCall, verbCall } from '../../widget/afterwards/calls.ts';
import {
  heldUnits,
  isOpen,
  type Movement,
  movementOf,
  type Option,
  optionsOf,
  type Role,
  rolesOf,
  type Standing,
  type Verb,
} from '../../widget/afterwards/options.ts';
import { type EscrowChain, startEscrowChain } from '../support/escrow-chain.ts';
import { chainOf, offerOf, openWallet, type Wallet } from '../support/wallet.ts';

const address = (digit: string): Address => `0x${digit.repeat(40)}`;
const NOBODY = address('0');
const terms: Terms = {
  ...{ ref: 1n, operator: address('1'), payee: address('2'), payer: address('3'), token: address('4') },
  ...{ amount: 1_000n, fee: 15n, feeRecipient: address('5'), arbiter: address('6') },
  ...{ depositDeadline: 10n, settlementDeadline: 20n, resolutionDeadline: 30n, defaultOutcome: 0 },
};
const standing = (status: StatusName, changes: Partial<Standing> = {}): Standing => ({
  ...{ terms, status, released: status === 'Settled' ? 1_000n : 0n, refunded: 0n },
  disputedBy: status === 'Disputed' ? 'payer' : null,
  ...changes,
});

describe('the README’s table', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const [, table = ''] = readme.split('| verb | from | to | payer | payee | operator ¹ | arbiter | anyone |\n');
  const rows = (table.split('\n\n')[0] ?? '').split('\n').slice(1);
  const roles: Role[] = ['payer', 'payee', 'operator', 'arbiter', 'anyone'];
  let named: string[] = [];
  const cells = rows.flatMap((row) => {
    const [verbs = '', from = '', , ...who] = row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    if (verbs !== '') named = [...verbs.matchAll(/`(\w+)`/g)].map(([, verb]) => verb ?? '');
    return named
      .filter((verb) => !/^deposit|Many$|^withdraw$/.test(verb))
      .flatMap((verb) =>
        from.split(' · ').flatMap((status) => roles.map((role, at) => ({ verb, status, role, when: who[at] ?? '' }))),
      );
  });

  test('has a row for each verb that the widget knows', () => {
    const verbs = new Set(cells.map(({ verb }) => verb));
    const known = ['None', 'Funded', 'Disputed', 'Settled'].flatMap((status) =>
      [0, 1].flatMap((defaultOutcome) =>
        optionsOf(standing(status as StatusName, { terms: { ...terms, defaultOutcome } })).map(({ verb }) => verb),
      ),
    );
    expect([...new Set(known)].sort()).toEqual([...verbs].sort());
  });

  test.each(cells)('$verb from $status by the $role: “$when”', ({ verb, status, role, when }) => {
    const defaultOutcome = verb === 'claim' ? 1 : 0;
    const deal = standing(status as StatusName, { terms: { ...terms, defaultOutcome } });
    const found = optionsOf(deal).find((option) => option.verb === verb && option.by === role) ?? null;
    const expected = (): Pick<Option, 'from' | 'until'> | null => {
      switch (when) {
        case '':
        case 'relays':
          return null;
        case '≤ SD':
          return { from: null, until: 20n };
        case '≤ RD':
          return { from: null, until: 30n };
        case '> SD · > RD':
          return { from: status === 'Funded' ? 21n : 31n, until: null };
        case 'who opened it':
          return role === 'payer' ? { from: null, until: null } : null;
        case 'any time':
        case 'signs':
        case 'up to what was released':
          return { from: null, until: null };
        default:
          throw new Error(`The table says something new: ${when}`);
      }
    };
    expect(found && { from: found.from, until: found.until }).toEqual(expected());
  });
});

describe('movementOf', () => {
  const partly = standing('Funded', { released: 333n, refunded: 100n });
  test.each<[Verb, bigint | null, Movement]>([
    ['release', null, { toPayee: 558n, fee: 9n, toPayer: 0n, left: 0n }],
    ['claim', null, { toPayee: 558n, fee: 9n, toPayer: 0n, left: 0n }],
    ['releasePart', 1n, { toPayee: 0n, fee: 1n, toPayer: 0n, left: 566n }],
    ['cancelDeal', null, { toPayee: 0n, fee: 0n, toPayer: 567n, left: 0n }],
    ['reclaim', null, { toPayee: 0n, fee: 0n, toPayer: 567n, left: 0n }],
    ['refundPart', 567n, { toPayee: 0n, fee: 0n, toPayer: 567n, left: 0n }],
    ['settle', 0n, { toPayee: 0n, fee: 0n, toPayer: 567n, left: 0n }],
    ['openDispute', null, { toPayee: 0n, fee: 0n, toPayer: 0n, left: 567n }],
  ])('%s of %s moves what the contract moves', (verb, units, expected) => {
    expect(feeAt(terms, 333n)).toBe(4n);
    expect(movementOf(verb, partly, units)).toEqual(expected);
  });

  test.each<[Verb, bigint | null]>([
    ['releasePart', 0n],
    ['releasePart', 568n],
    ['refundPart', 568n],
    ['settle', 568n],
    ['resolve', -1n],
    ['releasePart', null],
    ['returnPayment', 1n],
  ])('%s of %s is impossible', (verb, units) => {
    expect(() => movementOf(verb, partly, units)).toThrow(RangeError);
  });
});

describe('the contract', () => {
  let chain: EscrowChain & { stop(): Promise<void> };
  let reader: PublicClient;
  let payer: Wallet;
  let payee: Wallet;
  beforeAll(async () => {
    chain = await startEscrowChain();
    reader = createPublicClient({ transport: http(chain.rpcUrl, { batch: true }) });
    [payer, payee] = await Promise.all([openWallet(chain), openWallet(chain)]);
    const approve = { address: chain.tokens.USDC, abi: usdcAbi, functionName: 'approve' } as const;
    await payee.mined(await payee.client.writeContract({ ...approve, args: [chain.diamond, 10n ** 12n] }));
  });
  afterAll(async () => await chain.stop());

  test('allows what is said to be open, and refuses everything else, before and after each deadline', async () => {
    const now = (await chainOf(chain).getBlock()).timestamp;
    const deadlines = {
      depositDeadline: now + 3_600n,
      settlementDeadline: now + 7_200n,
      resolutionDeadline: now + 10_800n,
    };
    const kinds = ['None', 'Funded', 'payer disputes', 'payee disputes', 'released', 'refunded', 'Cancelled'] as const;
    const deals: Standing[] = [];
    for (const defaultOutcome of [0, 1]) {
      for (const arbiter of [chain.arbiter, NOBODY]) {
        for (const kind of kinds) {
          if (arbiter === NOBODY && kind.endsWith('disputes')) continue;
          const roles = { payer: payer.address, payee: payee.address, arbiter };
          deals.push(
            await bring(offerOf(chain, { ...deadlines, ...roles, defaultOutcome, amount: 1_000n, fee: 15n }), kind),
          );
        }
      }
    }
    const stranger = privateKeyToAccount(generatePrivateKey()).address;
    const accounts = [payer.address, payee.address, chain.operator, chain.arbiter, stranger];
    const { settlementDeadline, resolutionDeadline } = deadlines;
    const wrong: string[] = [];
    let tried = 0;
    for (const at of [settlementDeadline, settlementDeadline + 1n, resolutionDeadline, resolutionDeadline + 1n]) {
      await chainOf(chain).setNextBlockTimestamp({ timestamp: at });
      await chainOf(chain).mine({ blocks: 1 });
      for (const deal of deals) {
        const attempts = accounts.flatMap((account) => verbs.map((verb) => ({ account, verb })));
        const answers = await Promise.all(attempts.map(({ account, verb }) => isAllowed(deal, verb, account)));
        for (const [index, { account, verb }] of attempts.entries()) {
          const roles = rolesOf(deal.terms, account);
          const said = optionsOf(deal).some(
            (option) => option.verb === verb && roles.includes(option.by) && isOpen(option, at),
          );
          tried += 1;
          if (said !== answers[index]) wrong.push(`${verb} of ${deal.status} at ${at - now} by ${roles}: said ${said}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(tried).toBe(4 * 24 * 5 * verbs.length);
  });

  const verbs: Verb[] = [
    ...(['cancelDeal', 'release', 'releasePart', 'refundPart', 'claim', 'reclaim', 'openDispute'] as const),
    ...(['withdrawDispute', 'resolve', 'settle', 'returnPayment'] as const),
  ];

  /** A deal of this kind on chain, as it stands. */
  async function bring(offer: Terms, kind: string): Promise<Standing> {
    const at = (status: StatusName, changes: Partial<Standing> = {}): Standing => ({
      ...{ terms: offer, status, released: 0n, refunded: 0n, disputedBy: null },
      ...changes,
    });
    if (kind === 'None') return at('None');
    if (kind === 'Cancelled') {
      await payee.call('cancelDeal', offer);
      return at('Cancelled');
    }
    await payer.deposit(offer);
    switch (kind) {
      case 'payer disputes':
      case 'payee disputes': {
        const opener = kind === 'payer disputes' ? payer : payee;
        const call = verbCall({ chainId: chain.chainId, diamond: chain.diamond, terms: offer }, 'openDispute', 0n);
        await opener.mined(await opener.client.sendTransaction(call));
        return at('Disputed', { disputedBy: opener === payer ? 'payer' : 'payee' });
      }
      case 'released':
        await payer.call('release', offer);
        return at('Settled', { released: offer.amount });
      case 'refunded':
        await payee.call('cancelDeal', offer);
        return at('Settled', { refunded: offer.amount });
      default:
        return at('Funded');
    }
  }

  /** Whether the contract would let the account do it now; a split is signed by the other party. */
  async function isAllowed(deal: Standing, verb: Verb, account: Address): Promise<boolean> {
    const place = { chainId: chain.chainId, diamond: chain.diamond, terms: deal.terms };
    const call = verb === 'settle' ? await settled(deal, account) : verbCall(place, verb, 1n);
    return await reader.call({ account, ...call }).then(
      () => true,
      () => false,
    );
  }

  async function settled(deal: Standing, account: Address) {
    const isPayer = account === payer.address;
    const place = { chainId: chain.chainId, diamond: chain.diamond, terms: deal.terms };
    const split = { toPayee: 0n, deadline: 10n ** 11n };
    const { released, refunded } = deal;
    const id = await reader.readContract({
      address: chain.diamond,
      abi: escrowAbi,
      functionName: 'dealId',
      args: [deal.terms],
    });
    const signature = await (isPayer ? payee : payer).account.signTypedData({
      domain: escrowDomain(chain.chainId, chain.diamond),
      types: settlementTypes,
      primaryType: 'Settlement',
      message: { deal: id, released, refunded, toPayer: heldUnits(deal), ...split },
    });
    return settleCall(place, split, signature, isPayer ? 'payee' : 'payer');
  }
});
