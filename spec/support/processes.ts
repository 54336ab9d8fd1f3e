/** Programs beside the test: started, listened to, and gone when the test is. */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { constants } from 'node:os';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import { LOADER, modulePath } from './checkout.ts';
import { eventually, PATIENCE_MS, within } from './eventually.ts';
import { lastResort } from './last-resort.ts';
import { pathOf } from './needs.ts';
import type { Owner } from './owner.ts';

/** How a program ended. */
export interface Exit {
  /** Its exit status; 128 + the signal's number where a signal ended it, as a shell has it. */
  readonly exitCode: number;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that was started. */
export interface Running {
  readonly pid: number;
  /** Resolves when it has ended and its output is complete. */
  readonly exited: Promise<Exit>;
  /** What it has printed so far. */
  readonly stdout: string;
  readonly stderr: string;
  /** Waits for output (either stream, from the start) that matches; rejects at the deadline or when it exits without. */
  printed(pattern: RegExp, deadlineMs?: number): Promise<RegExpExecArray>;
  /** Waits until something accepts at the address; rejects when the program exits before. */
  accepting(address: Address, deadlineMs?: number): Promise<void>;
  /** Writes to its standard input, where that was left open. */
  write(text: string): void;
  /** Sends a signal to the program itself. */
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, then SIGKILL for it and its children after `graceMs` (default `PATIENCE_MS`). Resolves when it has ended. */
  stop(graceMs?: number): Promise<Exit>;
}

export interface StartOptions {
  readonly cwd?: string;
  /** Added to the environment of the test. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to its standard input, which is then closed; without it, it is closed at once. */
  readonly input?: string;
  /** Leaves its standard input open after that, for `write`. */
  readonly interactive?: boolean;
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  // Group 0 would be our own: a program that was not found has no process.
  if (pid === 0) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The last of the group has gone already.
  }
}

/**
 * Starts a program in a process group of its own and ends the group with the test. A program that is
 * missing is an exit with status 127 and the reason on stderr, as in a shell.
 */
export function start(
  owner: Owner,
  program: string,
  args: readonly string[],
  options: StartOptions = {},
): Running {
  const child = spawn(program.includes('/') ? program : (pathOf(program) ?? program), [...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const { pid = 0 } = child;
  const endGroup = () => signalGroup(pid, 'SIGKILL');
  const callOff = lastResort(endGroup);
  const output = collect(child);
  const exited = ended(child, output);
  child.stdin.on('error', () => {}); // it may end without reading
  if (options.interactive) child.stdin.write(options.input ?? '');
  else child.stdin.end(options.input ?? '');

  let hasExited = false;
  let isStopped = false;
  void exited.then(() => {
    hasExited = true;
  });
  const name = program.split('/').at(-1);
  const shown = () => `; it printed ${JSON.stringify((output.stdout + output.stderr).slice(-2_000))}`;

  const running: Running = {
    pid,
    exited,
    get stdout() {
      return output.stdout;
    },
    get stderr() {
      return output.stderr;
    },
    printed(pattern, deadlineMs = PATIENCE_MS) {
      const match = () => pattern.exec(output.stdout) ?? pattern.exec(output.stderr);
      const found = new Promise<RegExpExecArray>((resolve, reject) => {
        const look = () => {
          const result = match();
          if (result === null) return hasExited;
          resolve(result);
          return true;
        };
        if (!look()) output.watchers.add(look);
        void exited.then(() => {
          look();
          reject(new Error(`${name} ended without printing ${pattern}${shown()}`));
        });
      });
      return within(`${name} to print ${pattern}`, found, deadlineMs, shown);
    },
    async accepting(address, deadlineMs = PATIENCE_MS) {
      await eventually(
        `${name} to accept at ${formatAddress(address)}`,
        async () => hasExited || (await accepts(address)),
        deadlineMs,
      );
      if (hasExited) throw new Error(`${name} ended before it accepted${shown()}`);
    },
    write(text) {
      child.stdin.write(text);
    },
    kill(signal) {
      child.kill(signal);
    },
    async stop(graceMs = PATIENCE_MS) {
      if (!hasExited) {
        child.kill('SIGTERM');
        child.kill('SIGCONT'); // a test may have stopped it
      }
      const timer = setTimeout(endGroup, graceMs);
      const exit = await exited;
      clearTimeout(timer);
      // Whatever it left running in its group goes too.
      if (!isStopped) endGroup();
      isStopped = true;
      callOff();
      return exit;
    },
  };
  owner.teardown(() => running.stop());
  return running;
}

/** Runs a program to its end; at the deadline it is killed and the promise rejects. */
export async function run(
  owner: Owner,
  program: string,
  args: readonly string[],
  options: StartOptions & { readonly deadlineMs?: number } = {},
): Promise<Exit> {
  const running = start(owner, program, args, options);
  const { deadlineMs = 60_000 } = options;
  try {
    return await within(`${program} to end`, running.exited, deadlineMs, () => running.stderr.slice(-2_000));
  } finally {
    await running.stop(0);
  }
}

/** Starts a module of the project (`spec/upgrade-process`) with this Node. */
export function startScript(
  owner: Owner,
  path: string,
  args: readonly string[],
  options: StartOptions = {},
): Running {
  return start(owner, process.execPath, [...LOADER, modulePath(path), ...args], options);
}

/** Whether something accepts a connection at the address now. */
export function accepts(address: Address): Promise<boolean> {
  return new Promise(resolve => {
    const to =
      address.family === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
    const socket = connect(to);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

interface Output {
  stdout: string;
  stderr: string;
  readonly watchers: Set<() => boolean>;
}

function collect(child: ChildProcess): Output {
  const output: Output = { stdout: '', stderr: '', watchers: new Set() };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text;
      for (const watcher of output.watchers) if (watcher()) output.watchers.delete(watcher);
    });
  }
  return output;
}

function ended(child: ChildProcess, output: Output): Promise<Exit> {
  return new Promise(resolve => {
    child.on('error', error => {
      if (child.pid === undefined) {
        resolve({ exitCode: 127, signal: null, stdout: '', stderr: `${error.message}\n` });
      }
    });
    child.on('close', (code, signal) => {
      const exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
      resolve({ exitCode, signal, stdout: output.stdout, stderr: output.stderr });
    });
  });
}
