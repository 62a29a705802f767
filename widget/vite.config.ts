// Owns how the widget is bundled: as ES module with the wallet part in a file of its own, or as one classic script.
import { defineConfig } from 'vite';

const FORMATS = {
  esm: { format: 'es', entry: 'dealkeep.js', inline: false },
  script: { format: 'iife', entry: 'dealkeep.script.js', inline: true },
} as const;

export default defineConfig(({ mode }) => {
  const { format, entry, inline } = mode === 'script' ? FORMATS.script : FORMATS.esm;
  return {
    root: import.meta.dirname,
    configFile: false,
    publicDir: false,
    logLevel: 'warn',
    define: { 'process.env.NODE_ENV': '"production"' },
    build: {
      outDir: 'dist',
      emptyOutDir: false,
      target: 'es2022',
      modulePreload: false,
      reportCompressedSize: false,
      lib: { entry: 'index.ts', name: 'Dealkeep', formats: [format], fileName: () => entry },
      rolldownOptions: {
        output: { minify: true, codeSplitting: !inline, chunkFileNames: '[name]-[hash].js' },
      },
    },
  };
});
