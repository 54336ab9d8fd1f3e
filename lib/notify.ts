import { execFile } from 'node:child_process';
import type { Logger } from './core/log.ts';

/**
 * Tells systemd of this process's life (sd_notify(3)), where a unit of Type=notify started it; otherwise does nothing.
 * Node has no datagram sockets for Unix paths, so `systemd-notify` sends for us: the unit needs NotifyAccess=all. It is
 * not told our pid, because it would pass that on as MAINPID, and after an upgrade another process is that.
 */
export interface Notifier {
  /** Messages go out one after the other, in the order of these calls. */
  tell(...words: readonly string[]): void;
  /** Says WATCHDOG=1 twice in each WatchdogSec=, from the loop that carries the sessions, until `unwatch`. */
  watch(): void;
  unwatch(): void;
}

/** systemd-notify waits until systemd has read the message, for so long. */
const TIMEOUT_MS = 10_000;

export function createNotifier(env: NodeJS.ProcessEnv, logger: Logger): Notifier {
  const { NOTIFY_SOCKET, WATCHDOG_PID, WATCHDOG_USEC } = env;
  const unsent: (readonly string[])[] = [];
  let failed = false;
  let timer: NodeJS.Timeout | undefined;

  /** Sends the first of them, and then the next. */
  const send = (): void => {
    const [words] = unsent;
    if (words === undefined) return;
    execFile('systemd-notify', words, { env, timeout: TIMEOUT_MS }, error => {
      if (error !== null && !failed) logger.warn({ err: error }, 'systemd cannot be notified');
      failed = error !== null;
      unsent.shift();
      send();
    });
  };
  const tell = (...words: readonly string[]): void => {
    if (NOTIFY_SOCKET === undefined) return;
    unsent.push(words);
    if (unsent.length === 1) send();
  };
  return {
    tell,
    watch() {
      const ours = WATCHDOG_PID === undefined || WATCHDOG_PID === String(process.pid);
      if (NOTIFY_SOCKET === undefined || WATCHDOG_USEC === undefined || !ours) return;
      timer = setInterval(() => {
        // One that waits says it already.
        if (unsent.length === 0) tell('WATCHDOG=1');
      }, Number(WATCHDOG_USEC) / 2_000);
    },
    unwatch: () => clearInterval(timer),
  };
}
