// Everything that a checkout can show, for everybody: read out, reached, seen and touched by whoever needs it otherwise. Each scene of
// widget/playground/scenes.ts is looked at in light, dark, right to left, and 320 pixels wide, which is a window of 1280 at 400 %.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scenes } from '../../widget/playground/scenes.ts';
import { transitions } from '../../widget/states.ts';
import { type Gallery, openGallery, show } from './gallery.ts';

let gallery: Gallery;
let page: Page;
/** In each language 320 pixels wide, one below the other. */
let narrow: Page;

beforeAll(async () => {
  gallery = await openGallery();
  page = await gallery.open(['light', 'dark', 'phone', 'right to left']);
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await page.evaluate(await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  narrow = await gallery.open(['phone']);
  await narrow.evaluate(`(() => {
    document.querySelector('main').style.display = 'block';
    const place = document.querySelector('section');
    for (const lang of ['de', 'fr', 'es', 'tr', 'ar']) {
      const another = place.cloneNode(true);
      Object.assign(another.firstElementChild, { lang, accessToken: 'none' });
      place.after(another);
    }
  })()`);
});
afterAll(async () => {
  await gallery.close();
});

// In the page: an element and all below it, across shadow trees.
const library = `
  const within = (root) => [...root.querySelectorAll('*')].flatMap((one) => [one, ...(one.shadowRoot ? within(one.shadowRoot) : [])]);
  const isSeen = (one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest('.hidden, [aria-hidden=true]');
  const nameOf = (one) => one.tagName.toLowerCase() + ': ' + one.textContent.trim().replace(/\\s+/g, ' ').slice(0, 60);
  const elements = [...document.querySelectorAll('dealkeep-checkout')];
`;

/** What WCAG 2.2 AA asks for, as far as axe-core can tell. */
async function violations(): Promise<string[]> {
  return await page.evaluate<string[]>(`axe
    .run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'],
      resultTypes: ['violations'],
    })
    .then(({ violations }) =>
      violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => id + ': ' + html + ' ' + failureSummary)),
    )`);
}

/** What is smaller than a finger or a trembling hand can hit: 24 by 24 CSS pixels. */
const smallTargets = `(() => { ${library}
  return elements.flatMap((element) => within(element.shadowRoot))
    .filter((one) => one.matches('a, button, summary, input, textarea, label:has(input)') && isSeen(one))
    // A choice is hit through the label around it.
    .filter((one) => !one.matches('input') || !one.closest('label'))
    .filter((one) => { const { width, height } = one.getBoundingClientRect(); return Math.min(width, height) < 24; })
    .map(nameOf);
})()`;

/** What moves although its reader asked for stillness. */
const moving = `(() => { ${library}
  return elements.flatMap((element) => within(element.shadowRoot))
    .filter((one) => one.getAnimations().length > 0 || getComputedStyle(one).transitionDuration !== '0s')
    .map(nameOf);
})()`;

/** The live regions with words, and the words of each state's title that stand in none. */
const unsaid = `(() => { ${library}
  return elements.flatMap((element) => {
    const all = within(element.shadowRoot);
    const isLive = (one) => one.closest('[role=status], [role=alert]') !== null;
    const said = all.filter((one) => one.matches('[role=status]') && one.textContent.trim() !== '');
    const silent = all.filter((one) => one.matches('.message h2, .message p, .warning, .stale') && !isLive(one));
    return [...(said.length > 0 ? [] : ['nothing is said']), ...silent.map(nameOf)];
  });
})()`;

/** What sticks out of its card to the side, or is cut off. */
const stickingOut = `(() => { ${library}
  return elements.flatMap((element) => {
    const card = element.shadowRoot.querySelector('.card').getBoundingClientRect();
    return within(element.shadowRoot)
      .filter((one) => isSeen(one) && !one.matches('dealkeep-deal, svg *'))
      .filter((one) => { const { left, right } = one.getBoundingClientRect(); return left < card.left - 1 || right > card.right + 1; })
      .map((one) => element.lang + ' ' + nameOf(one));
  });
})()`;

/** Texts with a hole, and placeholders that nobody filled. */
const holes = `(() => { ${library}
  return elements.map((element) => within(element.shadowRoot).map((one) => one.matches('style') ? '' : one.innerText ?? '').join(' '))
    .flatMap((text) => text.match(/\\{\\w+\\}|undefined|NaN|\\[object/g) ?? []);
})()`;

test('the scenes leave no state out', () => {
  const shown = new Set([...scenes.values()].map(({ snapshot }) => snapshot.name));
  expect(Object.keys(transitions).filter((state) => !shown.has(state as keyof typeof transitions))).toEqual([]);
});

describe.each([...scenes.keys()])('%s', (scene) => {
  test('is said, seen, reached and still for everybody', async () => {
    await show(page, scene);
    expect(await violations()).toEqual([]);
    expect(await page.evaluate(unsaid)).toEqual([]);
    expect(await page.evaluate(moving)).toEqual([]);
    expect(await page.evaluate(smallTargets)).toEqual([]);
  });

  test('fits 320 pixels in each language', async () => {
    await show(narrow, scene);
    expect(await narrow.evaluate(stickingOut)).toEqual([]);
    expect(await narrow.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
    expect(await narrow.evaluate(smallTargets)).toEqual([]);
    expect(await narrow.evaluate(holes)).toEqual([]);
  });
});
