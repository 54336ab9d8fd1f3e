-- What clients have over all instances: each instance says what it has, and hears what the others have.
--
-- KEYS      one hash a client. Field "owed": when its sessions will be paid off, in Redis' own milliseconds. Every
--           other field is an instance: "sessions until", its sessions, and until when that counts.
-- ARGV[1]   this instance
-- ARGV[2]   lease: for how many milliseconds what it says counts, and the key is kept
-- ARGV[3..] for each client four numbers: sessions here; milliseconds owed for sessions since the last time; milliseconds
--           owed in all, as far as the instance knows; the most milliseconds that may be owed
-- Returns   for each client two integers: sessions of other instances, milliseconds owed.
--
-- Whatever else is found there is removed: another type, a field that is no such thing, a time too far ahead (the clock
-- of Redis was put back, or somebody wrote it). Numbers leave this script, and nothing else.
local MOST_FIELDS = 1024
local MOST_SESSIONS = 1000000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local me = ARGV[1]
local lease = tonumber(ARGV[2])
local answer = {}

for at, key in ipairs(KEYS) do
  local sessions = tonumber(ARGV[at * 4 - 1])
  local spent = tonumber(ARGV[at * 4])
  local known = tonumber(ARGV[at * 4 + 1])
  local most = tonumber(ARGV[at * 4 + 2])

  local kind = redis.call('TYPE', key)
  if kind.ok ~= 'none' and (kind.ok ~= 'hash' or redis.call('HLEN', key) > MOST_FIELDS) then
    redis.call('DEL', key)
  end

  local others = 0
  local owed = 0
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local field, value = fields[i], fields[i + 1]
    if field == 'owed' then
      if #value <= 20 and string.match(value, '^%d+%.?%d*$') then
        local left = tonumber(value) - now
        -- More than anybody can owe: the clock of Redis was put back, or somebody wrote it.
        if left <= most + 1 then owed = math.max(0, math.min(left, most)) end
      end
    elseif field ~= me then
      local count, till = nil, nil
      if #value <= 32 then count, till = string.match(value, '^(%d+) (%d+)$') end
      count, till = tonumber(count), tonumber(till)
      if count and till and count > 0 and count <= MOST_SESSIONS and till > now and till <= now + 2 * lease then
        others = others + count
      else
        redis.call('HDEL', key, field)
      end
    end
  end

  -- What is owed already grows by what was spent since. What this instance knows of is the least, should Redis have
  -- forgotten.
  if owed > 0 then owed = owed + spent end
  owed = math.min(math.max(owed, known), most)

  if sessions > 0 then
    redis.call('HSET', key, me, string.format('%d %d', sessions, now + lease))
  else
    redis.call('HDEL', key, me)
  end
  if owed > 0 then
    redis.call('HSET', key, 'owed', string.format('%.3f', now + owed))
  else
    redis.call('HDEL', key, 'owed')
  end
  redis.call('PEXPIRE', key, lease)

  answer[#answer + 1] = math.min(others, MOST_SESSIONS)
  answer[#answer + 1] = math.floor(owed)
end

return answer
