/** The stream of the status page: at once, then each second, and never more than a reader takes. */
import t from 'tap';
import { call } from '../support/admin-api.ts';
import { eventually, eventuallyEqual } from '../support/eventually.ts';
import type { Owner } from '../support/owner.ts';
import { connectClient, type SmtpClient } from '../support/smtp-client.ts';
import { madeUpStatus } from './made-up.ts';
import { type Stage, startStage } from './stage.ts';

const GET_EVENTS = 'GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n';

async function subscribed(owner: Owner, { tcp }: Stage): Promise<SmtpClient> {
  const reader = await connectClient(owner, tcp);
  await reader.write(GET_EVENTS);
  await reader.until('\r\n\r\n');
  return reader;
}

/** The next event, without the chunked encoding around it. */
async function event(reader: SmtpClient): Promise<{ readonly instance: string; readonly now: string }> {
  const text = await reader.until(/data: (.*)\n\n/);
  return JSON.parse(Buffer.from(/data: (.*)\n\n/.exec(text)?.[1] ?? '', 'latin1').toString('utf8'));
}

t.test('the first event comes at once, the next ones each second', async t => {
  const stage = await startStage(t);
  const reader = await subscribed(t, stage);
  const startedAt = performance.now();
  t.match(reader.received.toString(), /^HTTP\/1\.1 200 /);
  t.match(reader.received.toString(), /content-type: text\/event-stream\r\n/i);
  t.match(reader.received.toString(), /cache-control: no-store\r\n/i);
  const times = [];
  for (let count = 0; count < 3; count++) {
    t.equal((await event(reader)).instance, 'edge-1');
    times.push(performance.now() - startedAt);
  }
  const [first = 0, , third = 0] = times;
  t.comment(`events after ${times.map(ms => ms.toFixed(0)).join(', ')} ms`);
  t.ok(first < 500, 'at once');
  // A busy machine may be late with one, which makes the next one early.
  t.ok(third - first > 1_600 && third - first < 4_000);
  t.match(reader.received.toString(), /retry: 2000\n/, 'a browser comes back after two seconds');
});

t.test('one document serves all readers, and none is made when nobody reads', async t => {
  const stage = await startStage(t);
  const readers = await Promise.all(Array.from({ length: 30 }, () => subscribed(t, stage)));
  for (const reader of readers) await event(reader);
  const before = stage.documents;
  const seen = [];
  for (const reader of readers) seen.push([(await event(reader)).now, (await event(reader)).now].join());
  const made = stage.documents - before;
  t.comment(`${made} documents for ${2 * readers.length} events`);
  // Two for the events, and those of the history, which come every other second.
  t.ok(made <= 4);
  t.equal(new Set(seen).size, 1, 'all have read the same');

  for (const reader of readers) reader.reset();
  // The history tells the time: it goes on by itself, at a document in two seconds.
  const atEnd = stage.documents;
  await eventually('a sample of the history', () => stage.documents >= atEnd + 1);
  const pauseMs = performance.now();
  await eventually('one more', () => stage.documents >= atEnd + 2);
  t.ok(performance.now() - pauseMs > 1_500, 'no events are made for nobody');
});

t.test('a reader that does not read is let go; others do not notice', async t => {
  const long = madeUpStatus({ instance: 'ü'.repeat(600_000) });
  const stage = await startStage(t, { status: () => long, maxConnections: 3 });
  const deaf = await connectClient(t, stage.tcp);
  deaf.pause();
  await deaf.write(GET_EVENTS);
  const reader = await connectClient(t, stage.tcp, { record: 'digest' });
  await reader.write(GET_EVENTS);
  await eventually('both to be there', () => reader.octets > 0);
  const startedAt = performance.now();
  await eventuallyEqual(
    'the deaf one to be let go',
    async () => {
      // Its place is free again: with it, a connection more and a call would be one too many.
      const more = await connectClient(t, stage.tcp);
      try {
        return (await call(stage.tcp, '/healthz')).status;
      } catch {
        return 0;
      } finally {
        more.destroy();
      }
    },
    200,
  );
  const took = performance.now() - startedAt;
  t.comment(`let go after ${(took / 1_000).toFixed(1)} s with events of 1.2 MB`);
  const { octets } = reader;
  await eventually('one more event', () => reader.octets > octets + 1_000_000);
  t.equal(reader.closing, 'open');
});

t.test('a close ends the streams', async t => {
  const stage = await startStage(t);
  const reader = await subscribed(t, stage);
  await event(reader);
  await stage.admin.close();
  t.not(await reader.closed, 'self');
});

t.test('HEAD and POST are no subscriptions', async t => {
  const { tcp, unix } = await startStage(t);
  t.equal((await call(tcp, '/api/v1/events', { method: 'HEAD' })).status, 404);
  t.equal((await call(unix, '/api/v1/events', { method: 'POST' })).status, 404);
});
