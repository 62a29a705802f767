/**
 * Owns the payment's events: server-sent over `fetch`, because the access token must not stand in a URL. What an event says is a
 * payment like any reading; a stream that falls silent counts as ended.
 */
import { openEvents, PaymentError, type PaymentSource, paymentOf, type WidgetPayment } from './payment.ts';

/** The service sends at least a comment every 15 seconds. */
const SILENCE_MS = 40_000;

/** Hands each payment that arrives to `onPayment` until the stream ends. @throws PaymentError */
export async function listen(
  source: PaymentSource,
  onPayment: (payment: WidgetPayment) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await openEvents(source, signal);
  const type = response.headers.get('Content-Type') ?? '';
  if (!response.ok || !response.body || !type.startsWith('text/event-stream')) {
    throw new PaymentError('unreachable', 'The payment service sends no events.');
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await heard(reader.read());
    if (done) return;
    text += value;
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const data = block.split('\n').flatMap((line) => (line.startsWith('data:') ? [line.slice(5).trim()] : []));
      if (data.length > 0) onPayment(paymentOf(JSON.parse(data.join('\n'))));
    }
  }
}

async function heard<T>(reading: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new PaymentError('unreachable', 'The events fell silent.')), SILENCE_MS);
  });
  try {
    return await Promise.race([reading, silence]);
  } finally {
    clearTimeout(timer);
  }
}
