/** A Redis that answers, but does not do what it is asked. */
import t from 'tap';
import { openLink } from '../../lib/cluster/link.ts';
import { loadScript } from '../../lib/cluster/script.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { redisUrl, startRedis } from '../support/redis.ts';

const redis = needs('redis-server', 'redis-cli');
const reads = loadScript('recall');
const writes = loadScript('claim');

for (const { what, begin, end, reason } of [
  {
    what: 'out of memory',
    begin: 'config set maxmemory 1',
    end: 'config set maxmemory 0',
    reason: /^OOM .*'maxmemory'$/,
  },
  { what: 'read-only', begin: 'replicaof 127.0.0.1 1', end: 'replicaof no one', reason: /^READONLY [^:]*$/ },
]) {
  t.test(`${what}: one line, for as long as it lasts, and no connection after the other`, redis, async t => {
    const { cli, port } = await startRedis(t);
    const log = recordedLog();
    const link = openLink(redisUrl(port), log);
    t.teardown(() => link.close());
    let clients = 0;
    const read = () => link.run(reads, ['{edge}a'], [256]);
    const write = () => link.run(writes, [`{edge}${clients++}`], [256, 'b1', '', 10_000]);
    await eventually('both', async () => (await read()) !== undefined && (await write()) !== undefined);

    await cli(...begin.split(' '));
    let refused = 0;
    let answered = 0;
    await eventually('some that are refused, and some that are not', async () => {
      for (let round = 0; round < 10; round++) {
        refused += (await write()) === undefined ? 1 : 0;
        answered += (await read()) === undefined ? 0 : 1;
      }
      return refused > 30 && answered > 30;
    });
    t.equal(log.lines.length, 2, log.lines.join());
    t.match(link.state(), { status: 'unreachable', reason });
    t.ok(link.state().reconnects <= 2, `${link.state().reconnects} connections made anew`);

    await cli(...end.split(' '));
    await eventually('it to be done again', async () => (await write()) !== undefined);
    t.equal(link.state().status, 'reachable');
    t.same(log.lines.at(-1), 'info: redis is reachable');
    t.equal(log.lines.length, 3);
  });
}

t.test('what was refused and is not asked any more is forgotten', redis, async t => {
  const { cli, port } = await startRedis(t);
  let nowMs = 0;
  const link = openLink(redisUrl(port), recordedLog(), () => nowMs);
  t.teardown(() => link.close());
  const read = () => link.run(reads, ['{edge}a'], [256]);
  await eventually('an answer', async () => (await read()) !== undefined);
  await cli('config', 'set', 'maxmemory', '1');
  t.equal(await link.run(writes, ['{edge}a'], [256, 'b1', '', 10_000]), undefined);
  await read();
  t.equal(link.state().status, 'unreachable');
  nowMs = 10_001;
  await read();
  t.equal(link.state().status, 'reachable');
});
