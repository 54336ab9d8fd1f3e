/** The stream of the status page: at once, then each second, and never more than a reader takes. */
import t from 'tap';
import { call } from '../support/admin-api.ts';
import { eventually, eventuallyEqual, within } from '../support/eventually.ts';
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

// They wait more than they do.
t.test('in time', async t => {
  t.jobs = 3;
  void t.test('the first event comes at once, the next ones each second', async t => {
    const stage = await startStage(t);
    const reader = await subscribed(t, stage);
    // A whole call later, which is far less than a second, it is there.
    t.equal((await call(stage.tcp, '/healthz')).status, 200);
    t.match(reader.received.toString(), /\ndata: /, 'at once');
    t.match(reader.received.toString(), /^HTTP\/1\.1 200 /);
    t.match(reader.received.toString(), /content-type: text\/event-stream\r\n/i);
    t.match(reader.received.toString(), /cache-control: no-store\r\n/i);
    const times = [];
    for (let count = 0; count < 3; count++) {
      const { instance, now } = await event(reader);
      t.equal(instance, 'edge-1');
      times.push(Date.parse(now));
    }
    // When they were made: a busy machine may read them late, and make one late.
    const [first = 0, , third = 0] = times;
    t.comment(`the third was made ${third - first} ms after the first`);
    t.ok(third - first >= 1_950 && third - first < 10_000);
    t.match(reader.received.toString(), /retry: 2000\n/, 'a browser comes back after two seconds');
  });

  void t.test('one document serves all readers, and none is made when nobody reads', async t => {
    const stage = await startStage(t);
    const readers = await Promise.all(Array.from({ length: 30 }, () => subscribed(t, stage)));
    // All read from the same event on, however many some have had before it.
    const from = Date.now();
    const before = stage.documents;
    const seen = await Promise.all(
      readers.map(async reader => {
        let { now } = await event(reader);
        while (Date.parse(now) <= from) ({ now } = await event(reader));
        return [now, (await event(reader)).now].join();
      }),
    );
    const made = stage.documents - before;
    t.comment(`${made} documents for ${2 * readers.length} events`);
    t.ok(made < readers.length, 'two for the events, and now and then one for the history');
    t.equal(new Set(seen).size, 1, 'all have read the same');

    for (const reader of readers) reader.reset();
    // The history goes on by itself, at a document in two seconds; with events it were three in that time.
    const atEnd = stage.documents;
    const resetAt = performance.now();
    await eventually('three samples of the history', () => stage.documents >= atEnd + 3);
    const tookMs = performance.now() - resetAt;
    t.comment(`three documents more in ${tookMs.toFixed()} ms`);
    t.ok(tookMs > 2_500, 'no events are made for nobody');
  });

  void t.test('a reader that does not read is let go; others do not notice', async t => {
    const long = madeUpStatus({ instance: 'ü'.repeat(600_000) });
    const stage = await startStage(t, { status: () => long, maxConnections: 3 });
    const deaf = await connectClient(t, stage.tcp, { record: 'digest' });
    deaf.pause();
    await deaf.write(GET_EVENTS);
    const reader = await connectClient(t, stage.tcp, { record: 'digest' });
    await reader.write(GET_EVENTS);
    const startedAt = performance.now();
    await eventuallyEqual(
      'the deaf one to be let go',
      async () => {
        // Its place is free again: with it, a connection more and a call would be one too many. That one is answered, so
        // that it is sure to have a place while the call asks for another.
        const more = await connectClient(t, stage.tcp);
        try {
          await more.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
          await more.until('HTTP/1.1 200 ');
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
    // What it finds when it listens at last is no more than the kernel has kept for it, and the end.
    deaf.resume();
    t.match(await within('the end', deaf.closed), /^(?:fin|rst)$/);
    t.comment(`it was left ${deaf.octets} octets`);
    const { octets } = reader;
    await eventually('one more event', () => reader.octets > octets + 1_000_000);
    t.equal(reader.closing, 'open');
  });
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
