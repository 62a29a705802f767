/** A buyer of a cart: several legs, paid as the widget's wallet would. */
import { escrowAbi, usdcAbi } from '../../contracts/abi.ts';
import { type Json, parseTerms } from '../api/marketplace.ts';
import type { Stack } from './stack.ts';
import { openWallet, type Wallet } from './wallet.ts';

/** Pays what a widget's data ask for, one leg or several: one approval of the sum, one call. */
export async function payCart(stack: Stack, widget: Json): Promise<Wallet> {
  const buyer = await openWallet(stack);
  const [asked] = widget.contract.arguments;
  if (!Array.isArray(asked)) {
    await buyer.deposit(parseTerms(asked));
    return buyer;
  }
  const units = BigInt(widget.price_units);
  const token = { address: widget.token_address, abi: usdcAbi } as const;
  const spender = stack.diamond;
  await buyer.mined(await buyer.client.writeContract({ ...token, functionName: 'approve', args: [spender, units] }));
  const args = [asked.map(parseTerms)] as const;
  const call = { address: spender, abi: escrowAbi, functionName: 'depositMany', args } as const;
  await buyer.mined(await buyer.client.writeContract(call));
  return buyer;
}
