/** PROOF faults 10 and 11: whatever becomes of a Redis, sessions go on as if nothing had happened. */
import t from 'tap';
import { COMMAND_MS } from '../../lib/cluster/limits.ts';
import { needs } from '../support/needs.ts';
import { startRedis } from '../support/redis.ts';
import { startArena } from './redis-arena.ts';
import { ordeal } from './redis-ordeal.ts';
import { startLateRelay } from './redis-relay.ts';

const redis = { timeout: 300_000, ...needs('redis-server', 'redis-cli') };

t.test('killed with -9, and started again with nothing in it', redis, async t => {
  const server = await startRedis(t);
  const arena = await startArena(t, server);
  await ordeal(t, arena, {
    what: 'killed and started again',
    begin: () => server.process.kill('SIGKILL'),
    isNoticed: true,
    end: () => server.again(),
  });
});

t.test('stopped with SIGSTOP, out of memory, read-only', redis, async t => {
  const server = await startRedis(t);
  const arena = await startArena(t, server);
  await ordeal(t, arena, {
    what: 'stopped for longer than commands may take',
    begin: () => server.process.kill('SIGSTOP'),
    isNoticed: true,
    sessions: 600,
    end: () => server.process.kill('SIGCONT'),
  });
  await ordeal(t, arena, {
    what: 'stopped for a moment, as by a slow command',
    begin: () => server.process.kill('SIGSTOP'),
    sessions: 100,
    end: () => server.process.kill('SIGCONT'),
  });
  await ordeal(t, arena, {
    what: 'out of memory',
    begin: () => server.cli('config', 'set', 'maxmemory', '1'),
    isNoticed: true,
    end: () => server.cli('config', 'set', 'maxmemory', '0'),
  });
  await ordeal(t, arena, {
    what: 'without the replicas it needs for writes',
    begin: () => server.cli('config', 'set', 'min-replicas-to-write', '1'),
    isNoticed: true,
    end: () => server.cli('config', 'set', 'min-replicas-to-write', '0'),
  });
  const other = await startRedis(t);
  await ordeal(t, arena, {
    what: 'a replica, read-only',
    begin: () => server.cli('replicaof', '127.0.0.1', String(other.port)),
    isNoticed: true,
    end: () => server.cli('replicaof', 'no', 'one'),
  });
});

t.test('slow: every command 2 s late', redis, async t => {
  const server = await startRedis(t);
  const relay = await startLateRelay(t, server.port);
  const arena = await startArena(t, server, { way: `redis://127.0.0.1:${relay.port}` });
  await ordeal(t, arena, {
    what: 'every answer 2 s late',
    begin: () => relay.delay(2_000),
    sessions: 700,
    end: () => relay.delay(0),
    healMs: 2_000 + COMMAND_MS,
  });
});

t.test('wiped', redis, async t => {
  const server = await startRedis(t);
  const arena = await startArena(t, server);
  await ordeal(t, arena, {
    what: 'wiped',
    begin: () => server.cli('flushall'),
  });
});
