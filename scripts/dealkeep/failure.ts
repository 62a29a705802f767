/** Why a command ended without success: one text that says what to do, and the exit code. */
export class Failure extends Error {
  override name = 'Failure';
  /** 1: refused, failed or not true. 2: wrong usage. 3: nothing answers. */
  readonly exitCode: 1 | 2 | 3;

  constructor(message: string, exitCode: 1 | 2 | 3 = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}
