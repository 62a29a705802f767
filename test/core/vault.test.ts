import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Place, PREFIX_BYTES, Vault } from '../../api/core/vault.ts';

const OLD = '11'.repeat(32);
const CURRENT = `0x${'22'.repeat(32)}`;
const place: Place = ['party', 'node', 'id'];
const value = { name: 'Ada', surname: 'Byron\0\ud800', lines: ['1 St James’s Square'] };

describe('a vault', () => {
  test('opens what it sealed, whatever JSON it is', () => {
    const vault = new Vault(CURRENT);
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        const plain = JSON.parse(JSON.stringify(json));
        expect(vault.open(place, vault.seal(place, json))).toEqual(plain);
      }),
    );
    expect(vault.open(place, vault.seal(place, value))).toEqual(value);
  });

  test('never seals a value to the same bytes twice, and shows none of it', () => {
    const vault = new Vault(CURRENT);
    const sealed = Array.from({ length: 100 }, () => vault.seal(place, value));
    expect(new Set(sealed.map((bytes) => bytes.subarray(PREFIX_BYTES).toString('hex'))).size).toBe(100);
    for (const bytes of sealed) expect(bytes.toString('latin1')).not.toMatch(/Ada|Byron|name/);
  });

  test.each<[string, Place]>([
    ['another table', ['payout_instrument', 'node', 'id']],
    ['another node', ['party', 'other', 'id']],
    ['another row', ['party', 'node', 'other']],
    ['ids that only join to the same text', ['party', 'nodeid']],
    ['one id more', ['party', 'node', 'id', '']],
  ])('opens nothing that was moved to %s', (_what, elsewhere) => {
    const vault = new Vault(CURRENT);
    expect(() => vault.open(elsewhere, vault.seal(place, value))).toThrow('not of this row');
  });

  test('opens nothing with any one bit flipped, and nothing cut short', () => {
    const vault = new Vault(CURRENT);
    const sealed = vault.seal(place, value);
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = Buffer.from(sealed);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => vault.open(place, changed), `bit ${bit}`).toThrow();
    }
    for (let length = 0; length < sealed.length; length += 1) {
      expect(() => vault.open(place, sealed.subarray(0, length)), `${length} bytes`).toThrow();
    }
  });

  test('opens what an older secret sealed, seals under the current one, and needs the older one to be given', () => {
    const sealed = new Vault(OLD).seal(place, value);
    const rotated = new Vault(CURRENT, [OLD]);
    expect(rotated.open(place, sealed)).toEqual(value);
    const anew = rotated.seal(place, value);
    expect(anew.subarray(0, PREFIX_BYTES)).toEqual(rotated.prefix);
    expect(sealed.subarray(0, PREFIX_BYTES)).not.toEqual(rotated.prefix);
    expect(new Vault(CURRENT).open(place, anew)).toEqual(value);
    expect(() => new Vault(CURRENT).open(place, sealed)).toThrow('was not given');
  });

  test('says in no error and shows in no dump what is sealed or the secret', () => {
    const vault = new Vault(CURRENT, [OLD]);
    const errors = [['party', 'node', 'other'] as const, place].map((wrong, index) => {
      try {
        return vault.open(wrong, index === 0 ? vault.seal(place, value) : Buffer.from('nothing'));
      } catch (error) {
        return error;
      }
    });
    for (const shown of [...errors, vault].map((thing) => inspect(thing, { depth: 9, showHidden: true }))) {
      expect(shown).not.toMatch(/Ada|Byron|2222|1111|22 22 22/);
    }
  });

  test.each(['', '22', 'zz'.repeat(32), ` ${'22'.repeat(32)}`])(
    'refuses the master secret %j without repeating it',
    (bad) => {
      for (const build of [() => new Vault(bad), () => new Vault(CURRENT, [bad])]) {
        expect(build).toThrow('Each master secret must be 32 bytes as hex.');
      }
    },
  );
});
