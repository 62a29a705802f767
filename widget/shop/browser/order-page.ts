// The order page: hands the checkout its token, keeps the timeline up to date, and sends what the desk's buttons ask for.
export {};

const POLL_MS = 1_500;

type Timeline = {
  status: string;
  isOverpaid: boolean;
  logs: { event_type: string; message: string; created_at: string; proof: { transaction: string } | null }[];
};

const order = window.location.pathname;
const checkout = document.querySelector<HTMLElement>('#checkout');
const timeline = document.querySelector('#timeline');
const answer = document.querySelector('#answer');
const buttons = document.querySelectorAll<HTMLButtonElement>('button[data-verb]');

async function text(path: string): Promise<string> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(await response.text());
  return await response.text();
}

if (checkout) {
  Object.assign(checkout, {
    expected: JSON.parse(checkout.dataset.expected ?? '{}'),
    accessToken: () => text(`${order}/token`),
  });
}

function entry({ event_type, message, created_at, proof }: Timeline['logs'][number]): HTMLLIElement {
  const item = document.createElement('li');
  const time = document.createElement('time');
  time.dateTime = created_at;
  time.textContent = new Date(created_at).toLocaleTimeString();
  const name = document.createElement('strong');
  name.textContent = event_type.replace(/^payment\./, '').replaceAll('_', ' ');
  const words = document.createElement('span');
  words.textContent = proof ? `${message} (${proof.transaction.slice(0, 10)}…)` : message;
  item.append(time, name, words);
  return item;
}

async function refresh(): Promise<void> {
  const { status, isOverpaid, logs }: Timeline = JSON.parse(await text(`${order}/timeline`));
  const releasable = status === 'funded' || status === 'partially_released';
  const cancellable = [
    'pending',
    'awaiting_deposit',
    'expired',
    'confirming',
    'funded',
    'partially_released',
    'failed',
  ];
  const isOpen: Record<string, boolean> = {
    release: releasable,
    cancel: cancellable.includes(status),
    'refund-excess': isOverpaid,
    day: true,
  };
  for (const button of buttons) button.disabled = !isOpen[button.dataset.verb ?? ''];
  timeline?.replaceChildren(...logs.map(entry));
}

async function keepFresh(): Promise<void> {
  if (!document.hidden) await refresh().catch(() => undefined);
  setTimeout(() => void keepFresh(), POLL_MS);
}

for (const button of buttons) {
  button.addEventListener('click', async () => {
    button.disabled = true;
    const response = await fetch(`${order}/${button.dataset.verb}`, { method: 'POST' });
    if (answer) answer.textContent = response.ok ? 'Asked.' : await response.text();
    await refresh().catch(() => undefined);
  });
}
void keepFresh();
