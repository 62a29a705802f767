// Everything that a checkout can show looks as its picture in widget/screenshots/states has it: light, dark, on a phone, right to left,
// and in colours of the reader's own. `SCREENSHOTS=1 npx vitest run test/e2e/pictures.test.ts` makes the pictures anew.
import { readdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { scenes } from '../../widget/playground/scenes.ts';
import { type Gallery, openGallery, openPictures, pictureOf } from './gallery.ts';

let gallery: Gallery;
let pictures: Awaited<ReturnType<typeof openPictures>>;

// What stopped a payment changes words, not looks: gallery.test.ts reads each of those.
const pictured = [...scenes.keys()].filter((scene) => !scene.startsWith('stopped: '));

beforeAll(async () => {
  gallery = await openGallery();
  pictures = await openPictures(gallery);
});
afterAll(async () => {
  await gallery.close();
});

test.each(pictured)('%s', async (scene) => {
  expect(await pictures.differences(scene)).toEqual([]);
});

test('no picture is of something that is not shown any more', async () => {
  const wanted = pictured.map((scene) => basename(pictureOf(scene)));
  expect(new Set(wanted).size).toBe(wanted.length);
  const folder = dirname(pictureOf('loading'));
  expect((await readdir(folder)).sort()).toEqual(wanted.sort());
});
