// Owns how the widget is bundled: as ES modules (the script for a page, `mount` for bundlers, React and Vue) that share what they
// have in common, or as one classic script; beside them what comes after a payment, and the page without servers.
import { defineConfig, type Plugin } from 'vite';

const LANGUAGES = ['en', 'de', 'fr', 'es', 'tr', 'ar'];

/** In the one script the other languages would be half of it, and few need rails, a QR code or decide later: it loads what is wanted from beside itself. */
const besideScript: Plugin = {
  name: 'beside-script',
  enforce: 'pre',
  resolveId(source) {
    const [, own] = /^\.\/(?:rails\/)?(rails|qr)\.ts$/.exec(source) ?? [];
    if (own) return { id: `./${own}.js`, external: true };
    const [, code] = /languages\/(\w+)\.json$/.exec(source) ?? [];
    return code && code !== 'en' ? { id: `./language-${code}.js`, external: true } : null;
  },
  // A classic script of another origin has no address of its own to import from (its base is about:blank) but while it runs.
  generateBundle(_, files) {
    for (const file of Object.values(files)) {
      if (file.type !== 'chunk') continue;
      const code = file.code.replace(/\bimport\(([`'"])\.\/([\w-]+\.js)\1\)/g, 'import(new URL("$2",Dealkeep.base))');
      file.code = `${code.trimEnd()}\nDealkeep.base=document.currentScript?.src||location.href;\n`;
    }
  },
};

/** Built by itself: what it shares with the way to a deposit would make that way longer, by 2 KB. */
const panelBeside: Plugin = {
  name: 'panel-beside',
  enforce: 'pre',
  resolveId: (source) => (source === './afterwards/panel.ts' ? { id: './afterwards.js', external: true } : null),
};

/** Templates of markup and styles keep the indentation of their source through minification: 0.2 KB of what a buyer loads. */
const withoutIndentation: Plugin = {
  name: 'without-indentation',
  transform: (code, id) => (id.startsWith(import.meta.dirname) ? code.replace(/\n[ \t]+/g, '\n') : null),
};

const FORMATS = {
  esm: {
    format: 'es',
    entries: {
      dealkeep: 'index.ts',
      hosted: 'hosted.ts',
      qr: 'qr.ts',
      mount: 'mount.ts',
      react: 'react.ts',
      vue: 'vue.ts',
      rails: 'rails/rails.ts',
      ...Object.fromEntries(LANGUAGES.map((code) => [`language-${code}`, `languages/${code}.json`])),
      ...Object.fromEntries(LANGUAGES.map((code) => [`rails-${code}`, `rails/languages/${code}.json`])),
    },
    inline: false,
  },
  afterwards: {
    format: 'es',
    entries: {
      afterwards: 'afterwards/panel.ts',
      seller: 'afterwards/seller.ts',
      ...Object.fromEntries(LANGUAGES.map((code) => [`afterwards-${code}`, `afterwards/languages/${code}.json`])),
    },
    inline: false,
  },
  script: { format: 'iife', entries: { 'dealkeep.script': 'index.ts' }, inline: true },
  // By itself too: what it shares with the element must not make the element's files more.
  playground: { format: 'iife', entries: { playground: 'playground/page.ts' }, inline: true },
  // Becomes a page of one file, see scripts/build-widget.ts.
  escape: { format: 'iife', entries: { escape: 'escape/page.ts' }, inline: true },
} as const;

export default defineConfig(({ mode }) => {
  const { format, entries, inline } = FORMATS[mode as keyof typeof FORMATS] ?? FORMATS.esm;
  return {
    root: import.meta.dirname,
    configFile: false,
    publicDir: false,
    logLevel: 'warn',
    json: { stringify: true, namedExports: false },
    plugins: [
      withoutIndentation,
      mode === 'afterwards' || mode === 'playground' ? [] : panelBeside,
      mode === 'script' ? besideScript : [],
    ],
    define: { 'process.env.NODE_ENV': '"production"' },
    build: {
      outDir: 'dist',
      emptyOutDir: false,
      target: 'es2022',
      modulePreload: false,
      reportCompressedSize: false,
      lib: { entry: entries, name: 'Dealkeep', formats: [format], fileName: (_, name) => `${name}.js` },
      rolldownOptions: {
        // Whoever uses a wrapper has its framework already.
        external: ['react', 'vue'],
        output: { minify: true, codeSplitting: !inline, chunkFileNames: '[name]-[hash].js' },
      },
    },
  };
});
