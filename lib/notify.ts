import { execFile } from 'node:child_process';
import type { Logger } from './core/log.ts';

/**
 * Tells systemd of this process's life (sd_notify(3)), where a unit of Type=notify started it; otherwise does nothing.
 * Node has no datagram sockets for Unix paths, so `systemd-notify` sends for us: the unit needs NotifyAccess=all.
 */
export interface Notifier {
  tell(...words: readonly string[]): void;
  /** Says WATCHDOG=1 twice in each WatchdogSec=, from the loop that carries the sessions; returns how to stop. */
  watch(): () => void;
}

export function createNotifier(env: NodeJS.ProcessEnv, logger: Logger): Notifier {
  const { NOTIFY_SOCKET, WATCHDOG_PID, WATCHDOG_USEC } = env;
  let failed = false;
  const tell = (...words: readonly string[]): void => {
    if (NOTIFY_SOCKET === undefined) return;
    execFile(
      'systemd-notify',
      [`--pid=${process.pid}`, ...words],
      { env: { ...env, NOTIFY_SOCKET } },
      error => {
        if (error !== null && !failed) logger.warn({ err: error }, 'systemd cannot be notified');
        failed = error !== null;
      },
    );
  };
  return {
    tell,
    watch() {
      const ours = WATCHDOG_PID === undefined || WATCHDOG_PID === String(process.pid);
      if (NOTIFY_SOCKET === undefined || WATCHDOG_USEC === undefined || !ours) return () => {};
      const timer = setInterval(() => tell('WATCHDOG=1'), Number(WATCHDOG_USEC) / 2_000);
      return () => clearInterval(timer);
    },
  };
}
