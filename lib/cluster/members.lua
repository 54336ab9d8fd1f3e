-- Writes what an instance says of itself, and answers with what all instances that are alive say.
--
-- KEYS[1] leases    sorted set: incarnation -> end of its lease, in ms by the clock of this Redis; who is in it lives
-- KEYS[2] members   hash: incarnation -> "ms:json", ms being when it was written
-- ARGV[1] incarnation, ARGV[2] what it says, ARGV[3] 1 to hear of all, ARGV[4] lease in ms, ARGV[5] most octets of what
-- one says, ARGV[6] most instances
--
-- Answers { incarnation, ms since it was written, json, ... }
local leases, members = KEYS[1], KEYS[2]
local own, report, wantsAll = ARGV[1], ARGV[2], ARGV[3] == '1'
local lease, maxOctets, maxInstances = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local is = redis.call('TYPE', members)['ok']
if (is ~= 'none' and is ~= 'hash') or (is == 'hash' and redis.call('HLEN', members) > maxInstances) then
  redis.call('DEL', members)
end
redis.call('HSET', members, own, string.format('%.0f:%s', now, report))
-- When the last instance is gone, nothing stays.
redis.call('PEXPIRE', members, lease * 10)
if not wantsAll then return {} end

local answer = {}
local hasLeases = redis.call('TYPE', leases)['ok'] == 'zset'
for _, member in ipairs(redis.call('HKEYS', members)) do
  local ends = hasLeases and tonumber(redis.call('ZSCORE', leases, member) or '')
  local isAlive = member == own or (ends and ends > now)
  if isAlive and #member <= 64 and redis.call('HSTRLEN', members, member) <= maxOctets + 20 then
    local at, json = string.match(redis.call('HGET', members, member), '^(%d+):(.*)$')
    if at and #at <= 16 then
      answer[#answer + 1] = member
      answer[#answer + 1] = string.format('%.0f', math.max(0, now - tonumber(at)))
      answer[#answer + 1] = json
    end
  elseif member ~= own then
    redis.call('HDEL', members, member)
  end
end
return answer
