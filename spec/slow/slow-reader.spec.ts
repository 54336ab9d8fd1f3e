/** PROOF fault 7: a gigabyte of DATA through a backend that reads slowly, in a balancer of its own process. */
import { createHash } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import t from 'tap';
import { type Command, megabytes, startCommand } from '../support/command.ts';
import { eventually, within } from '../support/eventually.ts';
import { mx, WITH_NET } from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { connectClient } from '../support/smtp-client.ts';

const GIGABYTE = 1_000_000_000;
/** Octets a second that the reader takes, in gulps with pauses between: the sender is always ahead. */
const PACE = 60_000_000;
const GULP = 3_000_000;

interface SlowReader {
  readonly address: string;
  /** Resolves with the octets' SHA-256 and their number when the sender has closed its side. */
  readonly finished: Promise<{ readonly digest: string; readonly octets: number }>;
}

async function startSlowReader(owner: Owner): Promise<SlowReader> {
  const hash = createHash('sha256');
  let octets = 0;
  let gulp = 0;
  let finish: (result: { digest: string; octets: number }) => void = () => {};
  const finished = new Promise<{ digest: string; octets: number }>(resolve => {
    finish = resolve;
  });
  const read = (socket: Socket): void => {
    socket.write('220 slow.example ESMTP\r\n');
    socket.on('data', chunk => {
      hash.update(chunk);
      octets += chunk.length;
      gulp += chunk.length;
      if (gulp < GULP) return;
      socket.pause();
      setTimeout(() => socket.resume(), (gulp / PACE) * 1_000);
      gulp = 0;
    });
    socket.on('end', () => {
      finish({ digest: hash.digest('hex'), octets });
      socket.end('250 2.0.0 all of it\r\n');
    });
    socket.on('error', () => {});
  };
  const server = createServer({ allowHalfOpen: true }, read);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  owner.teardown(() => server.close());
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  return { address: `127.0.0.1:${bound.port}`, finished };
}

/** Follows the process's resident memory until told to stop; resolves with the highest value. */
function watch({ usage }: Command): () => number {
  let highest = usage().rss;
  const timer = setInterval(() => {
    highest = Math.max(highest, usage().rss);
  }, 20);
  return () => {
    clearInterval(timer);
    return highest;
  };
}

for (const transport of WITH_NET) {
  t.test(
    `${transport}: memory stays flat while a gigabyte waits for a slow reader`,
    { timeout: 300_000 },
    async t => {
      const reader = await startSlowReader(t);
      const command = await startCommand(t, { ...mx([reader.address]), transport });
      const client = await connectClient(t, command.address);
      await client.expect(220);

      const hash = createHash('sha256').update('DATA\r\n');
      await client.send('DATA');
      const block = Buffer.allocUnsafe(1_000_000);
      for (let at = 0; at < block.length; at++) block[at] = (at * 2_654_435_761) >>> 11;
      const startedAt = performance.now();
      // A fifth first, for the runtime to find its size: what counts is that the rest adds nothing.
      const send = async (octets: number): Promise<number> => {
        const stop = watch(command);
        for (let left = octets; left > 0; left -= block.length) {
          block.writeUInt32BE(left >>> 0, 17); // no two blocks are alike
          hash.update(block);
          await client.write(block);
        }
        return stop();
      };
      const warm = await send(GIGABYTE / 5);
      const highest = await send((GIGABYTE * 4) / 5);
      client.end();
      const received = await within('the last octet', reader.finished, 60_000);
      await client.expect(250);
      const seconds = (performance.now() - startedAt) / 1_000;
      t.comment(
        `1 GB in ${seconds.toFixed(1)} s; memory at most ${megabytes(warm)} in the first fifth, ${megabytes(highest)} after: ${megabytes(highest - warm)} of growth`,
      );
      t.equal(received.octets, GIGABYTE + 'DATA\r\n'.length);
      t.equal(received.digest, hash.digest('hex'));
      t.ok(highest - warm < 32_000_000, 'flat: a thirtieth of what was held back');
      t.ok(seconds > 10, 'the reader was slow indeed');
      await command.idle();
      const record = await eventually('its log line', () => command.sessions()[0]);
      t.match(record, { cause: 'normal', bytesFromClient: GIGABYTE + 'DATA\r\n'.length });
    },
  );
}
