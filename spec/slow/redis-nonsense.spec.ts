/** Somebody else writes to the cluster's keys: nonsense, values of other types, megabytes. Sessions do not notice. */
import t from 'tap';
import { needs } from '../support/needs.ts';
import { startRedis } from '../support/redis.ts';
import { keys, startArena } from './redis-arena.ts';
import { type Control, openControl } from './redis-control.ts';
import { ordeal } from './redis-ordeal.ts';

const redis = { timeout: 300_000, ...needs('redis-server', 'redis-cli') };

/** How often every key is replaced. */
const BLOWS = 5;

/** Each for all keys there are, as a script; `k` is the key, `kind` its type, `fields` those of a hash. */
const SPOILERS = {
  'another type: a string': `redis.call('DEL', k) redis.call('SET', k, 'nonsense')`,
  'another type: a list': `redis.call('DEL', k) redis.call('RPUSH', k, 'non', 'sense')`,
  'another type: a set': `redis.call('DEL', k) redis.call('SADD', k, 'non', 'sense')`,
  'nonsense in every field': `
    if kind == 'hash' then for _, f in ipairs(fields) do redis.call('HSET', k, f, '{"c":{"held/b1":1e999},"r":-1') end
    elseif kind == 'zset' then redis.call('ZADD', k, '9e15', 'nonsense', '-inf', 'more', '+inf', 'most')
    else redis.call('SET', k, '\\0\\255{"') end`,
  'numbers beyond all bounds': `
    if kind == 'hash' then for _, f in ipairs(fields) do redis.call('HSET', k, f, '99999999999999999999 99999999999999999999') end
    else redis.call('SET', k, '99999999999999999999') end`,
  'a megabyte in every field': `
    if kind == 'hash' then for _, f in ipairs(fields) do redis.call('HSET', k, f, string.rep('x', 1048576)) end
    elseif kind == 'zset' then redis.call('ZADD', k, '1', string.rep('x', 1048576))
    else redis.call('SET', k, string.rep('x', 1048576)) end`,
  'thousands of fields': `
    redis.call('DEL', k)
    for i = 1, 20000 do redis.call('HSET', k, 'f' .. i, '1:{}') end`,
};

function spoil(control: Control, spoiler: string): Promise<unknown> {
  // Sticky entries are many: some of them are enough.
  const script = `
    local sticky = 0
    for _, k in ipairs(redis.call('KEYS', ARGV[1])) do
      local isSticky = string.find(k, 'sticky:', 1, true)
      if isSticky then sticky = sticky + 1 end
      if not isSticky or sticky <= 5 then
        local kind = redis.call('TYPE', k)['ok']
        local fields = kind == 'hash' and redis.call('HKEYS', k) or {}
        ${spoiler}
      end
    end`;
  return control('eval', script, 0, `${keys.prefix}*`);
}

t.test('every key replaced, again and again', redis, async t => {
  const server = await startRedis(t);
  const arena = await startArena(t, server);
  const control = openControl(t, server);
  for (const [what, spoiler] of Object.entries(SPOILERS)) {
    await ordeal(t, arena, {
      what,
      async begin() {
        for (let blow = 0; blow < BLOWS; blow++) {
          await spoil(control, spoiler);
          await arena.traffic.more(20);
        }
      },
      sessions: 50,
      blows: BLOWS,
      keepsKnown: false,
    });
  }
});
