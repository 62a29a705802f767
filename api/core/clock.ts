// Owns what time it is for whatever waits, expires or comes again. Durations that bound a single request are real time.

/** The time as a process sees it; tests move it. */
export type Clock = { now(): Date };

/** The machine's own time. */
export const systemClock: Clock = { now: () => new Date() };
