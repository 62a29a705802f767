// The sandbox's callbacks: each change of a charge is told to the merchant, signed, until the merchant has taken it. Told to misbehave
// it loses them, repeats them, or sends the older one last, as providers do.
import { setTimeout as sleep } from 'node:timers/promises';
import { callbackSignature } from '../../api/providers/sandbox.ts';
import type { Charge } from './charges.ts';

export type Behaviour = 'prompt' | 'lost' | 'repeated' | 'reversed';

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 60_000;
const MAX_TRIES = 40;
const REVERSED_AFTER_MS = 400;

/** What the merchant reads of a charge. */
export function render(charge: Charge) {
  return {
    reference: charge.reference,
    merchant_reference: charge.merchantReference,
    sequence: charge.sequence,
    state: charge.state,
    amount: charge.amount,
    currency: charge.currency,
    received: charge.received,
    reason: charge.reason,
  };
}

export class Callbacks {
  readonly #url: string;
  readonly #secret: string;
  #held: string[] = [];
  behaviour: Behaviour = 'prompt';

  constructor(url: string, secret: string) {
    this.#url = url;
    this.#secret = secret;
  }

  /** Tells of a change; resolves long after it was asked to. */
  tell(charge: Charge): void {
    const body = JSON.stringify(render(charge));
    if (this.behaviour === 'lost') return;
    if (this.behaviour === 'reversed') {
      this.#held.push(body);
      if (this.#held.length === 1) setTimeout(() => void this.#sendReversed(), REVERSED_AFTER_MS);
      return;
    }
    void this.#send(body);
    if (this.behaviour === 'repeated') void this.#send(body).then(() => this.#send(body));
  }

  async #sendReversed(): Promise<void> {
    for (const body of this.#held.splice(0).reverse()) await this.#send(body);
  }

  async #send(body: string): Promise<void> {
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const seconds = String(Math.floor(Date.now() / 1_000));
      const signature = `t=${seconds},v1=${callbackSignature(this.#secret, seconds, body)}`;
      const headers = { 'Content-Type': 'application/json', 'Sandbox-Signature': signature };
      const answer = await fetch(this.#url, { method: 'POST', headers, body, redirect: 'manual' }).catch(
        () => undefined,
      );
      if (answer !== undefined && answer.status < 500 && answer.status !== 429) return;
      await sleep(Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** tries), undefined, { ref: false });
    }
  }
}
