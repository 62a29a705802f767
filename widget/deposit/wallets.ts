/**
 * Owns the wallets: which are there (EIP-6963, else one injected provider), connecting, coming back after a reload, and
 * changing the chain. wagmi keeps the connection; nothing here signs.
 */
import {
  type Config,
  type Connector,
  connect,
  createConfig,
  createStorage,
  disconnect,
  injected,
  reconnect,
  switchChain,
  watchConnection,
  watchConnectors,
} from '@wagmi/core';
import { type Address, custom, defineChain } from 'viem';
import type { ChainInfo } from '../chains.ts';
import type { WalletChoice } from '../snapshot.ts';
import { type Provider, readChainId } from './escrow.ts';
import { Problem, problemOf } from './problem.ts';

/** A wallet that showed its accounts. */
export type Connection = { wallet: WalletChoice; account: Address; provider: Provider };

/** EIP-6963 answers come within a tick; wallet apps put themselves into a page within these. */
const RESTORE_TIMEOUT_MS = 3_000;
const SWITCH_POLL_MS = 400;
/** What some wallet apps tell once they have put themselves into a page, after it was loaded. */
const INJECTED = 'ethereum#initialized';
/** wagmi's id of the connector that has no name of its own. */
const UNNAMED = 'injected';

/** The wallets of this browser, for one chain. */
export class Wallets {
  readonly #config: Config;
  readonly #chain: ChainInfo;
  readonly #stopWatching: (() => void)[];

  /** `onWallets` is told when wallets appear, `onMoved` when the connected wallet changes account or chain, or leaves. */
  constructor(chain: ChainInfo, { onWallets, onMoved }: { onWallets: () => void; onMoved: () => void }) {
    this.#chain = chain;
    const wagmiChain = defineChain({
      id: chain.id,
      name: chain.name,
      nativeCurrency: { name: chain.coin, symbol: chain.coin, decimals: 18 },
      rpcUrls: { default: { http: chain.rpcUrl ? [chain.rpcUrl] : [] } },
    });
    this.#config = createConfig({
      chains: [wagmiChain],
      connectors: [injected()],
      // Every reading goes through the wallet itself: the widget has no node of its own.
      client: () => {
        throw new Problem('network_down');
      },
      storage: createStorage({ key: 'dealkeep.wallet', storage: pageStorage() }),
    });
    window.addEventListener(INJECTED, onWallets);
    this.#stopWatching = [
      () => window.removeEventListener(INJECTED, onWallets),
      watchConnectors(this.#config, { onChange: onWallets }),
      watchConnection(this.#config, {
        onChange: (connection, before) => {
          const moved = connection.address !== before.address || connection.chainId !== before.chainId;
          if (moved && before.status === 'connected') onMoved();
        },
      }),
    ];
  }

  /** The wallets found so far; the one without a name only when there is no other. */
  choices(): WalletChoice[] {
    const named = this.#config.connectors.filter(({ id }) => id !== UNNAMED);
    if (named.length > 0) return named.map(choiceOf);
    return hasInjectedProvider() ? this.#config.connectors.map(choiceOf) : [];
  }

  /** Asks the wallet for its accounts. @throws Problem */
  async connect(id: string): Promise<Connection> {
    const connector = this.#config.connectors.find((candidate) => candidate.id === id);
    if (!connector) throw new Problem('wallet_failed');
    try {
      if (this.#config.state.current !== connector.uid) await connect(this.#config, { connector });
      return await this.#connectionOf(connector);
    } catch (error) {
      throw problemOf(error);
    }
  }

  /** The wallet of the last visit, when it still shows its accounts without asking; else null. */
  async restore(): Promise<Connection | null> {
    const id = await this.#config.storage?.getItem('recentConnectorId');
    const connector = id ? await this.#appearance(id) : undefined;
    if (!connector) return null;
    const [connection] = await reconnect(this.#config, { connectors: [connector] });
    return connection ? await this.#connectionOf(connector).catch(() => null) : null;
  }

  /** The connection as it is now; null when the wallet has left. */
  async current(): Promise<Connection | null> {
    const { current, connections } = this.#config.state;
    const connector = current === null ? undefined : connections.get(current)?.connector;
    return connector ? await this.#connectionOf(connector) : null;
  }

  /** Asks the wallet to change to the payment's chain, or to add it. @throws Problem */
  async switchChain({ provider }: Connection): Promise<void> {
    const { id, name, coin, rpcUrl } = this.#chain;
    let settled = false;
    // Some wallets change without answering, others answer without an event: the chain id decides.
    const seen = (async () => {
      while (!settled && (await readChainId(provider).catch(() => 0)) !== id) {
        await new Promise((resolve) => setTimeout(resolve, SWITCH_POLL_MS));
      }
    })();
    const add = { chainName: name, nativeCurrency: { name: coin, symbol: coin, decimals: 18 } };
    const asked = switchChain(this.#config, {
      chainId: id,
      addEthereumChainParameter: { ...add, ...(rpcUrl && { rpcUrls: [rpcUrl] }) },
    });
    try {
      await Promise.race([asked, seen]);
    } catch (error) {
      const problem = problemOf(error);
      // Without an RPC URL the wallet cannot be told about a chain that it does not know.
      throw problem.code === 'wallet_failed' ? new Problem('unknown_chain', { cause: error }) : problem;
    } finally {
      settled = true;
      asked.catch(() => undefined);
    }
  }

  /** Forgets the wallet; its next connection asks again. */
  async disconnect(): Promise<void> {
    await disconnect(this.#config).catch(() => undefined);
  }

  /** Stops listening. */
  close(): void {
    for (const stop of this.#stopWatching) stop();
  }

  async #connectionOf(connector: Connector): Promise<Connection> {
    const [account] = await connector.getAccounts();
    const provider: unknown = await connector.getProvider();
    if (!account || !isProvider(provider)) throw new Problem('wallet_failed');
    return { wallet: choiceOf(connector), account, provider };
  }

  /** The connector with this id, at once or when it announces itself soon. */
  async #appearance(id: string): Promise<Connector | undefined> {
    const isThere = () => id !== UNNAMED || hasInjectedProvider();
    const find = () => this.#config.connectors.find((connector) => connector.id === id && isThere());
    const found = find();
    if (found) return found;
    return await new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        stop();
        window.removeEventListener(INJECTED, done);
        resolve(find());
      };
      const timer = setTimeout(done, RESTORE_TIMEOUT_MS);
      const stop = watchConnectors(this.#config, { onChange: () => find() && done() });
      window.addEventListener(INJECTED, done);
    });
  }
}

/** viem's transport over a wallet's provider. */
export function transportOf(provider: Provider) {
  return custom({ request: (args: { method: string; params?: unknown }) => provider.request(args) });
}

function choiceOf({ id, name, icon }: Connector): WalletChoice {
  return { id, name: id === UNNAMED ? '' : name, icon: icon?.startsWith('data:image/') ? icon : null };
}

function isProvider(value: unknown): value is Provider {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'request') === 'function';
}

function hasInjectedProvider(): boolean {
  return isProvider(Reflect.get(window, 'ethereum'));
}

/** The page's storage, or one that lasts as long as the page where frames have none. */
function pageStorage() {
  try {
    window.localStorage.getItem('dealkeep');
    return window.localStorage;
  } catch {
    const items = new Map<string, string>();
    return {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => void items.set(key, value),
      removeItem: (key: string) => void items.delete(key),
    };
  }
}
