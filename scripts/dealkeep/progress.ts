/** Says on standard error how far a command is, once it takes longer than a person waits without asking, in milliseconds. */
export function progressAfter<Done>(delayMs: number, describe: (done: Done) => string): (done: Done) => void {
  let saidAt = Date.now();
  return (done) => {
    if (Date.now() - saidAt < delayMs) return;
    saidAt = Date.now();
    process.stderr.write(`${describe(done)} …\n`);
  };
}
