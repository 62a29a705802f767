// Owns the link to the page without servers, which fills its form (form.ts). Alone, because the checkout loads it and none of the page.
import type { Hex } from 'viem';

/** The fragment with which the page looks at the deals of one transaction: nothing has to be searched, and no account is told. */
export function linkTo(
  escapeUrl: string,
  { chainId, diamond }: { chainId: number; diamond: Hex },
  transaction: Hex,
): string {
  return `${escapeUrl}#${new URLSearchParams({ chain: String(chainId), diamond, tx: transaction })}`;
}
