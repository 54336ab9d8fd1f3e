-- Remembers backends: the first writer wins, and who comes with the same name renews the entry's time.
--
-- KEYS are entries of sticky pools, ARGV[1] is the most octets of a backend's name; then for each key three more:
-- the backend that has greeted, the one it takes the place of if that is remembered ('' for none), the time in ms.
-- Answers the backend that is remembered now, for each key.
local limit = tonumber(ARGV[1])
local winners = {}
for at, key in ipairs(KEYS) do
  local backend, instead, ttl = ARGV[at * 3 - 1], ARGV[at * 3], ARGV[at * 3 + 1]
  local known = redis.pcall('GETRANGE', key, 0, limit)
  -- What is of the wrong type or too long was not written by us.
  if type(known) ~= 'string' or #known > limit then known = '' end
  if known == backend then
    redis.call('PEXPIRE', key, ttl)
  elseif known == '' or known == instead then
    redis.call('SET', key, backend, 'PX', ttl)
    known = backend
  end
  winners[at] = known
end
return winners
