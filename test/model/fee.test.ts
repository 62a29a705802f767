/**
 * The fee for every amount from 1 to 10,000, over random slices with refunds in between: the model against the formula,
 * and against the contract, which walks the same slices to the same hash (test/contracts/FeeModel.t.sol).
 */
import { type Address, encodeAbiParameters, type Hex, hexToBigInt, keccak256, stringToHex, zeroAddress } from 'viem';
import { expect, test } from 'vitest';
import { feeAt, type Terms } from '../../contracts/terms.ts';
import { EscrowModel } from './escrow.ts';

const [operator, payee, payer, token, feeRecipient, diamond] = ['1', '2', '3', '4', '5', '6'].map(
  (digit): Address => `0x${digit.repeat(40)}`,
) as [Address, Address, Address, Address, Address, Address];

const words = [{ type: 'bytes32' }, { type: 'uint256' }, { type: 'uint256' }, { type: 'uint256' }] as const;

test('is exact for every amount up to 10,000, and the same in the contract', () => {
  const model = new EscrowModel((terms) => `0x${terms.ref}`, diamond);
  model.token.balances.set(payer, 10n ** 9n);
  const terms: Terms = {
    ref: 0n,
    operator,
    payee,
    payer,
    token,
    amount: 0n,
    fee: 0n,
    feeRecipient,
    arbiter: zeroAddress,
    depositDeadline: 0n,
    settlementDeadline: 3600n,
    resolutionDeadline: 7200n,
    defaultOutcome: 0,
  };
  let walk = keccak256(stringToHex('fees'));
  for (let amount = 1n; amount <= 10_000n; amount++) {
    const deal = { ...terms, ref: amount, amount, fee: hexToBigInt(walk) % (amount + 1n) };
    model.call({ verb: 'deposit', from: payer, terms: deal });
    walk = walkDown(model, deal, walk);
  }
  expect(walk).toBe('0xf932d98a85f26d9dc8a7782fa9691e3d9ccbed4f59050da34fc1707de4fa94d6');
});

function walkDown(model: EscrowModel, deal: Terms, start: Hex): Hex {
  const feesBefore = model.credits.get(feeRecipient) ?? 0n;
  const paidBefore = model.token.balances.get(payee) ?? 0n;
  let walk = start;
  for (let slices = 0; model.deal(deal).status !== 'Settled'; slices++) {
    const before = model.deal(deal);
    const held = deal.amount - before.released - before.refunded;
    const random = hexToBigInt(walk);
    const amount = slices === 3 ? held : 1n + ((random >> 8n) % held);
    if (slices < 3 && random % 2n === 1n) model.call({ verb: 'refundPart', from: payee, terms: deal, amount });
    else model.call({ verb: 'releasePart', from: payer, terms: deal, amount });
    const { released, refunded } = model.deal(deal);
    const fee = (model.credits.get(feeRecipient) ?? 0n) - feesBefore;
    if (fee !== feeAt(deal, released)) expect(fee, `fee of ${deal.amount}`).toBe(feeAt(deal, released));
    const paid = (model.token.balances.get(payee) ?? 0n) - paidBefore;
    if (paid !== released - fee) expect(paid, `paid of ${deal.amount}`).toBe(released - fee);
    walk = keccak256(encodeAbiParameters(words, [walk, released, refunded, fee]));
  }
  return walk;
}
