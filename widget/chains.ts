// Owns what the widget knows about chains besides their id: names, coins, and what a wallet needs to add one.

/** A chain as a buyer sees it. */
export type ChainInfo = {
  /** EIP-155. */
  id: number;
  name: string;
  /** Symbol of the coin that pays fees. */
  coin: string;
  /** Without one a wallet that lacks the chain cannot be told about it. */
  rpcUrl: string | null;
  /** Base URL of a block explorer. */
  explorerUrl: string | null;
};

const LOCAL_CHAIN_ID = 31337;

const known: Record<number, [name: string, coin: string, rpcUrl: string, explorerUrl: string | null]> = {
  1: ['Ethereum', 'ETH', 'https://ethereum-rpc.publicnode.com', 'https://etherscan.io'],
  10: ['OP Mainnet', 'ETH', 'https://mainnet.optimism.io', 'https://optimistic.etherscan.io'],
  137: ['Polygon', 'POL', 'https://polygon-bor-rpc.publicnode.com', 'https://polygonscan.com'],
  8453: ['Base', 'ETH', 'https://mainnet.base.org', 'https://basescan.org'],
  42161: ['Arbitrum One', 'ETH', 'https://arb1.arbitrum.io/rpc', 'https://arbiscan.io'],
  84532: ['Base Sepolia', 'ETH', 'https://sepolia.base.org', 'https://sepolia.basescan.org'],
  11155111: ['Sepolia', 'ETH', 'https://ethereum-sepolia-rpc.publicnode.com', 'https://sepolia.etherscan.io'],
  [LOCAL_CHAIN_ID]: ['Local test chain', 'ETH', 'http://127.0.0.1:8545', null],
};

/** What is known about a chain; `rpcUrl` goes before our own. */
export function chainInfo(id: number, rpcUrl: string | null = null): ChainInfo {
  const [name, coin, url, explorerUrl] = known[id] ?? [`Chain ${id}`, 'coin', null, null];
  return { id, name, coin, rpcUrl: rpcUrl ?? url, explorerUrl };
}
