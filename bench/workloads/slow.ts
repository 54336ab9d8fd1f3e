import { startServer } from '../scripts.ts';
import { openClient, type SmtpClient } from '../smtp-client.ts';
import { withFresh } from './fresh.ts';
import { growthMetric } from './memory.ts';
import { pause, type Samples, type Workload } from './workload.ts';

/** What every client has to send: more than all buffers on the way could take. */
const OCTETS = 67_108_864;
/** For the buffers on the way to fill. */
const FILL_MS = 2_000;

/** Senders that are faster than the backend: what is not relayed yet must wait at the sender, not in the balancer. */
export const slow: Workload = {
  name: 'slow',
  says: 'sessions in the midst of 64 MiB for a backend that reads some 600 KiB/s of each',
  count: 50,
  parallel: 1,
  passes: 1,
  metrics: [growthMetric('a slow')],
  async visit(visit): Promise<Samples> {
    const { surroundings, count } = visit;
    if (visit.running.pid === undefined) return {};
    const backend = await startServer(surroundings.children, 'slow-backend.ts');
    try {
      const around = { ...surroundings, backends: [backend.address] as const };
      return await withFresh(visit, around, undefined, async ({ running, growth }) => {
        const body = Buffer.alloc(OCTETS, 'X'.repeat(78).concat('\r\n'));
        const clients: SmtpClient[] = [];
        for (let session = 0; session < count; session++) {
          const client = openClient(running.address);
          clients.push(client);
          await client.greeting();
          for (const line of [
            'EHLO bench.example',
            'MAIL FROM:<from@bench.example>',
            'RCPT TO:<to@bench.example>',
          ])
            await client.ask(`${line}\r\n`, 250);
          await client.ask('DATA\r\n', 354);
          client.send(body);
        }
        await pause(FILL_MS);
        const samples = { growth: await growth(count) };
        if (clients.some(client => client.unsent() === 0))
          throw new Error('a session has taken all: nothing was slow');
        for (const client of clients) client.reset();
        return samples;
      });
    } finally {
      await backend.child.stop();
    }
  },
};
