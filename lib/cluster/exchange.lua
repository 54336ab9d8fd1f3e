-- Writes what one instance counts and answers with the sum over all instances that are alive.
--
-- Nothing here is a counter: each instance owns one field, and the sum is made anew from these fields. So a wiped
-- Redis is whole again after a heartbeat, a dead instance leaves nothing behind, and no number can drift.
--
-- KEYS[1] leases   sorted set: incarnation -> end of its lease, in ms by the clock of this Redis
-- KEYS[2] counts   hash: incarnation -> "seq:json", where json is {"c":{backend:sessions},"r":{pool:rate}}
-- KEYS[3] sum      hash: "json" the sum, "id" its number, "at" when it was made (ms), "dirty" set by each write,
--                  and for each incarnation in it the seq that it contains
-- KEYS[4] words    hash of the operator's words; its field "#" is their number
-- ARGV[1] incarnation, ARGV[2] seq, ARGV[3] json ('' when there is nothing to write)
-- ARGV[4] lease in ms, ARGV[5] age in ms up to which a sum is given again
-- ARGV[6] the number of the sum that the asker has, '' for none
-- ARGV[7] most octets of a field, ARGV[8] most instances, ARGV[9] most sessions in one number
--
-- Answers { number of the sum, the sum or '' if the asker has it, seq of the asker in it or '', 1 if the asker is
-- not known and must write, values thrown away as nonsense, number of the words, instances }

local own, seq, json = ARGV[1], ARGV[2], ARGV[3]
local lease, maxAge, known = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local maxOctets, maxInstances, maxNumber = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local nonsense = 0

-- What is of the wrong type, or beyond all bounds, was not written by us.
local function want(key, kind)
  local is = redis.call('TYPE', key)['ok']
  if is ~= 'none' and is ~= kind then
    redis.call('DEL', key)
    nonsense = nonsense + 1
  end
end
want(KEYS[1], 'zset')
want(KEYS[2], 'hash')
want(KEYS[3], 'hash')
if redis.call('ZCARD', KEYS[1]) > maxInstances or redis.call('HLEN', KEYS[2]) > maxInstances
  or redis.call('HLEN', KEYS[3]) > maxInstances + 8 then
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
  nonsense = nonsense + 1
end

local missing = 0
if json ~= '' then
  redis.call('ZADD', KEYS[1], now + lease, own)
  redis.call('HSET', KEYS[2], own, seq .. ':' .. json)
  redis.call('HSET', KEYS[3], 'dirty', '1')
  -- When the last instance is gone, nothing stays.
  for at = 1, 3 do redis.call('PEXPIRE', KEYS[at], lease * 10) end
else
  local ends = tonumber(redis.call('ZSCORE', KEYS[1], own) or '')
  if not ends or ends <= now or ends > now + lease or redis.call('HEXISTS', KEYS[2], own) == 0 then missing = 1 end
end

local function validNumber(value)
  return type(value) == 'number' and value >= 0 and value <= maxNumber and value == value
end

local function addUp(into, part)
  if type(part) ~= 'table' then return false end
  for name, value in pairs(part) do
    if type(name) ~= 'string' or #name > 200 or not validNumber(value) then return false end
  end
  for name, value in pairs(part) do into[name] = (into[name] or 0) + value end
  return true
end

local state = redis.call('HMGET', KEYS[3], 'at', 'dirty', 'id')
local made = tonumber(state[1] or '')
local age = made and now - made or -1
-- Even where nobody writes, leases end: twice a second is soon enough to notice.
local stale = age < 0 or age >= 500 or (state[2] and age >= maxAge)
if stale then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
  -- A lease that ends later than any could: the clock of Redis was set back. Its owner writes again.
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now + lease), '+inf')
  local alive = {}
  local members = redis.call('ZRANGE', KEYS[1], 0, -1)
  for _, member in ipairs(members) do alive[member] = true end
  local counts, rates, seen = {}, {}, {}
  for _, member in ipairs(redis.call('HKEYS', KEYS[2])) do
    local good = false
    if alive[member] and redis.call('HSTRLEN', KEYS[2], member) <= maxOctets then
      local value = redis.call('HGET', KEYS[2], member)
      local colon = string.find(value, ':', 1, true)
      local parsed, report = false, nil
      if colon then parsed, report = pcall(cjson.decode, string.sub(value, colon + 1)) end
      good = parsed and type(report) == 'table' and addUp(counts, report['c'] or {}) and addUp(rates, report['r'] or {})
      if good then
        seen[#seen + 1] = member
        seen[#seen + 1] = string.sub(value, 1, colon - 1)
      end
    end
    if not good then
      redis.call('HDEL', KEYS[2], member)
      if alive[member] then
        nonsense = nonsense + 1
        if member == own then missing = 1 end
      end
    end
  end
  local sum = '{"c":' .. (next(counts) and cjson.encode(counts) or '{}')
    .. ',"r":' .. (next(rates) and cjson.encode(rates) or '{}') .. '}'
  -- The number goes on from the time, so that a wiped Redis never gives an old one again.
  local id = string.format('%.0f-%s', now, time[2])
  redis.call('DEL', KEYS[3])
  redis.call('HSET', KEYS[3], 'json', sum, 'id', id, 'at', string.format('%.0f', now))
  for at = 1, #seen, 200 do
    redis.call('HSET', KEYS[3], unpack(seen, at, math.min(at + 199, #seen)))
  end
  redis.call('PEXPIRE', KEYS[3], lease * 10)
end

local id = redis.call('HGET', KEYS[3], 'id') or ''
local sum = ''
if id ~= known then
  if redis.call('HSTRLEN', KEYS[3], 'json') <= maxOctets * 8 then sum = redis.call('HGET', KEYS[3], 'json') or '' end
end
local words = ''
if redis.call('TYPE', KEYS[4])['ok'] == 'hash' and redis.call('HSTRLEN', KEYS[4], '#') < 32 then
  words = redis.call('HGET', KEYS[4], '#') or ''
end
return { id, sum, redis.call('HGET', KEYS[3], own) or '', missing, nonsense, words, redis.call('ZCARD', KEYS[1]) }
