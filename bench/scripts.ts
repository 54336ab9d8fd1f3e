import { join } from 'node:path';
import { type IpAddress, parseAddress } from '../lib/core/address.ts';
import type { Child, Children } from './children.ts';
import { findProgram } from './programs.ts';

/** Processes of our own beside the subjects: what they need must not be taken from the bench, nor from a subject. */

/** The program and arguments that run a file of `processes/`. */
export function scriptCommand(
  file: string,
  args: readonly string[],
): { program: string; args: readonly string[] } {
  const path = join(import.meta.dirname, 'processes', file);
  if (file.endsWith('.py')) return { program: findProgram('python3') ?? 'python3', args: [path, ...args] };
  return { program: process.execPath, args: ['--import', import.meta.resolve('tsx'), path, ...args] };
}

/** Starts a file of `processes/`; resolves with the line it prints when it is ready. */
export function startScript(
  children: Children,
  file: string,
  args: readonly string[] = [],
): Promise<{ readonly child: Child; readonly line: string }> {
  const command = scriptCommand(file, args);
  return children.announce(command.program, command.args);
}

/** The same for a server: the line is the address at which it listens. */
export async function startServer(
  children: Children,
  file: string,
  args: readonly string[] = [],
): Promise<{ readonly child: Child; readonly address: IpAddress }> {
  const { child, line } = await startScript(children, file, args);
  const address = parseAddress(line);
  if (address === undefined || address.family === 'unix') throw new Error(`${file} said ${line}`);
  return { child, address };
}
