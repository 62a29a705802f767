/**
 * The playground: the element in any scene, with a control for everything that a page can set on it, and the CSS and HTML that
 * bring it about. The variables come from the element's own docblock when the widget is built. What is set stands in the page's
 * fragment, so it can be linked to.
 */
import './still.ts';
import { html, nothing, render, type TemplateResult } from 'lit';
import { languageCodes } from '../languages.ts';
import { type Mounted, type MountOptions, mount } from '../mount.ts';
import { scenes } from './scenes.ts';
import { type Choice, cssFor, markupFor } from './snippets.ts';

/** From the docblock of widget/element.ts, by scripts/build-widget.ts; the defaults are the light one and the dark one. */
declare const ELEMENT_VARIABLES: readonly { name: string; text: string; defaults: readonly string[] }[];

/** A script knows where it came from while it runs. */
const script = document.currentScript instanceof HTMLScriptElement ? document.currentScript.src : '';
const api = URL.canParse(script) ? new URL(script).origin : location.origin;

const WIDTHS_PX = { least: 200, most: 640, usual: 432 };
const themes = { '': 'as the buyer’s system', light: 'light', dark: 'dark' };
const languages = Object.fromEntries([['', 'the page’s'], ...languageCodes.map((code) => [code, code])]);
const directions = { ltr: 'left to right', rtl: 'right to left' };
const forms = { inline: 'inline', button: 'a button that opens a dialog', modal: 'a dialog' };

const choice = readChoice();
let mounted: Mounted | null = null;
let shownForm: string | null = null;

function readChoice(): Choice {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const one = <Name extends string>(name: string, known: Record<Name, unknown>, fallback: Name): Name => {
    const value = wanted.get(name);
    return value !== null && Object.hasOwn(known, value) ? (value as Name) : fallback;
  };
  const width = Number(wanted.get('width') ?? WIDTHS_PX.usual);
  return {
    scene: one<string>('scene', Object.fromEntries(scenes), 'ready'),
    theme: one('theme', themes, ''),
    lang: one('lang', languages, ''),
    dir: one('dir', directions, 'ltr'),
    form: one('form', forms, 'inline'),
    widthPx: width >= WIDTHS_PX.least && width <= WIDTHS_PX.most ? width : WIDTHS_PX.usual,
    variables: new Map(
      ELEMENT_VARIABLES.flatMap(({ name }): [string, string][] => {
        const value = wanted.get(name);
        return value ? [[name, value]] : [];
      }),
    ),
  };
}

function change(changed: Partial<Choice>): void {
  Object.assign(choice, changed);
  const { variables, widthPx, ...texts } = choice;
  const fragment = new URLSearchParams({ ...texts, width: `${widthPx}`, ...Object.fromEntries(variables) });
  history.replaceState(null, '', `#${fragment}`);
  draw();
}

function draw(): void {
  const place = document.querySelector<HTMLElement>('#playground');
  if (!place) return;
  render(page(), place);
  const stage = place.querySelector<HTMLElement>('.stage');
  if (stage) show(stage);
}

function show(stage: HTMLElement): void {
  const { scene, theme, lang, dir, form, widthPx, variables } = choice;
  stage.dir = dir;
  stage.style.inlineSize = `${widthPx}px`;
  for (const { name } of ELEMENT_VARIABLES) {
    const value = variables.get(name);
    if (value === undefined) stage.style.removeProperty(name);
    else stage.style.setProperty(name, value);
  }
  const options: MountOptions = {
    ...{ api, paymentId: scene, accessToken: 'none', returnUrl: `${location.origin}/`, form },
    theme: theme === '' ? undefined : theme,
    lang: lang === '' ? undefined : lang,
  };
  if (mounted && shownForm === form) mounted.update(options);
  else {
    mounted?.unmount();
    shownForm = form;
    mounted = mount(stage, options);
  }
}

