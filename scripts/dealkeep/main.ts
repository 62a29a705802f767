// Runs one command and ends the process with its exit code. Whatever goes wrong is said in words; a stack trace appears only for a
// fault of our own, and of URLs it shows where they lead.
import { CommanderError } from 'commander';
import { describeError } from '../../api/logging.ts';
import { Failure } from './failure.ts';
import { openProgram } from './program.ts';

try {
  await openProgram().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2);
  if (error instanceof Failure) {
    console.error(error.message);
    process.exit(error.exitCode);
  }
  console.error(`This is a fault of dealkeep's own:\n${describeError(error).stack ?? error}`);
  process.exit(1);
}
