import { type ChildProcess, spawn } from 'node:child_process';

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

/** All processes of one run: none outlives it, and none dies unnoticed. */
export interface Children {
  /** Starts a program that is to run until stopped. If it ends before, `failed` rejects with its stderr. */
  start(program: string, args: readonly string[]): Child;
  /** Runs a program to its end. Rejects with its stderr where its exit status is not 0, or after ten minutes. */
  run(program: string, args: readonly string[]): Promise<void>;
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

  function launch(program: string, args: readonly string[]) {
    // In a process group of its own: Ctrl-C reaches us alone, and its own children can be ended with it.
    const child = spawn(program, args, { detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
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

  function start(program: string, args: readonly string[]): Child {
    const { child, ended } = launch(program, args);
    let stopping = false;
    const gone = ended.then(fault => {
      running.delete(child);
      if (!stopping) fail(new Error(`${program} ended by itself: ${fault ?? 'exit status 0'}`));
    });
    async function stop(): Promise<void> {
      stopping = true;
      child.kill('SIGTERM');
      const deadline = setTimeout(() => killGroup(child), STOP_MS);
      await gone;
      clearTimeout(deadline);
    }
    const handle = { pid: child.pid ?? 0, stop };
    running.set(child, handle);
    return handle;
  }

  async function run(program: string, args: readonly string[]): Promise<void> {
    const { child, ended } = launch(program, args);
    running.set(child, { pid: child.pid ?? 0, stop: async () => void child.kill('SIGKILL') });
    const deadline = setTimeout(() => killGroup(child), RUN_MS);
    const fault = await ended;
    clearTimeout(deadline);
    running.delete(child);
    if (fault !== undefined) throw new Error(`${program} ${args.join(' ')}: ${fault}`);
  }

  /** A client may notice that a program has died before we hear why: the reason is the better report. */
  async function explain(error: unknown): Promise<never> {
    await Promise.race([failed, new Promise(resolve => setTimeout(resolve, EXPLAIN_MS))]);
    throw error;
  }

  return {
    start,
    run,
    guard: work => Promise.race([failed, work.catch(explain)]),
    stopAll: async () => void (await Promise.all([...running.values()].map(child => child.stop()))),
    killAll: () => [...running.keys()].forEach(killGroup),
  };
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}
