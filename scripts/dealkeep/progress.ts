/** How far a long command is, on standard error, once it takes longer than a person waits without asking. */
export function progressAfter(
  delayMs: number,
  describe: (done: number) => string,
): { report(done: number): void; end(): void } {
  const startedAt = Date.now();
  let saidAt = 0;
  return {
    report(done) {
      const now = Date.now();
      if (now - startedAt < delayMs || now - saidAt < delayMs) return;
      saidAt = now;
      process.stderr.write(`${describe(done)} …\n`);
    },
    end() {
      if (saidAt > 0) process.stderr.write('Compared.\n');
    },
  };
}
