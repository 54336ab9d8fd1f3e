-- Brings what operators have said to the cluster together: what Redis holds, what the asker knows, and what is said now.
--
-- Each word has a version, and of two words on the same thing the one with the higher version stays. So it does not
-- matter who knows what: a wiped Redis, or a replica that had lagged and is the primary now, has everything again as
-- soon as one instance asks. A word is never taken out: "ready" is a word as well, and later than the "drain" before it.
--
-- KEYS[1] words   hash: "a:pool/backend" -> "version:ready|drain|maint|maint!" ("!": sessions are ended),
--                 "w:pool/backend" -> "version:1..256|default", and "#" -> a number that changes with the words.
--                 Names are percent-encoded.
-- ARGV[1] most words, ARGV[2] most octets of a name, then for each word its name, its version (0: it is said now), its
-- text
--
-- Answers { number of the words, values thrown away as nonsense, words that found no room, version of what was said now
-- or '', name, "version:text", name, "version:text", ... }

local maxWords, maxName = tonumber(ARGV[1]), tonumber(ARGV[2])
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Versions are times, or one more than the last where time did not go on. One that is a year ahead was made up: with it
-- nobody would be heard again.
local ceiling = now + 31536000000
local nonsense, refused, said = 0, 0, ''

local function whole(text)
  local number = #text <= 16 and string.find(text, '^%d+$') and tonumber(text)
  return number and number > 0 and number <= ceiling and number or nil
end

local states = { ['ready'] = true, ['drain'] = true, ['maint'] = true, ['maint!'] = true }
local function isWord(name, text)
  local kind = #name <= maxName and string.match(name, '^([aw]):[%w%%%-_.!~*\'()]+/[%w%%%-_.!~*\'()]+$')
  if kind == 'a' then return states[text] == true end
  local weight = tonumber(string.match(text, '^%d%d?%d?$') or '')
  return kind == 'w' and (text == 'default' or (weight ~= nil and weight >= 1 and weight <= 256))
end

local is = redis.call('TYPE', key)['ok']
if (is ~= 'none' and is ~= 'hash') or (is == 'hash' and redis.call('HLEN', key) > 4 * maxWords) then
  redis.call('DEL', key)
  nonsense = nonsense + 1
end

local versions, texts, names = {}, {}, {}
local last = 0
if redis.call('HSTRLEN', key, '#') <= 16 then last = whole(redis.call('HGET', key, '#') or '') or 0 end
for _, name in ipairs(redis.call('HKEYS', key)) do
  if name ~= '#' then
    local value = redis.call('HSTRLEN', key, name) <= 32 and redis.call('HGET', key, name) or ''
    local number, text = string.match(value, '^(%d+):(.*)$')
    local version = number and whole(number)
    if version and isWord(name, text) then
      versions[name], texts[name] = version, text
      names[#names + 1] = name
      last = math.max(last, version)
    else
      redis.call('HDEL', key, name)
      nonsense = nonsense + 1
    end
  end
end

-- Words that are as good as none make room, the oldest first.
local function makeRoom()
  local oldest = nil
  for at, name in ipairs(names) do
    local isNothing = texts[name] == 'ready' or texts[name] == 'default'
    if isNothing and (not oldest or versions[name] < versions[names[oldest]]) then oldest = at end
  end
  if not oldest then return false end
  local name = table.remove(names, oldest)
  versions[name], texts[name] = nil, nil
  redis.call('HDEL', key, name)
  return true
end

local changed = false
local function put(name, version, text)
  if not versions[name] then
    if #names >= maxWords and not makeRoom() then
      refused = refused + 1
      return false
    end
    names[#names + 1] = name
  end
  versions[name], texts[name] = version, text
  redis.call('HSET', key, name, string.format('%.0f:%s', version, text))
  last = math.max(last, version)
  changed = true
  return true
end

local asked = {}
for at = 3, #ARGV, 3 do
  local name, number, text = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if number == '0' then asked[#asked + 1] = at
  else
    local version = whole(number)
    if version and isWord(name, text) and version > (versions[name] or 0) then put(name, version, text) end
  end
end
for _, at in ipairs(asked) do
  local version = math.max(now, last + 1)
  if isWord(ARGV[at], ARGV[at + 2]) and put(ARGV[at], version, ARGV[at + 2]) then
    said = string.format('%.0f', version)
  end
end

if changed or (#names > 0 and redis.call('HEXISTS', key, '#') == 0) then
  redis.call('HSET', key, '#', string.format('%.0f', math.max(now, last + 1)))
end
local answer = { redis.call('HGET', key, '#') or '', nonsense, refused, said }
for _, name in ipairs(names) do
  answer[#answer + 1] = name
  answer[#answer + 1] = string.format('%.0f:%s', versions[name], texts[name])
end
return answer
