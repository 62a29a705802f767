/** Time to wait for something: a machine that was put to sleep in between has not used it up. */

// Between two looks nothing of ours takes longer, however busy the machine is.
const LONGEST_STEP_MS = 5_000;

/** So many milliseconds, of which each look takes what went by since the last one. */
export class Patience {
  #leftMs: number;
  #lookedAt = Date.now();

  constructor(ms: number) {
    this.#leftMs = ms;
  }

  /** Whether it is used up by now. */
  get isOver(): boolean {
    const now = Date.now();
    this.#leftMs -= Math.min(now - this.#lookedAt, LONGEST_STEP_MS);
    this.#lookedAt = now;
    return this.#leftMs < 0;
  }
}