function page(): TemplateResult {
  return html`
    <form class="controls" @submit=${(event: Event) => event.preventDefault()}>
      ${sceneChoice()}
      ${select('theme', 'Theme', themes, choice.theme, (theme) => change({ theme }))}
      ${select('lang', 'Language', languages, choice.lang, (lang) => change({ lang }))}
      ${select('dir', 'Direction of the page', directions, choice.dir, (dir) => change({ dir }))}
      ${select('form', 'Form', forms, choice.form, (form) => change({ form }))}
      <label>
        <span>Room for it: ${choice.widthPx} px</span>
        <input type="range" name="width" min=${WIDTHS_PX.least} max=${WIDTHS_PX.most} .value=${`${choice.widthPx}`}
          @input=${({ target }: Event) => change({ widthPx: Number((target as HTMLInputElement).value) })} />
      </label>
      <fieldset>
        <legend>CSS variables</legend>
        ${ELEMENT_VARIABLES.map(variable)}
        <button type="button" @click=${() => change({ variables: new Map() })}>As they were</button>
      </fieldset>
    </form>
    <section class="stage" aria-label="The checkout"></section>
    <section class="output" aria-label="To copy">
      ${output('CSS', cssFor(choice))} ${output('HTML', markupFor(choice, api))}
    </section>
  `;
}

function sceneChoice(): TemplateResult {
  const option = (name: string) => html`<option value=${name} .selected=${name === choice.scene}>${name}</option>`;
  const names = [...scenes.keys()];
  const isProblem = (name: string) => name.startsWith('stopped: ');
  const isState = (name: string) => scenes.get(name)?.snapshot.name === name;
  const group = (label: string, some: readonly string[]) =>
    html`<optgroup label=${label}>${some.map(option)}</optgroup>`;
  return html`
    <label>
      <span>State</span>
      <select name="scene" @change=${({ target }: Event) => change({ scene: (target as HTMLSelectElement).value })}>
        ${group('States', names.filter(isState))}
        ${group(
          'More of them',
          names.filter((name) => !isState(name) && !isProblem(name)),
        )}
        ${group('Problems', names.filter(isProblem))}
      </select>
    </label>
  `;
}

function select<Name extends string>(
  field: keyof Choice,
  label: string,
  known: Readonly<Record<Name, string>>,
  chosen: Name,
  take: (name: Name) => void,
): TemplateResult {
  const options = Object.entries<string>(known);
  return html`
    <label>
      <span>${label}</span>
      <select name=${field} @change=${({ target }: Event) => take((target as HTMLSelectElement).value as Name)}>
        ${options.map(([name, text]) => html`<option value=${name} .selected=${name === chosen}>${text}</option>`)}
      </select>
    </label>
  `;
}

function variable({ name, text, defaults }: (typeof ELEMENT_VARIABLES)[number]): TemplateResult {
  const value = choice.variables.get(name) ?? '';
  const take = (wanted: string) => {
    const variables = new Map(choice.variables);
    if (wanted.trim() === '') variables.delete(name);
    else variables.set(name, wanted.trim());
    change({ variables });
  };
  const onInput = ({ target }: Event) => take((target as HTMLInputElement).value);
  const isColour = defaults[0]?.startsWith('#') ?? false;
  const usual = defaults.join(' / ');
  return html`
    <label title=${text}>
      <code>${name}</code> <small>${text}</small>
      <span class="value">
        ${isColour ? html`<input type="color" aria-label="Colour of ${name}" .value=${sixDigits(value || (defaults[0] ?? ''))} @input=${onInput} />` : nothing}
        <input type="text" name=${name} placeholder=${usual} .value=${value} @input=${onInput} />
      </span>
    </label>
  `;
}

/** What a colour field takes; black for what it cannot show. */
function sixDigits(colour: string): string {
  const [, short] = /^#([0-9a-f]{3})$/i.exec(colour) ?? [];
  if (short) return `#${[...short].map((digit) => digit + digit).join('')}`;
  return /^#[0-9a-f]{6}$/i.test(colour) ? colour : '#000000';
}

function output(title: string, text: string): TemplateResult {
  const copy = async ({ currentTarget }: Event) => {
    await navigator.clipboard.writeText(text);
    (currentTarget as HTMLElement).textContent = 'Copied';
  };
  return html`
    <h2>${title}</h2>
    <pre tabindex="0" aria-label=${title}><code>${text}</code></pre>
    <button type="button" @click=${copy}>Copy ${title}</button>
  `;
}

draw();
