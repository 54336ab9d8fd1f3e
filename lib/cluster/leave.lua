-- An instance says good-bye, or its successor does so for it: its counts and its entry go at once.
-- KEYS: leases, counts, sum, members. ARGV: the incarnations that go.
local kinds = { 'zset', 'hash', 'hash', 'hash' }
for at, key in ipairs(KEYS) do
  if redis.call('TYPE', key)['ok'] == kinds[at] then
    if at == 1 then redis.call('ZREM', key, unpack(ARGV))
    elseif at == 3 then redis.call('HSET', key, 'dirty', '1')
    else redis.call('HDEL', key, unpack(ARGV)) end
  end
end
return 1
