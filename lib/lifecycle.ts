import type { Admin } from './admin/admin.ts';
import type { Outcome } from './admin/control.ts';
import type { OperatorState } from './admin/operator-state.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Log } from './core/log.ts';
import type { Notifier } from './notify.ts';
import { startSuccessor } from './upgrade.ts';

export interface LifecycleOptions {
  readonly plane: ControlPlane;
  readonly operator: OperatorState;
  readonly log: Log;
  readonly notifier: Notifier;
  /** Null until it has been started. */
  readonly admin: () => Admin | null;
  /** What else ends with the instance. */
  readonly onStop: () => Promise<void>;
}

/** How an instance ends: told to stop, or relieved by a successor. */
export interface Lifecycle {
  /** Why no new sessions are taken, or null while they are. */
  readonly stopping: 'stopping' | null;
  /** A successor has been started and is not ready yet. */
  readonly upgrading: boolean;
  /** Resolves when the instance is over. */
  readonly stopped: Promise<void>;
  /**
   * Stops accepting and resolves when the last session is over, at the latest after `drainTimeout`. Called again, it
   * ends the sessions that are left now.
   */
  stop(): Promise<void>;
  /** Hands the listening sockets to a new process, and drains when that is ready; if it is not, nothing changes. */
  upgrade(): Promise<Outcome>;
}

/** A new process has this long to read its configuration and listen, before it is given up. */
const UPGRADE_TIMEOUT_MS = 30_000;

export function createLifecycle(options: LifecycleOptions): Lifecycle {
  const { admin, log, notifier, operator, plane } = options;
  const { logger } = log;
  let stopping: Promise<void> | null = null;
  let upgrading = false;
  let resolveStopped = (): void => {};
  const stopped = new Promise<void>(resolve => {
    resolveStopped = resolve;
  });

  const drain = async (handedOver: boolean): Promise<void> => {
    const { data } = plane;
    const { drainTimeoutMs } = plane.config;
    const deadline = setTimeout(() => {
      logger.warn({ sessions: data.sessions }, 'drainTimeout is over: ending the sessions that are left');
      data.cut();
    }, drainTimeoutMs);
    // The successor's doors are open by now; ours would answer for the wrong instance.
    if (handedOver) await admin()?.close(true);
    await data.close(handedOver);
    const { sessions } = data;
    const drained = data.drain(handedOver);
    // Not before the doors are closed: who reads it may rely on it.
    logger.info({ sessions, drainTimeoutMs }, 'stopping: no new sessions');
    await drained;
    clearTimeout(deadline);
    if (!handedOver) await admin()?.close();
    await options.onStop();
    logger.info('stopped');
    resolveStopped();
  };

  const upgrade = async (): Promise<Outcome> => {
    const doors = admin()?.inheritable ?? [];
    const successor = await startSuccessor({
      sockets: [...plane.data.inheritable, ...doors.map(door => ({ listener: '', ...door }))],
      operator: operator.entries(),
      timeoutMs: UPGRADE_TIMEOUT_MS,
    });
    if (!successor.ok) {
      logger.error({ why: successor.why }, 'upgrade: carrying on');
      return { ok: false, message: `${successor.why}\nthis process (${process.pid}) carries on` };
    }
    if (stopping !== null) {
      // Whoever said "stop" meant the instance, not this process.
      process.kill(successor.pid, 'SIGTERM');
      return { ok: false, message: 'this instance was told to stop meanwhile, and so was the new process' };
    }
    // The watchdog is the successor's from now on: ours would hide that it hangs.
    notifier.unwatch();
    notifier.tell(`MAINPID=${successor.pid}`);
    const sessions = plane.data.sessions;
    logger.info({ successor: successor.pid, sessions }, 'upgrade: the successor is ready');
    const finishing = `${sessions} sessions are finishing in process ${process.pid}`;
    // The answer goes out before its door is closed.
    setImmediate(() => {
      stopping ??= drain(true);
    });
    return { ok: true, message: `process ${successor.pid} has taken over; ${finishing}` };
  };

  return {
    get stopping() {
      return stopping === null ? null : 'stopping';
    },
    get upgrading() {
      return upgrading;
    },
    stopped,
    stop() {
      if (stopping === null) {
        notifier.tell('STOPPING=1');
        stopping = drain(false);
      } else {
        plane.data.cut();
      }
      return stopping;
    },
    async upgrade() {
      if (upgrading || stopping !== null) {
        return { ok: false, message: upgrading ? 'an upgrade is under way' : 'this instance is stopping' };
      }
      upgrading = true;
      try {
        return await upgrade();
      } finally {
        upgrading = false;
      }
    },
  };
}
