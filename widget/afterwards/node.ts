/**
 * Owns talking to the one node whose URL somebody typed: JSON-RPC over `fetch`, with patience where it is busy. It is a provider
 * like a wallet's, so that whatever reads by a wallet reads by it too; it signs nothing.
 */
import type { Provider } from '../deposit/escrow.ts';

/** What went wrong between here and the node; its own errors keep their code, message and data. */
export class NodeError extends Error {
  override name = 'NodeError';
  /** Of JSON-RPC, or -32603 where there was no answer in that form. */
  readonly code: number;
  readonly data: unknown;
  readonly kind: 'unreachable' | 'busy' | 'not_a_node' | 'refused';
  constructor(
    kind: NodeError['kind'],
    message: string,
    { code = -32603, data }: { code?: number; data?: unknown } = {},
  ) {
    super(message);
    this.kind = kind;
    this.code = code;
    this.data = data;
  }
}

const TIMEOUT_MS = 20_000;
const BUSY_PAUSES_MS = [500, 1_500, 4_000, 8_000];

/** The node at this URL. Errors are NodeErrors. */
export function nodeAt(url: string): Provider {
  return {
    request: async ({ method, params = [] }) => {
      for (const pauseMs of BUSY_PAUSES_MS) {
        try {
          return await post(url, method, params);
        } catch (error) {
          if (!(error instanceof NodeError) || error.kind !== 'busy') throw error;
          await new Promise((resolve) => setTimeout(resolve, pauseMs));
        }
      }
      return await post(url, method, params);
    },
  };
}

/** The URL, tidied; null where it is none that a page can ask. */
export function nodeUrlOf(text: string): string | null {
  const trimmed = text.trim();
  if (!URL.canParse(trimmed)) return null;
  const { protocol, href } = new URL(trimmed);
  return protocol === 'https:' || protocol === 'http:' ? href : null;
}

async function post(url: string, method: string, params: unknown): Promise<unknown> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      credentials: 'omit',
      cache: 'no-store',
      referrerPolicy: 'no-referrer',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    text = await response.text();
  } catch (cause) {
    throw new NodeError('unreachable', cause instanceof Error ? cause.message : 'no answer');
  }
  if (response.status === 429) throw new NodeError('busy', 'HTTP 429', { code: -32005 });
  const { result, error } = answerOf(text);
  if (typeof error === 'object' && error !== null) {
    const { code, message, data } = Object(error);
    const words = String(message ?? '').slice(0, 300);
    const isBusy = code === 429 || /rate limit|too many requests/i.test(words);
    throw new NodeError(isBusy ? 'busy' : 'refused', words, { ...(Number.isInteger(code) && { code }), data });
  }
  if (result === undefined) throw new NodeError('not_a_node', `HTTP ${response.status}`);
  return result;
}

function answerOf(text: string): { result?: unknown; error?: unknown } {
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === 'object' && answer !== null ? answer : {};
  } catch {
    return {};
  }
}
