import type { Logger } from '../core/log.ts';
import { printable } from '../core/text.ts';
import type { SessionRecord } from '../session/record.ts';

/** One line a session, at level info. What a client or backend said is cut and escaped; see docs/terminations.md. */
export function logSession(logger: Logger, record: SessionRecord): void {
  const { startedAtMs, helloName, ...rest } = record;
  logger.info(
    {
      ...rest,
      started: new Date(startedAtMs).toISOString(),
      helloName: printable(helloName),
      queueMs: rounded(record.queueMs),
      connectMs: rounded(record.connectMs),
      greetingMs: rounded(record.greetingMs),
      handshakeMs: record.handshakeMs === null ? null : rounded(record.handshakeMs),
      durationMs: rounded(record.durationMs),
    },
    'session',
  );
}

/** To a tenth: what is below is the clock's and nobody's business. */
function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
