/**
 * A wallet for local chains, announced by EIP-6963 and plainly marked. It asks in a dialog as a real one would; the local
 * node signs with a key that everybody knows. It is served in local mode only.
 */
export {};

const LOCAL_CHAIN = '0x7a69';
const CONNECTED = 'test-wallet.connected';
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#7a3d00"/><path d="M8 10h16M16 10v13" stroke="#fff" stroke-width="4" stroke-linecap="round"/></svg>`;

type Question = { title: string; lines: string[]; yes: string };
type Listener = (value: unknown) => void;

const account = document.querySelector<HTMLElement>('script[data-account]')?.dataset.account ?? '';
const listeners = new Map<string, Set<Listener>>();

const known: Record<string, string> = { '0x095ea7b3': 'Approve a token amount', '0x74ad9c2d': 'Deposit into escrow' };

const signed: Record<string, string> = {
  Permit: 'Approve a token amount by signature',
  ReceiveWithAuthorization: 'Let the escrow receive a token amount',
  PermitWitnessTransferFrom: 'Let the escrow take a token amount by Permit2',
};

function refusal(code: number, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** Asks the page's visitor. @throws 4001 when declined */
async function ask({ title, lines, yes }: Question): Promise<void> {
  const dialog = document.createElement('dialog');
  dialog.className = 'test-wallet';
  dialog.setAttribute('aria-label', 'Test wallet');
  const heading = document.createElement('h2');
  heading.textContent = title;
  const mark = document.createElement('p');
  mark.className = 'mark';
  mark.textContent = 'Test wallet · play money on a local chain';
  const words = lines.map((line) => Object.assign(document.createElement('p'), { textContent: line }));
  const form = document.createElement('form');
  form.method = 'dialog';
  const no = Object.assign(document.createElement('button'), { value: '', textContent: 'Decline', className: 'quiet' });
  form.append(no, Object.assign(document.createElement('button'), { value: 'yes', textContent: yes }));
  dialog.append(mark, heading, ...words, form);
  document.body.append(dialog);
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
  dialog.remove();
  if (dialog.returnValue !== 'yes') throw refusal(4001, 'Declined in the test wallet.');
}

async function node(method: string, params: unknown): Promise<unknown> {
  const response = await fetch('/test-wallet/rpc', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ method, params }),
  });
  const { result, error } = await response.json();
  if (error) throw Object.assign(refusal(error.code, error.message), { data: error.data });
  return result;
}

async function connect(): Promise<void> {
  if (sessionStorage.getItem(CONNECTED)) return;
  await ask({ title: 'Show this page your address?', lines: [account], yes: 'Connect' });
  sessionStorage.setItem(CONNECTED, 'yes');
}

async function request({ method, params = [] }: { method: string; params?: unknown[] }): Promise<unknown> {
  switch (method) {
    case 'wallet_requestPermissions':
      await connect();
      return [{ parentCapability: 'eth_accounts', caveats: [{ type: 'restrictReturnedAccounts', value: [account] }] }];
    case 'wallet_revokePermissions':
      sessionStorage.removeItem(CONNECTED);
      return null;
    case 'eth_requestAccounts':
      await connect();
      return [account];
    case 'eth_accounts':
      return sessionStorage.getItem(CONNECTED) ? [account] : [];
    case 'wallet_switchEthereumChain': {
      if (Object(params[0]).chainId !== LOCAL_CHAIN) throw refusal(4902, 'The test wallet knows the local chain only.');
      return null;
    }
    case 'eth_sendTransaction': {
      const { to, data } = Object(params[0]);
      const call = known[String(data).slice(0, 10)] ?? 'Call a contract';
      await ask({ title: `${call}?`, lines: [`To ${to}`, `From ${account}`], yes: 'Sign and send' });
      return await node(method, params);
    }
    case 'eth_signTypedData_v4': {
      const { primaryType, message } = JSON.parse(String(params[1]));
      const to = message.spender ?? message.to;
      await ask({
        title: `${signed[primaryType] ?? 'Sign a message'}?`,
        lines: [`For ${to}`, `From ${account}`],
        yes: 'Sign',
      });
      return await node(method, [params[0], JSON.parse(String(params[1]))]);
    }
    default:
      // The shop passes on nothing else.
      if (!method.startsWith('eth_')) throw refusal(4200, 'The test wallet cannot do that.');
      return await node(method, params);
  }
}

const provider = {
  request,
  on(event: string, listener: Listener) {
    listeners.set(event, (listeners.get(event) ?? new Set()).add(listener));
    return provider;
  },
  removeListener(event: string, listener: Listener) {
    listeners.get(event)?.delete(listener);
    return provider;
  },
};

const info = {
  uuid: crypto.randomUUID(),
  name: 'Test wallet (play money)',
  icon: `data:image/svg+xml;base64,${btoa(ICON)}`,
  rdns: 'local.dealkeep.test-wallet',
};
const announce = () => {
  const detail = Object.freeze({ info, provider });
  window.dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail }));
};
window.addEventListener('eip6963:requestProvider', announce);
announce();
