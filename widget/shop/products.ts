// Owns what the demo shop sells.

/** Something to buy. */
export type Product = {
  sku: string;
  name: string;
  text: string;
  price: number;
  currency: 'USDC' | 'USDT';
  /** Drawing in an SVG of 240 by 160. */
  drawing: string;
};

/** What a product costs by card or transfer is the same number of these. */
export const FIAT = 'EUR';

/** One product for each kind of token. */
export const products: readonly Product[] = [
  {
    sku: 'lamp',
    name: 'Walnut desk lamp',
    text: 'Turned from one piece, with a linen shade. Made to order in nine days.',
    price: 48,
    currency: 'USDC',
    drawing:
      '<rect width="240" height="160" fill="#efe6d8"/><path d="M0 128h240v32H0z" fill="#d9c7ab"/><ellipse cx="120" cy="130" rx="40" ry="7" fill="#6b4a2f"/><path d="M116 72h8v58h-8z" fill="#7d5838"/><path d="M88 76l14-44h36l14 44z" fill="#fbf7ef" stroke="#cdbb9d" stroke-width="2"/><path d="M88 76h64" stroke="#f2c76b" stroke-width="4"/>',
  },
  {
    sku: 'bowls',
    name: 'Two stoneware bowls',
    text: 'Ash glaze, each a little different. Packed in wool, sent within two days.',
    price: 32.5,
    currency: 'USDT',
    drawing:
      '<rect width="240" height="160" fill="#e2e9e6"/><path d="M0 124h240v36H0z" fill="#c3d0ca"/><path d="M52 84h88c0 30-18 46-44 46S52 114 52 84z" fill="#5b7f79"/><ellipse cx="96" cy="84" rx="44" ry="9" fill="#7fa29b"/><path d="M128 98h72c0 24-14 36-36 36s-36-12-36-36z" fill="#b98d5e"/><ellipse cx="164" cy="98" rx="36" ry="7" fill="#d3ad82"/>',
  },
];
