import { describe, expect, test } from 'vitest';
import { Together } from '../../api/core/database/together.ts';

/** Work that ends when it is told to, and remembers what it was given. */
function controlled(atOnce: number) {
  const goes: { items: number[]; end(): void; fail(error: Error): void }[] = [];
  const together = new Together<number, string>(
    (items) =>
      new Promise((resolve, reject) => {
        goes.push({
          items,
          end: () => resolve(items.map((item) => (item < 0 ? new Error(`${item} is refused`) : `done ${item}`))),
          fail: reject,
        });
      }),
    { atOnce },
  );
  return { together, goes };
}

const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

describe('Together', () => {
  test('what arrives at one moment is one go; what arrives meanwhile is the next', async () => {
    const { together, goes } = controlled(1);
    const first = [together.add(1), together.add(2)];
    await turn();
    const second = [together.add(3), together.add(4)];
    await turn();
    expect(goes.map(({ items }) => items)).toEqual([[1, 2]]);
    goes[0]?.end();
    expect(await Promise.all(first)).toEqual(['done 1', 'done 2']);
    await turn();
    expect(goes.map(({ items }) => items)).toEqual([
      [1, 2],
      [3, 4],
    ]);
    goes[1]?.end();
    expect(await Promise.all(second)).toEqual(['done 3', 'done 4']);
  });

  test('runs no more at once than allowed, and no more than 64 in one go', async () => {
    const { together, goes } = controlled(2);
    const all = Array.from({ length: 200 }, (_, item) => together.add(item));
    await turn();
    await turn();
    expect(goes.map(({ items }) => items.length)).toEqual([64, 64]);
    for (let index = 0; index < 4; index += 1) {
      goes[index]?.end();
      await turn();
      await turn();
    }
    expect(goes.map(({ items }) => items.length)).toEqual([64, 64, 64, 8]);
    expect(await Promise.all(all)).toEqual(Array.from({ length: 200 }, (_, item) => `done ${item}`));
  });

  test('an error is one item’s own; a throw is that go’s, and the next one runs', async () => {
    const { together, goes } = controlled(1);
    const mixed = Promise.allSettled([together.add(1), together.add(-2)]);
    await turn();
    goes[0]?.end();
    expect((await mixed).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    const failing = Promise.allSettled([together.add(3), together.add(4)]);
    await turn();
    goes[1]?.fail(new Error('the database is gone'));
    expect((await failing).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const after = together.add(5);
    await turn();
    goes[2]?.end();
    expect(await after).toBe('done 5');
  });
});
