// Runs the contract's tests with coverage and fails below the bar; lines and statements are what Hardhat counts. The report as
// pages goes to coverage/html.
import { spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';

const LEAST_PERCENT = 98;

/** Runs the tests with their output shown; resolves with what they printed, without colours. */
function testWithCoverage(): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('hardhat', ['test', 'solidity', '--coverage'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      process.stdout.write(chunk);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(stripVTControlCharacters(output));
      else reject(new Error('The tests fail, so their coverage says nothing.'));
    });
  });
}

try {
  const [, lines, statements] = /Total\s*│\s*([\d.]+)\s*│\s*([\d.]+)/.exec(await testWithCoverage()) ?? [];
  if (lines === undefined || statements === undefined) throw new Error('Hardhat printed no total.');
  const enough = Number(lines) >= LEAST_PERCENT && Number(statements) >= LEAST_PERCENT;
  console.log(`Lines ${lines} %, statements ${statements} %; at least ${LEAST_PERCENT} % is asked for.`);
  process.exit(enough ? 0 : 1);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
