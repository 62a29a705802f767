// A proof as the OpenAPI document shows it.
import { z } from '@hono/zod-openapi';

/** A proof as every answer carries it. */
export const proofResponse = z
  .object({
    chain_id: z.int().openapi({ description: "The chain's EIP-155 id" }),
    block: z.int(),
    transaction: z.string(),
    log_index: z.int(),
    confirmations: z.int(),
    diamond: z.string(),
    deal: z.string().openapi({ description: 'The id on chain of the deal, or of the offer that was closed' }),
  })
  .openapi('Proof', { description: 'The event that a state follows from; null while nothing is on chain.' });
