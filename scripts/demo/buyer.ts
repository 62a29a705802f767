/** The buyer's side of the demo: a wallet that signs what the widget's data says, and nothing that it does not. */
import {
  type Abi,
  type AbiParameter,
  type Address,
  createWalletClient,
  defineChain,
  type Hex,
  http,
  publicActions,
  type TransactionReceipt,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { escrowAbi, usdcAbi, usdtAbi } from '../../contracts/abi.ts';
import { Problem } from '../dev/problem.ts';
import type { StackFile } from '../dev/stackfile.ts';

/** What the demo reads of a payment's widget data. */
export type WidgetPayment = {
  network_id: number;
  price_units: string;
  price_decimals: number;
  currency: string;
  diamond_address: Address;
  token_address: Address;
  contract: { abi: Abi; function_name: string; arguments: unknown[] } | null;
};

/** A buyer with a wallet on the stack's chain. */
export type Buyer = ReturnType<typeof createBuyer>;

/** Numbers travel as decimal text: this makes bigints of them, as the ABI says. */
function fromJson(value: unknown, parameter: AbiParameter): unknown {
  if (Array.isArray(value)) {
    const entry = { ...parameter, type: parameter.type.replace(/\[\]$/, '') };
    return value.map((part) => fromJson(part, entry));
  }
  if ('components' in parameter) {
    const fields = value as Record<string, unknown>;
    return Object.fromEntries(
      parameter.components.map((field) => [field.name, fromJson(fields[field.name ?? ''], field)]),
    );
  }
  return /^u?int(?!8$)/.test(parameter.type) ? BigInt(value as string) : value;
}

/** The call that the widget hands out, as its own ABI says. @throws Problem when that has no such function */
export function callOf({
  abi,
  function_name: functionName,
  arguments: values,
}: NonNullable<WidgetPayment['contract']>) {
  const method = abi.find((item) => item.type === 'function' && item.name === functionName);
  if (method?.type !== 'function') throw new Problem(`The widget's ABI has no function ${functionName}.`);
  return {
    abi,
    functionName,
    args: values.map((value, index) => fromJson(value, method.inputs[index] ?? { type: '' })),
  };
}

/** A buyer who signs with `privateKey`. */
export function createBuyer(stack: Pick<StackFile, 'rpc_url' | 'eip155_id' | 'diamond'>, privateKey: Hex) {
  const account = privateKeyToAccount(privateKey);
  const chain = defineChain({
    id: stack.eip155_id,
    name: `Chain ${stack.eip155_id}`,
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [stack.rpc_url] } },
  });
  const client = createWalletClient({ account, chain, transport: http() }).extend(publicActions);

  const mined = async (hash: Hex): Promise<TransactionReceipt> => {
    const receipt = await client.waitForTransactionReceipt({ hash, pollingInterval: 100 });
    if (receipt.status !== 'success') throw new Problem(`The transaction ${hash} was reverted.`);
    return receipt;
  };
  const balance = async (token: Address, owner: Address = account.address): Promise<bigint> =>
    await client.readContract({ address: token, abi: usdcAbi, functionName: 'balanceOf', args: [owner] });

  return {
    address: account.address,
    balance,
    /** What waits in the diamond for `owner` to withdraw it, in base units. */
    credit: async (token: Address, owner: Address): Promise<bigint> =>
      await client.readContract({
        ...{ address: stack.diamond, abi: escrowAbi, functionName: 'creditOf', args: [token, owner] },
      }),
    /** Signs and sends a call as it is. */
    send: async (call: { to: Address; data: Hex }): Promise<TransactionReceipt> =>
      await mined(await client.sendTransaction(call)),
    /** Gives coin for gas, in wei. */
    giveCoin: async (to: Address, value: bigint): Promise<TransactionReceipt> =>
      await mined(await client.sendTransaction({ to, value })),
    /** Allows the diamond exactly the price, then makes the call of the widget's data. @throws Problem when that is not this stack's diamond */
    async pay(widget: WidgetPayment): Promise<TransactionReceipt> {
      if (widget.contract === null) throw new Problem('The widget gives no call data: a deposit is not possible now.');
      if (widget.network_id !== stack.eip155_id || BigInt(widget.diamond_address) !== BigInt(stack.diamond)) {
        throw new Problem(
          `The widget names another contract (${widget.diamond_address}) than the stack: nothing is signed.`,
        );
      }
      const deposit = callOf(widget.contract);
      // The USDT-like token answers nothing, which only its own ABI says.
      const approve = { address: widget.token_address, abi: usdtAbi, functionName: 'approve' } as const;
      const args = [widget.diamond_address, BigInt(widget.price_units)] as const;
      await mined(await client.writeContract({ ...approve, args }));
      const { request } = await client.simulateContract({ address: widget.diamond_address, ...deposit, account });
      return await mined(await client.writeContract(request));
    },
  };
}
