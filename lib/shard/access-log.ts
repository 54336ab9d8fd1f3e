import { printable } from '../core/text.ts';
import type { SessionRecord } from '../session/record.ts';

/**
 * One line a session, its line feed included, as the log's other lines are. It is made where the session ran: a text
 * costs a tenth of what an object costs to hand to another thread. What a client or backend said is cut and escaped;
 * see docs/terminations.md.
 */
export function sessionLine(record: SessionRecord, instance: string): string {
  const { startedAtMs, helloName, ...rest } = record;
  const line = {
    level: 'info',
    time: new Date().toISOString(),
    instance,
    ...rest,
    started: new Date(startedAtMs).toISOString(),
    helloName: printable(helloName),
    queueMs: rounded(record.queueMs),
    connectMs: rounded(record.connectMs),
    greetingMs: rounded(record.greetingMs),
    handshakeMs: record.handshakeMs === null ? null : rounded(record.handshakeMs),
    durationMs: rounded(record.durationMs),
    msg: 'session',
  };
  return `${JSON.stringify(line)}\n`;
}

/** To a tenth: what is below is the clock's and nobody's business. */
function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
