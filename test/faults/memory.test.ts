import { describe, expect, test } from 'vitest';
import { coursesOf, isFlat } from '../../scripts/faults/memory.ts';

/** A life that is looked at every three seconds. */
function life(pid: number, minutes: number, megabytesAt: (minute: number) => number) {
  return Array.from({ length: minutes * 20 + 1 }, (_, look) => ({
    ...{ pid, ageMs: look * 3_000, megabytes: megabytesAt(look / 20) },
  }));
}

describe('whether memory is flat', () => {
  test('a long life is compared with itself: its last third with the one before', () => {
    const [course] = coursesOf(
      'worker-1',
      life(1, 15, () => 200),
    );
    expect(course).toEqual({ name: 'worker-1', of: 'one life', earlierMegabytes: 200, laterMegabytes: 200 });
    expect(course && isFlat(course)).toBe(true);
  });

  test('one that grows by ten megabytes a minute is not flat; one that only came to its size is', () => {
    const [leaking] = coursesOf(
      'worker-1',
      life(1, 15, (minute) => 150 + 10 * minute),
    );
    expect(leaking && isFlat(leaking)).toBe(false);
    const [warming] = coursesOf(
      'worker-1',
      life(1, 15, (minute) => 150 + 50 * Math.min(1, minute / 3)),
    );
    expect(warming && isFlat(warming)).toBe(true);
  });

  test('short lives are compared at the same age, so that what grows from life to life is seen', () => {
    const lives = Array.from({ length: 30 }, (_, turn) => life(turn, 1, () => 100 + 5 * turn)).flat();
    const [growing] = coursesOf('api-1', lives);
    expect(growing?.of).toBe('many lives');
    expect(growing && isFlat(growing)).toBe(false);
    const same = Array.from({ length: 30 }, (_, turn) => life(turn, 1, (minute) => 100 + 80 * minute)).flat();
    const [steady] = coursesOf('api-1', same);
    expect(steady && isFlat(steady)).toBe(true);
  });

  test('a few looks say nothing', () => {
    expect(
      coursesOf(
        'api-1',
        life(1, 0.3, () => 100),
      ),
    ).toEqual([]);
  });
});
