-- What instances have found at backends, each in its own field, for as long as its lease runs.
--
-- KEYS[1] checkers  sorted set: incarnation -> end of its lease, in ms by the clock of this Redis
-- KEYS[2] checks    hash: incarnation -> JSON of what it has found; '#' -> a number that changes with any of it
-- ARGV[1] incarnation, ARGV[2] its JSON, '' to leave, ARGV[3] lease in ms, ARGV[4] the number that the asker has
-- ARGV[5] most octets of a field, ARGV[6] most instances
-- Answers { the number, then incarnation and JSON of each instance if the asker's number is another }
local own, text, lease, known = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local maxOctets, maxInstances = tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local changed = false

-- What is of the wrong type, or beyond all bounds, was not written by us.
local function want(key, kind, size)
  local is = redis.call('TYPE', key)['ok']
  if is ~= 'none' and (is ~= kind or redis.call(size, key) > maxInstances + 1) then
    redis.call('DEL', key)
    changed = true
  end
end
want(KEYS[1], 'zset', 'ZCARD')
want(KEYS[2], 'hash', 'HLEN')

if text == '' then
  redis.call('ZREM', KEYS[1], own)
  changed = redis.call('HDEL', KEYS[2], own) == 1 or changed
else
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease), own)
  if redis.call('HSTRLEN', KEYS[2], own) ~= #text or redis.call('HGET', KEYS[2], own) ~= text then
    redis.call('HSET', KEYS[2], own, text)
    changed = true
  end
end

-- Leases that are over, and those that end later than any could: the clock of Redis was set back.
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
local future = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now + lease), '+inf')
for _, list in ipairs({ over, future }) do
  for _, member in ipairs(list) do
    redis.call('ZREM', KEYS[1], member)
    redis.call('HDEL', KEYS[2], member)
    changed = true
  end
end

local number = ''
if redis.call('HSTRLEN', KEYS[2], '#') < 64 then number = redis.call('HGET', KEYS[2], '#') or '' end
if changed or number == '' then
  -- From the time, so that a wiped Redis never gives an old one again.
  number = string.format('%.0f-%s-', now, time[2]) .. string.sub(own, 1, 8)
  redis.call('HSET', KEYS[2], '#', number)
end
redis.call('PEXPIRE', KEYS[1], lease * 10)
redis.call('PEXPIRE', KEYS[2], lease * 10)

local answer = { number }
if number ~= known then
  for _, member in ipairs(redis.call('HKEYS', KEYS[2])) do
    if member ~= '#' then
      if redis.call('HSTRLEN', KEYS[2], member) > maxOctets or not redis.call('ZSCORE', KEYS[1], member) then
        redis.call('HDEL', KEYS[2], member)
      else
        answer[#answer + 1] = member
        answer[#answer + 1] = redis.call('HGET', KEYS[2], member)
      end
    end
  end
end
return answer
