// Owns doing concurrent requests' work together: what arrives while earlier work runs is done in one go, so that many requests
// share one transaction. Alone, a request waits for nobody. Knows nothing of what the work is.

// More in one go gains no more throughput, and makes the first wait for the last.
const MOST = 64;

/** Work that is done for several items at once, each with an outcome of its own. */
export class Together<Item, Result> {
  readonly #run: (items: Item[]) => Promise<(Result | Error)[]>;
  readonly #atOnce: number;
  #waiting: { item: Item; resolve(result: Result): void; reject(error: unknown): void }[] = [];
  #running = 0;
  #scheduled = false;

  /** @param run answers for each item in its order; an Error is that item's alone, a throw is everybody's. */
  constructor(run: (items: Item[]) => Promise<(Result | Error)[]>, { atOnce }: { atOnce: number }) {
    this.#run = run;
    this.#atOnce = atOnce;
  }

  /** Adds an item to the next go. */
  async add(item: Item): Promise<Result> {
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#schedule();
    });
  }

  /** Starts once everything that arrived at this moment has been read. */
  #schedule(): void {
    if (this.#scheduled || this.#running >= this.#atOnce || this.#waiting.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      void this.#start();
    });
  }

  async #start(): Promise<void> {
    const entries = this.#waiting.splice(0, MOST);
    if (entries.length === 0) return;
    this.#running += 1;
    this.#schedule();
    try {
      const results = await this.#run(entries.map(({ item }) => item));
      entries.forEach(({ resolve, reject }, index) => {
        const result = results[index];
        if (result instanceof Error) reject(result);
        else resolve(result as Result);
      });
    } catch (error) {
      for (const { reject } of entries) reject(error);
    } finally {
      this.#running -= 1;
      this.#schedule();
    }
  }
}
