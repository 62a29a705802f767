/**
 * Owns what a price in a token is worth in the money that people count in, approximately: by a rate source that the operator names,
 * asked beside all requests and believed for minutes. Nothing is paid or decided by it; where the source is silent, late or wrong,
 * there is no estimate.
 */
import { DestinationError, send } from '../destinations.ts';
import { AmountError, parseUnits } from '../money.ts';

/** What a price is worth: a decimal as text, and when its rate was true (RFC 3339). */
export type FiatEstimate = { currency: string; amount: string; asOf: string };

/** A rate source that the operator named; the setting that is wrong is in the message. */
export class RateSettingError extends Error {}

/** Decimals of a rate: finer ones are cut off, which is less than a millionth of any price. */
const RATE_DECIMALS = 18;
/** A rate with more digits before the point is none of a currency. */
const RATE = /^\d{1,9}(?:\.\d{1,30})?$/;
/** Above this the estimate would say more about the source than about the price. */
const MAX_AMOUNT_UNITS = 10n ** 15n;
const REFRESH_MS = 60_000;
const BELIEVED_MS = 15 * 60_000;
/** Clocks differ. */
const AHEAD_MS = 60_000;
const TIMEOUT_MS = 5_000;
const MAX_ANSWER_BYTES = 64 * 1024;

/** The rates of one currency (ISO 4217), by the code of a token; kept as units of 10^-18. */
export class Rates {
  readonly #url: string;
  readonly #currency: string;
  readonly #decimals: number;
  readonly #now: () => number;
  readonly #onTrouble: (reason: string) => void;
  #rates: ReadonlyMap<string, bigint> = new Map();
  #asOfMs = 0;
  #askedMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | null = null;

  /**
   * @param url - Answers `{"as_of": "2026-11-25T12:00:00Z", "rates": {"USDC": "0.9187"}}`; plain HTTP to this machine alone.
   * @throws RateSettingError
   */
  constructor({
    url,
    currency,
    now = Date.now,
    onTrouble = () => {},
  }: {
    url: string;
    currency: string;
    now?: () => number;
    /** Told why a source was not believed. */
    onTrouble?: (reason: string) => void;
  }) {
    if (!/^[A-Z]{3}$/.test(currency)) throw new RateSettingError('RATES_CURRENCY must be an ISO 4217 code, like EUR.');
    if (!URL.canParse(url)) throw new RateSettingError('RATES_URL must be a URL.');
    this.#url = url;
    this.#currency = currency;
    this.#decimals =
      new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2;
    this.#now = now;
    this.#onTrouble = onTrouble;
  }

  /** What this many base units of a token are worth by the last rate; null where none is known that can be believed. */
  estimate(code: string, units: bigint, decimals: number): FiatEstimate | null {
    void this.refresh();
    const rate = this.#rates.get(code);
    if (rate === undefined || this.#now() - this.#asOfMs > BELIEVED_MS) return null;
    const scale = 10n ** BigInt(decimals + RATE_DECIMALS);
    const amountUnits = (units * rate * 10n ** BigInt(this.#decimals) + scale / 2n) / scale;
    if (amountUnits === 0n || amountUnits > MAX_AMOUNT_UNITS) return null;
    const digits = amountUnits.toString().padStart(this.#decimals + 1, '0');
    const at = digits.length - this.#decimals;
    const amount = this.#decimals === 0 ? digits : `${digits.slice(0, at)}.${digits.slice(at)}`;
    return { currency: this.#currency, amount, asOf: new Date(this.#asOfMs).toISOString() };
  }

  /** Asks the source, once at a time and once a minute; it never throws. */
  async refresh(): Promise<void> {
    if (this.#asking) return await this.#asking;
    if (this.#now() - this.#askedMs < REFRESH_MS) return;
    this.#askedMs = this.#now();
    this.#asking = this.#ask()
      .catch((error) =>
        this.#onTrouble(error instanceof DestinationError ? error.message : 'It answered something else.'),
      )
      .finally(() => {
        this.#asking = null;
      });
    await this.#asking;
  }

  async #ask(): Promise<void> {
    const { hostname, protocol } = new URL(this.#url);
    const { status, body, complete } = await send(this.#url, {
      method: 'GET',
      headers: { Accept: 'application/json' },
      body: '',
      local: protocol === 'http:' && hostname === '127.0.0.1',
      timeoutMs: TIMEOUT_MS,
      maxAnswerBytes: MAX_ANSWER_BYTES,
    });
    if (status !== 200 || !complete)
      return this.#onTrouble(`It answered ${status}, or more than ${MAX_ANSWER_BYTES} bytes.`);
    const { as_of: asOf, rates } = Object(JSON.parse(body.toString('utf8')));
    const asOfMs = typeof asOf === 'string' ? Date.parse(asOf) : Number.NaN;
    // Neither back in time nor into the future: an old rate would go on being believed.
    if (!(asOfMs >= this.#asOfMs && asOfMs <= this.#now() + AHEAD_MS))
      return this.#onTrouble('Its as_of is no time of now.');
    const read = Object.entries(Object(rates)).flatMap(([code, text]): [string, bigint][] => {
      const rate = rateOf(text);
      return rate === null ? [] : [[code, rate]];
    });
    this.#rates = new Map(read);
    this.#asOfMs = asOfMs;
  }
}

/** A rate's text as units of 10^-18; null for what is none: a JSON number would have gone through a float. */
function rateOf(text: unknown): bigint | null {
  if (typeof text !== 'string' || !RATE.test(text)) return null;
  const [whole = '0', fraction = ''] = text.split('.');
  try {
    return parseUnits(`${whole}.${fraction.slice(0, RATE_DECIMALS) || '0'}`, RATE_DECIMALS) || null;
  } catch (error) {
    if (error instanceof AmountError) return null;
    throw error;
  }
}
