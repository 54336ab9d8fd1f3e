/** PROOF faults 12 and 15: an instance dies without a word; clocks step by an hour either way. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { COUNTS_LEASE_MS, HEARTBEAT_MS } from '../../lib/cluster/limits.ts';
import type { IpAddress } from '../../lib/core/address.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import { startRedis } from '../support/redis.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { keys, startArena } from './redis-arena.ts';
import { type Control, openControl } from './redis-control.ts';
import { ordeal } from './redis-ordeal.ts';
import { waited } from './redis-traffic.ts';

const programs = ['redis-server', 'redis-cli'] as const;
const HOUR_MS = 3_600_000;
const LIBRARY = '/usr/$LIB/faketime/libfaketime.so.1';

/** A wall clock that can be set for what runs with its environment; the monotonic clock stays what it is. */
async function startClock(t: Test) {
  const file = join(await temporaryDirectory(t), 'clock');
  const set = (offset: string) => writeFileSync(file, `${offset}\n`);
  set('+0');
  const env = {
    LD_PRELOAD: LIBRARY,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    DONT_FAKE_MONOTONIC: '1',
  };
  return { set, env };
}

t.test('an instance killed with -9', { timeout: 120_000, ...needs(...programs) }, async t => {
  const server = await startRedis(t);
  const { edges, streams, traffic } = await startArena(t, server);
  const [survivor, victim] = edges;
  await traffic.more(250);
  const before = traffic.served.length;
  const ports = ['limited', 'capped', 'sticky'].map(
    name => (victim.command.addressOf(name) as IpAddress).port,
  );
  for (const stream of streams) if (ports.includes(stream.to.port)) traffic.without(stream);
  await traffic.more(50);
  const from = traffic.served.length;
  const seen = async () => {
    const counted =
      (await survivor.command.metrics()).samples.get('smtplb_cluster_backend_sessions_active') ?? [];
    return counted
      .filter(({ labels }) => labels.get('pool') === 'held')
      .reduce((sum, { value }) => sum + value, 0);
  };
  const both = survivor.held.length + victim.held.length;
  t.equal(await seen(), both);
  victim.command.process.kill('SIGKILL');
  const killedMs = performance.now();
  await eventually('its counts to vanish', async () => (await seen()) === survivor.held.length);
  const goneMs = performance.now() - killedMs;
  await traffic.more(100);
  const since = traffic.served.slice(from);
  t.comment(`the ${victim.held.length} sessions of the dead were forgotten after ${goneMs.toFixed()} ms`);
  t.comment(
    `greeting at the other after ${waited(since, 0.99).toFixed(1)} ms at the 99th percentile, ` +
      `${waited(traffic.served.slice(0, before), 0.99).toFixed(1)} ms before`,
  );
  for (const { msg } of survivor.lines()) t.comment(`log of the other: ${msg}`);
  t.ok(goneMs < COUNTS_LEASE_MS + 2 * HEARTBEAT_MS);
  t.same(
    since.filter(({ fault }) => fault !== null).map(({ fault }) => fault),
    [],
    'no session failed at the other',
  );
});

t.test(
  'the clock of one instance steps by an hour',
  { timeout: 120_000, ...needs(...programs, 'faketime') },
  async t => {
    const server = await startRedis(t);
    const clock = await startClock(t);
    const under = ['env', ...Object.entries(clock.env).map(([name, value]) => `${name}=${value}`)];
    const arena = await startArena(t, server, { start: [{}, { under }] });
    await ordeal(t, arena, { what: 'an hour forward', begin: () => clock.set('+3600'), lines: 0 });
    await ordeal(t, arena, { what: 'two hours back', begin: () => clock.set('-3600'), lines: 0 });
  },
);

/**
 * What a step of the clock of Redis leaves behind: all times in it are off by that, and what expires within it is gone. (A
 * redis-server does not start under libfaketime.)
 */
function stepClock(control: Control, ms: number): Promise<unknown> {
  const script = `
    local step = tonumber(ARGV[2])
    local function earlier(text) return string.format('%.0f', tonumber(text) - step) end
    for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
      local kind = redis.call('TYPE', key)['ok']
      if kind == 'zset' then
        local all = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
        for at = 1, #all, 2 do redis.call('ZADD', key, earlier(all[at + 1]), all[at]) end
      elseif kind == 'hash' then
        local all = redis.call('HGETALL', key)
        for at = 1, #all, 2 do
          -- Times are the only numbers of thirteen digits.
          redis.call('HSET', key, all[at], (string.gsub(all[at + 1], '%f[%d]%d%d%d%d%d%d%d%d%d%d%d%d%d%f[%D]', earlier)))
        end
      end
      local left = redis.call('PTTL', key)
      if left > 0 and left <= step then redis.call('DEL', key) elseif left > 0 then redis.call('PEXPIRE', key, left - step) end
    end`;
  return control('eval', script, 0, `${keys.prefix}*`, ms);
}

t.test('the clock of Redis steps by an hour', { timeout: 120_000, ...needs(...programs) }, async t => {
  const server = await startRedis(t);
  const arena = await startArena(t, server);
  const control = openControl(t, server);
  await ordeal(t, arena, { what: 'an hour forward', begin: () => stepClock(control, HOUR_MS) });
  await ordeal(t, arena, { what: 'an hour back', begin: () => stepClock(control, -HOUR_MS) });
});
