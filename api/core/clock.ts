// Owns what time it is for whatever waits, expires or comes again. Durations that bound a single request are real time.

/** The time as a process sees it; tests move it. */
export type Clock = { now(): Date };

let offsetMs = 0;

/** The installation's time: the machine's own, ahead by what the test clock was moved. */
export const systemClock: Clock = { now: () => new Date(Date.now() + offsetMs) };

/** Puts this process's {@link systemClock} ahead of the machine's time. */
export function setClockOffset(ms: number): void {
  offsetMs = ms;
}
