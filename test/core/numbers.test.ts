import { v7 as uuidv7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connect, type Transaction } from '../../api/core/database/db.ts';
import { allotNumber, findByNumber, MAX_NUMBER, numbersOf } from '../../api/core/platform/numbers.ts';
import { createNode } from '../../api/core/platform/platform.ts';

const sql = connect(inject('stack').databaseUrl, { maxConnections: 4 });
afterAll(() => sql.end());

let root: string;
let child: string;
beforeAll(async () => {
  root = (await createNode(sql, { name: uuidv7() })).id;
  child = (await createNode(sql, { name: uuidv7(), parentId: root })).id;
});

const inTransaction = <T>(work: (tx: Transaction) => Promise<T>) => sql.begin(work) as Promise<T>;

describe('32-bit ids', () => {
  test('are positive, at most 2^31 - 1, and lead back to the thing', async () => {
    const thing = { nodeId: child, id: uuidv7() };
    const number = await inTransaction((tx) => allotNumber(tx, 'order', thing));
    expect(number).toBeGreaterThan(0);
    expect(number).toBeLessThanOrEqual(MAX_NUMBER);
    expect(await findByNumber(sql, root, 'order', number)).toEqual(thing);
    expect(await findByNumber(sql, child, 'order', number)).toEqual(thing);
    expect(await numbersOf(sql, 'order', [thing])).toEqual(new Map([[thing.id, number]]));
  });

  test('are nobody else’s: not another tree’s, not another branch’s, not another noun’s', async () => {
    const thing = { nodeId: child, id: uuidv7() };
    const number = await inTransaction((tx) => allotNumber(tx, 'order', thing));
    const stranger = (await createNode(sql, { name: uuidv7() })).id;
    const sibling = (await createNode(sql, { name: uuidv7(), parentId: root })).id;
    for (const caller of [stranger, sibling]) {
      await expect(findByNumber(sql, caller, 'order', number)).rejects.toMatchObject({ code: 'not_found' });
    }
    await expect(findByNumber(sql, root, 'transaction', number)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('are each given once when many ask at once', async () => {
    const node = (await createNode(sql, { name: uuidv7() })).id;
    const allot = () => inTransaction((tx) => allotNumber(tx, 'seller', { nodeId: node, id: uuidv7() }, 40));
    const numbers = await Promise.all(Array.from({ length: 20 }, allot));
    expect(new Set(numbers).size).toBe(20);
  });

  test('conflict, and nothing else lost, when none is left', async () => {
    const node = (await createNode(sql, { name: uuidv7() })).id;
    const allot = () => inTransaction((tx) => allotNumber(tx, 'seller', { nodeId: node, id: uuidv7() }, 2));
    const numbers = [await allot(), await allot()].sort();
    expect(numbers).toEqual([1, 2]);
    await expect(allot()).rejects.toMatchObject({ code: 'conflict' });
  });
});
