// Owns the one table of error codes and the exception that carries one. Knows nothing of HTTP beyond the status that
// each code maps to; surfaces render it in their own dialect.

/** Code → HTTP status, title and whether the same request may succeed later. */
export const errorTable = {
  invalid_request: { status: 400, title: 'The request is not valid', retry: false },
  not_retryable: { status: 400, title: 'The payment is not eligible for a retry', retry: false },
  unauthenticated: { status: 401, title: 'Authentication is missing or not valid', retry: false },
  forbidden: { status: 403, title: 'The integration may not do this', retry: false },
  not_found: { status: 404, title: 'Not found', retry: false },
  conflict: { status: 409, title: 'The request conflicts with what exists', retry: false },
  illegal_transition: { status: 409, title: 'Not possible in the present state', retry: false },
  in_flight: { status: 409, title: 'The same request is still running', retry: true },
  payload_too_large: { status: 413, title: 'The request body is too large', retry: false },
  unsupported_media_type: { status: 415, title: 'The request body is not of a type that is taken here', retry: false },
  idempotency_mismatch: { status: 422, title: 'The Idempotency-Key belongs to another request', retry: false },
  chain_reverted: { status: 422, title: 'The contract refused', retry: false },
  rate_limited: { status: 429, title: 'Too many requests', retry: true },
  upstream_unavailable: { status: 503, title: 'A network or service cannot be reached', retry: true },
  internal: { status: 500, title: 'Something went wrong on our side', retry: true },
} as const;

/** A stable code of {@link errorTable}. */
export type ErrorCode = keyof typeof errorTable;

/** One wrong field: an RFC 6901 pointer into the request and what is wrong with it. */
export type FieldFault = { pointer: string; message: string };

/** An expected failure with a stable code; `detail` and `faults` are safe to show to the caller. */
export class CoreError extends Error {
  readonly code: ErrorCode;
  readonly faults: readonly FieldFault[];
  /** Of rate_limited: when the same request may succeed. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: ErrorCode,
    detail: string,
    faults: readonly FieldFault[] = [],
    { retryAfterSeconds }: { retryAfterSeconds?: number } = {},
  ) {
    super(detail);
    this.name = 'CoreError';
    this.code = code;
    this.faults = faults;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Collects every wrong field of a request, so that the caller learns of all of them at once. */
export class FieldFaults {
  readonly #faults: FieldFault[] = [];

  add(pointer: string, message: string): void {
    this.#faults.push({ pointer, message });
  }

  /** @throws invalid_request when a fault was added. */
  throwIfAny(): void {
    if (this.#faults.length === 0) return;
    const fields = this.#faults.map((fault) => fault.pointer.slice(1)).join(', ');
    throw new CoreError('invalid_request', `Not valid: ${fields}.`, this.#faults);
  }
}
