/** One line for each step of a start, with the seconds since it began. Goes to standard error when standard output is for JSON. */

/** Where lines go and since when they count. */
export type Progress = {
  /** Prints a line with the time since the start. */
  step(text: string): void;
  /** Prints a line as it is. */
  line(text?: string): void;
};

/** Starts counting now. */
export function startProgress({ json }: { json: boolean }): Progress {
  const startedAt = performance.now();
  const write = (text: string) => void (json ? process.stderr : process.stdout).write(`${text}\n`);
  return {
    step: (text) => write(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(6)} s  ${text}`),
    line: (text = '') => write(text),
  };
}
