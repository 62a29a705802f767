/** What has to be true of the machine before anything starts; each fault is one line that says what to do. */
import { mkdir, statfs } from 'node:fs/promises';
import { describe, Problem } from './problem.ts';

const LEAST_NODE = 24;
const LEAST_FREE_BYTES = 1024 ** 3;

/** @throws Problem when this Node can't run TypeScript as it is */
export function requireNode(): void {
  const [major] = process.versions.node.split('.').map(Number);
  if (major === undefined || major < LEAST_NODE) {
    throw new Problem(
      `Node ${process.versions.node} is too old: start with \`npm start\`, which uses the Node ${LEAST_NODE} that \`npm ci\` installed.`,
    );
  }
}

/** Creates the folder. @throws Problem when it can't be written or less than 1 GB is free there */
export async function requireFolder(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true });
    const { bavail, bsize } = await statfs(dir);
    const freeBytes = bavail * bsize;
    if (freeBytes < LEAST_FREE_BYTES) {
      throw new Problem(
        `Only ${Math.floor(freeBytes / 1024 ** 2)} MB are free where ${dir} is, 1024 are needed: free some or choose another folder with --data DIR.`,
      );
    }
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(`${dir} can't be used (${describe(error)}): choose another folder with --data DIR.`);
  }
}

/** The same fault as a line that says what to do, when it is one that we know. */
export function explain(error: unknown, dataDir: string): string {
  const text = describe(error);
  if (/ENOSPC|No space left on device/.test(text)) {
    return `The disk of ${dataDir} is full: free some space or choose another folder with --data DIR.`;
  }
  return text;
}
