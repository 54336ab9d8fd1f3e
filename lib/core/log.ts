import { destination, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** Name of the instance, on every line. */
  readonly instance: string;
  /** File descriptor to write to; 1 unless told. */
  readonly fd?: number;
}

export interface Log {
  readonly logger: Logger;
  /** Lines that were thrown away because whoever reads the log does not keep up. */
  readonly dropped: () => number;
  /** Writes what is still held; for the end of the process. */
  readonly flush: () => void;
}

/** Held for a reader of the log that is slow; beyond it lines are dropped and counted, and no session waits. */
const HELD_OCTETS = 8 * 1_048_576;

/** JSON lines, written off the sessions' path: the process goes on while the disk or pipe is busy. */
export function createLog(options: LogOptions): Log {
  let dropped = 0;
  const out = destination({ dest: options.fd ?? 1, sync: false, maxLength: HELD_OCTETS });
  out.on('drop', () => dropped++);
  // A reader that is gone (EPIPE) must not end the mail.
  out.on('error', () => {});
  const logger = pino(
    {
      level: options.level,
      base: { instance: options.instance },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: label => ({ level: label }) },
    },
    out,
  );
  return {
    logger,
    dropped: () => dropped,
    flush() {
      try {
        out.flushSync();
      } catch {
        // Nothing was opened yet, or the reader is gone.
      }
    },
  };
}
