-- Which backends are remembered. KEYS are entries of sticky pools, ARGV[1] the most octets of a backend's name.
-- Answers one name for each key, '' where nothing is remembered or what is there was not written by us.
local limit = tonumber(ARGV[1])
local found = {}
for at, key in ipairs(KEYS) do
  local name = redis.pcall('GETRANGE', key, 0, limit)
  found[at] = type(name) == 'string' and #name <= limit and name or ''
end
return found
