import { destination, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** Name of the instance, on every line. */
  readonly instance: string;
  /** Takes each line, its line feed included; standard output unless given. */
  readonly out?: LineWriter;
}

export interface LineWriter {
  write(line: string): void;
}

export interface Log {
  readonly logger: Logger;
  /** Writes lines that are made already, each with its line feed; they count as `info`. */
  readonly write: (lines: readonly string[]) => void;
  /** Lines that were thrown away because whoever reads the log does not keep up. */
  readonly dropped: () => number;
}

/** Held for a reader of the log that is slow; beyond it lines are dropped and counted, and no session waits. */
const HELD_OCTETS = 8 * 1_048_576;

/**
 * JSON lines, written off the sessions' path: the process goes on while the disk or pipe is busy, and does not end
 * before the last line is out. A synchronous flush would overtake the write that is under way.
 */
export function createLog({ level, instance, out }: LogOptions): Log {
  const sink = out === undefined ? standardOutput() : { out, dropped: () => 0 };
  const logger = pino(
    {
      level,
      base: { instance },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: label => ({ level: label }) },
    },
    sink.out,
  );
  const write = (lines: readonly string[]): void => {
    if (!logger.isLevelEnabled('info')) return;
    for (const line of lines) sink.out.write(line);
  };
  return { logger, write, dropped: sink.dropped };
}

function standardOutput() {
  let dropped = 0;
  const out = destination({ dest: 1, sync: false, maxLength: HELD_OCTETS });
  out.on('drop', () => dropped++);
  // A reader that is gone (EPIPE) must not end the mail.
  out.on('error', () => {});
  return { out, dropped: () => dropped };
}
