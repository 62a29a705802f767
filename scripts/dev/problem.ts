/** A fault of the surroundings (busy port, full disk, wrong key) that a person can mend: `message` is one line that says what to do. */
export class Problem extends Error {
  override name = 'Problem';
}

/** The text of anything that was thrown. */
export function describe(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
