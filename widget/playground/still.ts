/**
 * Owns a checkout that stands still: the element as it is delivered, with a scene in place of the payment that `payment-id` would
 * name. It reads nothing, asks nobody, and its buttons lead nowhere; only the panel after the payment is alive, with a wallet of
 * the page's own.
 */
import { Checkout, type Settings } from '../checkout.ts';
import { DealkeepCheckout } from '../element.ts';
import { type Scene, scenes } from './scenes.ts';
import { announceWallet, setMood } from './still-wallet.ts';

const PACE_MS = 20;

class StillPayment extends Checkout {
  readonly #scene: Scene | undefined;

  constructor(settings: Settings, onChange: () => void, scene: Scene | undefined) {
    super(settings, onChange);
    this.#scene = scene;
  }

  /** After a moment in which nothing is shown: what stood there before is taken away, not changed. */
  override start(): void {
    setTimeout(() => this.#scene && this.patch(this.#scene.snapshot));
  }

  override retry(): void {}
  override send(): boolean {
    return false;
  }
  override async tryAgain(): Promise<void> {}
  override async handOver(): Promise<void> {}
}

/** `<dealkeep-checkout payment-id="NAME OF A SCENE">`; `data-still` has the name once the whole scene is there. */
class StillElement extends DealkeepCheckout {
  #scene: Scene | undefined;
  #played: Scene | undefined;

  protected override open(settings: Settings, onChange: () => void): Checkout {
    this.#scene = scenes.get(settings.paymentId);
    if (this.#scene) setMood(this.#scene.wallet);
    this.removeAttribute('data-still');
    return new StillPayment(settings, onChange, this.#scene);
  }

  protected override updated(): void {
    super.updated();
    const scene = this.#scene;
    if (!scene || scene === this.#played || this.#find('[data-state]')?.dataset.state !== scene.snapshot.name) return;
    this.#played = scene;
    void this.#play(scene, this.paymentId);
  }

  async #play({ unfold, presses, until }: Scene, name: string): Promise<void> {
    const panel = () => this.#find('dealkeep-deal')?.shadowRoot;
    // Both come by themselves, a moment later.
    if (this.#find('dealkeep-deal')) {
      await this.#appearance(() => this.#find('.receipt'), name);
      await this.#appearance(() => panel()?.querySelector<HTMLElement>('section'), name);
    }
    for (const selector of unfold) this.#find(selector)?.setAttribute('open', '');
    for (const press of presses) {
      const [, field, typed = ''] = /^(\w+)=(.*)$/.exec(press) ?? [];
      const found = await this.#appearance(() => panel()?.querySelector<HTMLElement>(field ?? press), name);
      if (found instanceof HTMLInputElement) found.value = typed;
      else found?.click();
    }
    if (until) await this.#appearance(() => panel()?.querySelector<HTMLElement>(until), name);
    if (this.paymentId === name) this.dataset.still = name;
  }

  /** What is there sooner or later; null once another scene is wanted. */
  async #appearance(find: () => HTMLElement | null | undefined, name: string): Promise<HTMLElement | null> {
    while (this.paymentId === name && this.isConnected) {
      const found = find();
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, PACE_MS));
    }
    return null;
  }

  #find(selector: string): HTMLElement | null {
    return this.renderRoot.querySelector<HTMLElement>(selector);
  }
}

// The same deal stands here many times: none waits for another, and none goes on from what another has sent.
Object.defineProperty(navigator, 'locks', { value: undefined });
const { setItem } = Storage.prototype;
Storage.prototype.setItem = function (this: Storage, key: string, value: string) {
  if (!key.startsWith('dealkeep.deed.')) setItem.call(this, key, value);
};
announceWallet();
customElements.define('dealkeep-checkout', StillElement);
