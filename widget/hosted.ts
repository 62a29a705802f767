/**
 * The hosted checkout: a page of the API's own origin that a QR code or a link opens with a code in its fragment. The code is used
 * up at once and leaves the address; what it brought lasts as long as this tab.
 */
import { languageOf, loadWords } from './languages.ts';
import { mount } from './mount.ts';

type Opened = { accessToken: string; returnUrl: string | null };

const looks = new CSSStyleSheet();
looks.replaceSync(`
  :root { color-scheme: light dark; }
  body { margin: 0; background: light-dark(#f6f5f2, #101413); font-family: system-ui, sans-serif; }
  main { box-sizing: border-box; max-inline-size: 30rem; margin: 0 auto; padding: 1.5rem; color: light-dark(#16211e, #eef3f1); }
  h1 { font-size: 1.25rem; }
`);
document.adoptedStyleSheets = [looks];

const host = document.querySelector('main');
const paymentId = location.pathname.split('/').at(-1) ?? '';
const kept = `dealkeep.hosted.${paymentId}`;

/** Uses the code in the address up, or takes what an earlier visit of this tab brought. */
async function open(): Promise<Opened | null> {
  const code = location.hash.slice(1);
  if (code === '') return JSON.parse(sessionStorage.getItem(kept) ?? 'null');
  history.replaceState(null, '', location.pathname);
  const answer = await fetch('/api/v1/widget/handoffs', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ code }),
  });
  const { payment_id, access_token: accessToken, return_url: returnUrl } = await answer.json();
  if (!answer.ok || payment_id !== paymentId) return null;
  sessionStorage.setItem(kept, JSON.stringify({ accessToken, returnUrl }));
  return { accessToken, returnUrl };
}

const language = languageOf(new URLSearchParams(location.search).get('lang'));
const [opened, words] = await Promise.all([open().catch(() => null), loadWords(language)]);
document.documentElement.lang = words?.tag ?? 'en';
document.documentElement.dir = words?.direction ?? 'ltr';
const heading = document.createElement('h1');
host?.append(heading);
if (host && opened) {
  const { accessToken, returnUrl } = opened;
  heading.textContent = words?.say('label.checkout') ?? '';
  mount(host, { api: location.origin, paymentId, accessToken, ...(returnUrl !== null && { returnUrl }) });
} else if (host) {
  heading.textContent = words?.say('handoff.over') ?? '';
  host.append(Object.assign(document.createElement('p'), { textContent: words?.say('handoff.again') ?? '' }));
}
