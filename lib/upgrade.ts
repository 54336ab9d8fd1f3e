import { type ChildProcess, spawn } from 'node:child_process';
import { HANDED_DOWN, type HandedDown } from './inherit.ts';
import type { InheritableSocket } from './shard/sockets.ts';

export interface SuccessorOptions {
  readonly sockets: readonly InheritableSocket[];
  readonly operator: HandedDown['operator'];
  /** Milliseconds for the successor to say that it is ready. */
  readonly timeoutMs: number;
}

export type Successor =
  | { readonly ok: true; readonly pid: number }
  /** Why there is none; nothing has changed. */
  | { readonly ok: false; readonly why: string };

/** Descriptors 0, 1 and 2 are standard input, output and error; over 3 the shell tells the successor's pid. */
const FIRST_HANDED_DOWN = 4;

/**
 * A shell starts the successor in the background and leaves, so that it is init's child and not ours. A systemd that
 * is told MAINPID waits only for its own children: at a stop it would end any other at once, and its sessions with it.
 */
const DETACH = '"$0" "$@" 3>&- & echo $! >&3';

/**
 * Starts this program anew, from its file as it is now, with the same arguments and with our listening sockets, and
 * resolves when it has said that it is ready. From then on both accept; connections that wait in the sockets' queues
 * are lost by neither.
 */
export function startSuccessor({ sockets, operator, timeoutMs }: SuccessorOptions): Promise<Successor> {
  const descriptors = sockets.map(({ descriptor }) => descriptor);
  if (!descriptors.every(descriptor => descriptor !== undefined)) {
    return Promise.resolve({
      ok: false,
      why: 'this version of Node does not tell the descriptors of its sockets',
    });
  }
  const handedDown: HandedDown = {
    sockets: sockets.map(({ listener, address, foreign }, at) => ({
      listener,
      address,
      foreign,
      fd: FIRST_HANDED_DOWN + at,
    })),
    operator,
  };
  // The watchdog that systemd wants to hear is whoever is the main process; it will be the successor.
  const { WATCHDOG_PID: _, ...env } = process.env;
  try {
    const child = spawn(
      '/bin/sh',
      ['-c', DETACH, process.execPath, ...process.execArgv, ...process.argv.slice(1)],
      {
        stdio: ['ignore', 'inherit', 'inherit', 'pipe', ...descriptors, 'ipc'],
        env: { ...env, [HANDED_DOWN]: JSON.stringify(handedDown) },
      },
    );
    return outcome(child, timeoutMs);
  } catch (error) {
    // Some errors of the system are thrown, others come as an event.
    return Promise.resolve(notStarted(error));
  }
}

/** Whoever it is, it is at the other end of the channel: that says when it is ready, or gone. */
function outcome(child: ChildProcess, timeoutMs: number): Promise<Successor> {
  let pid = 0;
  child.stdio[3]?.on('data', (text: Buffer) => {
    pid = Number(text);
  });
  return new Promise(resolve => {
    const settle = (found: Successor): void => {
      clearTimeout(deadline);
      child.removeAllListeners();
      child.on('error', () => {});
      child.stdio[3]?.destroy();
      if (child.connected) child.disconnect();
      child.unref();
      resolve(found);
    };
    const deadline = setTimeout(() => {
      if (pid > 0) process.kill(pid, 'SIGKILL');
      settle({
        ok: false,
        why: `the new process was not ready within ${timeoutMs / 1_000} s and has been ended`,
      });
    }, timeoutMs);
    // Its own word for its pid: what the shell said of it may still be on its way.
    child.on('message', own => settle({ ok: true, pid: Number(own) }));
    child.on('error', error => settle(notStarted(error)));
    child.on('disconnect', () => {
      settle({ ok: false, why: 'the new process ended before it was ready; what it printed says why' });
    });
  });
}

function notStarted(error: unknown): Successor {
  const why = error instanceof Error ? error.message : String(error);
  return { ok: false, why: `the new process cannot be started: ${why}` };
}

/** Tells a predecessor, if there is one, that this process has taken over. */
export function tellPredecessor(): void {
  if (process.send === undefined) return;
  process.send(process.pid, () => process.disconnect?.());
}
