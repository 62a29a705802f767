/**
 * Loaded into workers and APIs of the fault suite (`node --import`), and nowhere else: it changes the text of production files as they
 * are read, so that a process can be killed at named lines, and so that a bug can be planted which the suite must notice. A text
 * that is not found exactly once ends the process: a change to that file must not quietly take a kill point or a bug away.
 */
import { unlinkSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { BUGS, type Patch, POINTS } from './patches.ts';

const folder = process.env.FAULTS_FOLDER ?? '';
const bug = process.env.FAULTS_PLANT;
const patches: Patch[] = [...POINTS, ...(bug ? (BUGS[bug] ?? refuse(`There is no bug ${bug}.`)) : [])];

function refuse(message: string): never {
  process.stderr.write(`fault suite: ${message}\n`);
  process.exit(70);
}

/** Ends this process as a crash would, when the suite has armed the point; of several that come to it, one. */
Object.assign(globalThis, {
  dealkeepFaultPoint(name: string) {
    try {
      unlinkSync(join(folder, `kill-${name}`));
    } catch {
      return;
    }
    process.kill(process.pid, 'SIGKILL');
  },
});

registerHooks({
  load(url, context, nextLoad) {
    const result = nextLoad(url, context);
    const here = patches.filter(({ file }) => url.endsWith(`/api/${file}`));
    if (here.length === 0) return result;
    let source = String(result.source);
    for (const { file, before, after } of here) {
      const places = source.split(before).length - 1;
      if (places !== 1)
        refuse(`${file} has ${places} places like ${JSON.stringify(before)}; see scripts/faults/patches.ts.`);
      source = source.replace(before, () => after);
      process.stdout.write(`${JSON.stringify({ level: 30, role: 'fault suite', msg: 'patched', file })}\n`);
    }
    return { ...result, source };
  },
});
