// One cart, three sellers, paid with one question to the buyer's wallet in a real Chromium; then all that a marketplace does with it.
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { playStory, type Signer } from '../../scripts/demo/story.ts';
import { strangerAddress } from '../support/wallet.ts';
import { openStage, type Stage } from './checkout.ts';
import { ScriptedWallet } from './scripted-wallet.ts';

const stack = inject('stack');
let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

/** A wallet that pays in the checkout, by the way that this proposes. */
async function openSigner(fields: Partial<ScriptedWallet> = {}): Promise<{ signer: Signer; wallet: ScriptedWallet }> {
  const wallet = Object.assign(await ScriptedWallet.open(stack), { way: null, ...fields });
  const signer: Signer = {
    address: wallet.address,
    async pay(payment) {
      const checkout = await stage.open(payment, [wallet]);
      await checkout.connect(wallet);
      await checkout.press(/^Pay/);
      await checkout.until('funded');
      await checkout.close();
    },
    async send(call) {
      await wallet.wallet.mined(await wallet.wallet.client.sendTransaction(call));
    },
  };
  return { signer, wallet };
}

test('one seller is paid, one part goes back, one is disputed, a subscription and the fees are paid: accounts and chain agree', async () => {
  const { market, apiUrl } = stage;
  const [buyer, seller] = await Promise.all([openSigner({ batches: true }), openSigner()]);
  const told: string[] = [];
  const end = await playStory(
    {
      api_url: apiUrl,
      rpc_url: stack.rpcUrl,
      integration: market.credentials,
      node_id: market.nodeId,
      network_id: market.networkId,
      diamond: stack.diamond,
      token: { address: stack.tokens.USDC, decimals: 6 },
      currency_id: market.currencies.USDC,
      arbiter: stack.arbiter,
    },
    {
      ...{ buyer: buyer.signer, seller: seller.signer, otherSellers: [strangerAddress(), strangerAddress()] },
      ...{ marketplace: strangerAddress(), fees: strangerAddress(), tell: (line) => told.push(line) },
    },
  );
  expect(end.changes).toEqual({
    ...{ buyer: '-82', seller_1: '35.01', seller_2: '18', seller_3: '10.8' },
    ...{ marketplace: '9.99', fees: '8.2' },
  });
  expect(end.checks).toBe(8);
  // The whole cart is one question, and the subscription one signature.
  expect(buyer.wallet.deeds).toEqual(['connect', 'batch']);
  expect(seller.wallet.deeds).toEqual(['connect', 'authorize']);
});
