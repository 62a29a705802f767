// The table of states, and the words for each: no dead end without a word, no event that leads nowhere.
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { drawing, withDrawing } from '../../scripts/draw-states.ts';
import english from '../../widget/languages/en.json' with { type: 'json' };
import { statuses, type WidgetPayment } from '../../widget/payment.ts';
import { screen } from '../../widget/screens.ts';
import { empty, type ProblemCode, type Snapshot } from '../../widget/snapshot.ts';
import { type EventName, next, type StateName, transitions } from '../../widget/states.ts';
import { Words } from '../../widget/words.ts';

const words = new Words({ code: 'en', tag: 'en' }, english);
const names = Object.keys(transitions) as StateName[];
const rows = Object.entries(transitions) as [StateName, Partial<Record<EventName, StateName>>][];

describe('the table of states', () => {
  test('is drawn in the README as it is', async () => {
    const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
    expect(withDrawing(readme) === readme, 'run node scripts/draw-states.ts').toBe(true);
    expect(drawing()).toContain('signing --> relaying: relay');
  });

  test('leads to states that exist, and to each of them from loading', () => {
    const reached = new Set<StateName>(['loading']);
    for (const name of reached) for (const target of Object.values(transitions[name])) reached.add(target);
    expect([...reached].sort()).toEqual([...names].sort());
  });

  test('follows the API from every state that reads it', () => {
    const deaf: StateName[] = ['denied', 'refused'];
    const outcomes = statuses.filter((status) => status !== 'pending' && status !== 'awaiting_deposit');
    for (const name of names.filter((candidate) => !deaf.includes(candidate))) {
      for (const status of outcomes) expect(next(name, status), `${status} in ${name}`).toBe(status);
    }
  });

  test('never signs from a state in which nothing was checked', () => {
    const signing = rows.filter(([, row]) => row.sign === 'signing').map(([name]) => name);
    expect(signing).toEqual(
      ['review', 'signing', 'mining', 'stopped'].filter((name) => signing.includes(name as StateName)),
    );
    expect(signing).not.toContain('ready');
    expect(signing).not.toContain('wrong_chain');
    expect(signing).not.toContain('refused');
  });

  test('ignores what has no entry', () => {
    expect(next('funded', 'send')).toBeNull();
    expect(next('cancelled', 'sign')).toBeNull();
    expect(next('submitted', 'sign')).toBeNull();
    expect(next('submitted', 'payable')).toBeNull();
  });
});

const payment: WidgetPayment = {
  external_id: 'order-1',
  network_id: 31337,
  price_units: '1234567500000',
  price_decimals: 6,
  payment_method: 'web3',
  rail: null,
  payment_address: '0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc',
  diamond_address: '0x2279b7a0a67db372996a5fab50d91eaa73d2ebe6',
  currency: 'USDC',
  token_address: '0x5fbdb2315678afecb367f032d93f642f64180aa3',
  status: 'awaiting_deposit',
  transaction_hash: null,
  reported_hash: null,
  relays: true,
  relay: null,
  signatures: { domain: null, permit: false, authorization: { standard: false, bytes: false }, permit2: null },
  expires_at: '2027-01-01T00:00:00Z',
  offer_hash: null,
  deal_hash: null,
  confirmations: 1,
  fiat_estimate: null,
  legs: [],
  contract: null,
};
const problems: ProblemCode[] = [
  'rejected',
  'wallet_busy',
  'wallet_failed',
  'wallet_moved',
  'unknown_chain',
  'network_down',
  'api_down',
  'no_contract',
  'allowance_short',
  'offer_closed',
  'too_late',
  'already_paid',
  'deposits_paused',
  'token_refused',
  'reverted',
  'replaced',
  'dropped',
  'signature_failed',
  'relay_refused',
  'relay_failed',
  'other_tab',
];

describe('the words', () => {
  test.each(names)('of %s: a title and a text', (name) => {
    const { title, text } = screen({ ...empty, name, payment, steps: ['approve', 'deposit'] }, words);
    expect(title).not.toBe('');
    expect(text).not.toMatch(/undefined|null|NaN/);
  });

  test.each(problems)('of the problem %s: its own title and a way on', (problem) => {
    const snapshot: Snapshot = { ...empty, name: 'stopped', payment, problem, step: 'deposit' };
    const { title, text, actions } = screen(snapshot, words);
    expect(actions.length).toBeGreaterThan(0);
    expect(text).not.toMatch(/undefined|null|NaN/);
    const others = problems.filter((other) => other !== problem);
    expect(others.map((other) => screen({ ...snapshot, problem: other }, words).title)).not.toContain(title);
  });

  test('amounts read as prices, without losing a digit', () => {
    const label = (price_units: string, price_decimals = 6) =>
      screen(
        { ...empty, name: 'review', steps: ['deposit'], payment: { ...payment, price_units, price_decimals } },
        words,
      ).actions[0]?.label;
    expect(label('25500000')).toBe('Pay 25.50 USDC');
    expect(label('1234567500000')).toBe('Pay 1,234,567.50 USDC');
    expect(label('1')).toBe('Pay 0.000001 USDC');
    expect(label('7', 0)).toBe('Pay 7.00 USDC');
    expect(label('123456789012345678901234567890', 18)).toBe('Pay 123,456,789,012.34567890123456789 USDC');
  });

  test('each action of a state is one that its row allows', () => {
    const events = {
      retry: 'retry',
      connect: 'connect',
      switch: 'switch',
      check: 'check',
      another: 'back',
      restart: 'restart',
      leave: 'leave',
      again: 'again',
    } as const;
    for (const name of names) {
      for (const { action } of screen(
        {
          ...empty,
          name,
          payment,
          steps: ['deposit'],
          problem: 'rejected',
          step: 'deposit',
        },
        words,
      ).actions) {
        const event = action === 'pay' ? 'sign' : action === 'proceed' ? 'pass' : events[action];
        expect(next(name, event), `${action} in ${name}`).not.toBeNull();
      }
    }
  });
});
