import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** How long a child has to end when asked, before it is made to. */
const STOP_MS = 3_000;
/** How long a program may take that is run to its end: one that hangs must not hang us. */
const RUN_MS = 600_000;
/** How long a failure waits for the death that may have caused it. */
const EXPLAIN_MS = 300;
/** Characters of a child's stderr that are kept for the report of its end. */
const STDERR_CHARS = 4_000;

/** A program that runs until it is stopped. */
export interface Child {
  readonly pid: number;
  /** Ends it, by TERM and then KILL; resolves when it is gone. Never rejects; may be called again. */
  stop(): Promise<void>;
}

/** What a program that would not start said about it. */
export class Refusal extends Error {}

export interface ProgramOptions {
  /** `read`: a process of its own reads all of it and throws it away, as a log's reader would. Default: nowhere. */
  readonly stdout?: 'read';
}

/** All processes of one run: none outlives it, and none dies unnoticed. */
export interface Children {
  /** Starts a program that is to run until stopped. If it ends before, `failed` rejects with its stderr. */
  start(program: string, args: readonly string[]): Child;
  /**
   * The same for a program that may refuse to start: rejects with a Refusal where it ends before `ready` has
   * resolved, and otherwise as `ready` does. `ready` is told by the signal that nobody waits for it any more.
   */
  tryStart(
    program: string,
    args: readonly string[],
    ready: (signal: AbortSignal) => Promise<void>,
    options?: ProgramOptions,
  ): Promise<Child>;
  /** Starts a program that says in a line on stdout when it is ready; resolves with that line. */
  announce(
    program: string,
    args: readonly string[],
  ): Promise<{ readonly child: Child; readonly line: string }>;
  /** Runs a program to its end; resolves with its stdout. Rejects where its status is not 0, or after ten minutes. */
  run(program: string, args: readonly string[]): Promise<string>;
  /** Settles as `work` does, or rejects as soon as a started program has died. */
  guard<T>(work: Promise<T>): Promise<T>;
  /** Ends whatever still runs; resolves when all are gone. */
  stopAll(): Promise<void>;
  /** The same at once and without waiting, for the last moment of this process. */
  killAll(): void;
}

export function createChildren(): Children {
  const running = new Map<ChildProcess, Child>();
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  // Whoever waits on a guard hears of it; without one there is nobody to tell.
  failed.catch(() => {});

  /** `died` hears of an end that nobody asked for. */
  function launch(program: string, args: readonly string[], stdio: Stdout, died: (fault: string) => void) {
    const { child, ended } = spawnOne(program, args, stdio);
    let stopping = false;
    const gone = ended.then(fault => {
      running.delete(child);
      if (!stopping) died(fault ?? 'exit status 0');
    });
    async function stop(): Promise<void> {
      stopping = true;
      child.kill('SIGTERM');
      const deadline = setTimeout(() => killGroup(child), STOP_MS);
      await gone;
      clearTimeout(deadline);
    }
    const handle: Child = { pid: child.pid ?? 0, stop };
    running.set(child, handle);
    return { child, handle };
  }

  function failWith(program: string) {
    return (fault: string) => fail(new Error(`${program} ended by itself: ${fault}`));
  }

  function start(program: string, args: readonly string[]): Child {
    return launch(program, args, 'ignore', failWith(program)).handle;
  }

  /** A reader of its own for what a program writes; it ends with the program. */
  function reader(): Exclude<Stdout, string> {
    const { child } = launch('cat', [], 'reader', () => {});
    if (child.stdin === null) throw new Error('cat was started without stdin');
    return child.stdin;
  }

  async function tryStart(
    program: string,
    args: readonly string[],
    ready: (signal: AbortSignal) => Promise<void>,
    options: ProgramOptions = {},
  ): Promise<Child> {
    const stdout = options.stdout === 'read' ? reader() : 'ignore';
    const abort = new AbortController();
    let died: (fault: string) => void = () => {};
    const refused = new Promise<never>((_, reject) => {
      died = fault => reject(new Refusal(fault));
    });
    const { handle } = launch(program, args, stdout, fault => died(fault));
    // The program has its own copy of the pipe; while we kept ours, the reader would wait for more.
    if (typeof stdout !== 'string') stdout.destroy();
    try {
      await Promise.race([refused, ready(abort.signal)]);
    } catch (error) {
      abort.abort();
      await handle.stop();
      throw error;
    }
    died = failWith(program);
    return handle;
  }

  async function announce(program: string, args: readonly string[]) {
    const { child, handle } = launch(program, args, 'pipe', failWith(program));
    if (child.stdout === null) throw new Error(`${program} was started without stdout`);
    const lines = createInterface(child.stdout);
    const line = await Promise.race([failed, new Promise<string>(resolve => lines.once('line', resolve))]);
    return { child: handle, line };
  }

  async function run(program: string, args: readonly string[]): Promise<string> {
    const { child, ended } = spawnOne(program, args, 'pipe');
    let stdout = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    running.set(child, { pid: child.pid ?? 0, stop: async () => void child.kill('SIGKILL') });
    const deadline = setTimeout(() => killGroup(child), RUN_MS);
    const fault = await ended;
    clearTimeout(deadline);
    running.delete(child);
    if (fault !== undefined) throw new Error(`${program} ${args.join(' ')}: ${fault}`);
    return stdout;
  }

  /** A client may notice that a program has died before we hear why: the reason is the better report. */
  async function explain(error: unknown): Promise<never> {
    await Promise.race([failed, new Promise(resolve => setTimeout(resolve, EXPLAIN_MS))]);
    throw error;
  }

  return {
    start,
    tryStart,
    announce,
    run,
    guard: work => Promise.race([failed, work.catch(explain)]),
    stopAll: async () => void (await Promise.all([...running.values()].map(child => child.stop()))),
    killAll: () => [...running.keys()].forEach(killGroup),
  };
}

/** Where a child's stdout goes; `reader` is one whose stdin is ours instead. */
type Stdout = 'ignore' | 'pipe' | 'reader' | NonNullable<ChildProcess['stdin']>;

/** `ended` resolves with what went wrong, or undefined for exit status 0. */
function spawnOne(program: string, args: readonly string[], stdout: Stdout) {
  // In a process group of its own: Ctrl-C reaches us alone, and its own children can be ended with it.
  const options: SpawnOptions = {
    detached: true,
    stdio: stdout === 'reader' ? ['pipe', 'ignore', 'pipe'] : ['ignore', stdout, 'pipe'],
  };
  const child = spawn(program, args, options);
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_CHARS);
  });
  const ended = new Promise<string | undefined>(resolve => {
    child.once('error', error => resolve(error.message));
    child.once('close', (code, signal) => {
      const how = signal ?? `exit status ${code}`;
      resolve(code === 0 ? undefined : `${how}${stderr === '' ? '' : `\n${stderr.trimEnd()}`}`);
    });
  });
  return { child, ended };
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}
