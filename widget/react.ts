// The checkout as a React component: a thin wrapper around `mount`, rendered on a server as an empty box.
import { createElement, type ReactElement, useEffect, useRef } from 'react';
import { type MountEvents, type Mounted, type MountOptions, mount } from './mount.ts';

/** What the component takes: the options of `mount` and its events. */
export type DealkeepCheckoutProps = MountOptions & {
  onChange?: (detail: MountEvents['change']) => void;
  onClose?: () => void;
};

/** A payment's checkout; properties may change at any time, another `form` mounts anew. */
export function DealkeepCheckout({ onChange, onClose, ...options }: DealkeepCheckoutProps): ReactElement {
  const host = useRef<HTMLDivElement>(null);
  const mounted = useRef<Mounted | null>(null);
  const latest = useRef({ onChange, onClose, options });
  latest.current = { onChange, onClose, options };

  // biome-ignore lint/correctness/useExhaustiveDependencies: another form is another way to mount; the rest is updated below.
  useEffect(() => {
    if (!host.current) return;
    const checkout = mount(host.current, latest.current.options);
    checkout.on('change', (detail) => latest.current.onChange?.(detail));
    checkout.on('close', () => latest.current.onClose?.());
    mounted.current = checkout;
    return () => {
      mounted.current = null;
      checkout.unmount();
    };
  }, [options.form]);
  useEffect(() => mounted.current?.update(options));

  return createElement('div', { ref: host });
}
