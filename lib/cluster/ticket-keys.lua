-- Keys that TLS session tickets are sealed with, one for each period by the clock of this Redis; each sealed itself, so
-- that nobody can use it who only reads this. The first who has one for a period wins.
--
-- KEYS[1] hash: number of a period -> sealed key
-- ARGV[1] length of a period in ms, ARGV[2] ms before its end from which on the key of the next is made
-- ARGV[3] octets of a sealed key
-- ARGV[4] number of a period, ARGV[5] sealed key for it, '' to offer none, ARGV[6] what that is to replace, '' for nothing
--
-- Answers { number of the period, ms until its end, its key, the key before, the key of the next ('' where there is none),
-- values that were thrown away }
local key = KEYS[1]
local period, lead, octets = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local current = math.floor(now / period)
local left = (current + 1) * period - now
local thrown = 0

local function name(number)
  return string.format('%.0f', number)
end

-- What is of the wrong type, or more than there can be, was not written by us.
local is = redis.call('TYPE', key)['ok']
if is ~= 'none' and (is ~= 'hash' or redis.call('HLEN', key) > 16) then
  redis.call('DEL', key)
  thrown = 1
end

for _, field in ipairs(redis.call('HKEYS', key)) do
  local number = tonumber(field)
  local isOurs = number and name(number) == field and redis.call('HSTRLEN', key, field) == octets
  if not isOurs then thrown = thrown + 1 end
  local isKept = isOurs and number >= current - 1 and number <= current + 1
  if not isKept then redis.call('HDEL', key, field) end
end

local offered = tonumber(ARGV[4])
if ARGV[5] ~= '' and offered >= current - 1 and (offered <= current or (offered == current + 1 and left <= lead)) then
  local known = redis.call('HGET', key, name(offered))
  if not known or known == ARGV[6] then redis.call('HSET', key, name(offered), ARGV[5]) end
end
-- When the last instance is gone, nothing stays.
redis.call('PEXPIRE', key, 2 * period)

local function sealed(number)
  return redis.call('HGET', key, name(number)) or ''
end
return { name(current), name(left), sealed(current), sealed(current - 1), sealed(current + 1), thrown }
