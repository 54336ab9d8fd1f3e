/** PROOF faults 12 and 15: an instance dies without a word; clocks step by an hour either way. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { COUNTS_LEASE_MS, HEARTBEAT_MS } from '../../lib/cluster/limits.ts';
import { needs } from '../support/needs.ts';
import { startRedis } from '../support/redis.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { keys, startArena } from './redis-arena.ts';
import { type Control, openControl } from './redis-control.ts';
import { ordeal } from './redis-ordeal.ts';

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

t.test('an instance killed with -9', { timeout: 300_000, ...needs(...programs) }, async t => {
  const server = await startRedis(t);
  const arena = await startArena(t, server);
  const victim = await arena.another('three');
  await arena.hold(victim, 3);
  await arena.countsAreTrue([victim]);
  await ordeal(t, arena, {
    what: 'an instance killed',
    others: [victim],
    begin: () => victim.command.process.kill('SIGKILL'),
    // Its sessions count until its lease has ended.
    healMs: COUNTS_LEASE_MS + HEARTBEAT_MS,
  });
});

t.test(
  'the clock of one instance steps by an hour',
  { timeout: 300_000, ...needs(...programs, 'faketime') },
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

t.test('the clock of Redis steps by an hour', { timeout: 300_000, ...needs(...programs) }, async t => {
  const server = await startRedis(t);
  const arena = await startArena(t, server);
  const control = openControl(t, server);
  await ordeal(t, arena, { what: 'an hour forward', begin: () => stepClock(control, HOUR_MS) });
  await ordeal(t, arena, { what: 'an hour back', begin: () => stepClock(control, -HOUR_MS) });
});
