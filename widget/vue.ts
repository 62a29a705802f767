// The checkout as a Vue component: a thin wrapper around `mount`, rendered on a server as an empty box.
import { defineComponent, h, onBeforeUnmount, onMounted, type PropType, ref, watch } from 'vue';
import { type MountEvents, type Mounted, type MountOptions, mount } from './mount.ts';

type Option<Name extends keyof MountOptions> = PropType<NonNullable<MountOptions[Name]>>;

/** A payment's checkout; its properties are the options of `mount`, its events `change` and `close`. */
export const DealkeepCheckout = defineComponent({
  name: 'DealkeepCheckout',
  props: {
    api: { type: String, required: true },
    paymentId: { type: String, required: true },
    accessToken: { type: [String, Function] as Option<'accessToken'>, required: true },
    expected: Object as Option<'expected'>,
    rpcUrl: String,
    returnUrl: String,
    theme: String as Option<'theme'>,
    lang: String,
    form: String as Option<'form'>,
    label: String,
  },
  emits: {
    change: (_detail: MountEvents['change']) => true,
    close: () => true,
  },
  setup(props, { emit }) {
    const host = ref<HTMLElement | null>(null);
    let checkout: Mounted | null = null;
    const start = () => {
      if (!host.value) return;
      checkout = mount(host.value, { ...props });
      checkout.on('change', (detail) => emit('change', detail));
      checkout.on('close', () => emit('close'));
    };
    const stop = () => {
      checkout?.unmount();
      checkout = null;
    };
    onMounted(start);
    onBeforeUnmount(stop);
    watch(
      () => props.form,
      () => {
        stop();
        start();
      },
    );
    watch(
      () => ({ ...props }),
      (options) => checkout?.update(options),
    );
    return () => h('div', { ref: host });
  },
});
