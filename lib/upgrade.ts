import { type ChildProcess, spawn } from 'node:child_process';
import { HANDED_DOWN, type HandedDown } from './inherit.ts';
import type { InheritableSocket } from './shard/listening-sockets.ts';

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

/** Descriptors 0, 1 and 2 are standard input, output and error. */
const FIRST_HANDED_DOWN = 3;

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
    const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
      stdio: ['ignore', 'inherit', 'inherit', ...descriptors, 'ipc'],
      env: { ...env, [HANDED_DOWN]: JSON.stringify(handedDown) },
    });
    return outcome(child, timeoutMs);
  } catch (error) {
    // Some errors of the system are thrown, others come as an event.
    return Promise.resolve(notStarted(error));
  }
}

function outcome(child: ChildProcess, timeoutMs: number): Promise<Successor> {
  return new Promise(resolve => {
    const settle = (found: Successor): void => {
      clearTimeout(deadline);
      child.removeAllListeners();
      child.on('error', () => {});
      // A successor that lives must not keep us, nor we it.
      if (child.connected) child.disconnect();
      child.unref();
      resolve(found);
    };
    const deadline = setTimeout(() => {
      child.kill('SIGKILL');
      settle({
        ok: false,
        why: `the new process was not ready within ${timeoutMs / 1_000} s and has been ended`,
      });
    }, timeoutMs);
    child.on('message', () => settle({ ok: true, pid: child.pid as number }));
    child.on('error', error => settle(notStarted(error)));
    child.on('exit', (code, signal) => {
      const how = signal === null ? `exit status ${code}` : `signal ${signal}`;
      settle({
        ok: false,
        why: `the new process ended before it was ready (${how}); what it printed says why`,
      });
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
  process.send('ready', () => process.disconnect?.());
}
