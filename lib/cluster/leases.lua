-- Slots of limits that hold over the cluster: what each instance may take of a backend without asking again.
--
-- An instance holds slots as long as its lease runs, by the clock of this Redis; by its own clock it makes use of them
-- for less. Redis may forget, or fall back to what was true earlier: then the other instances cannot be seen from here,
-- so nothing new is granted until every lease that might run has either been asserted again or is over.
--
-- KEYS[1] state   hash: "run" the process this state was made by, "epoch" its name, "now" when it was last looked at,
--                 "quiet" until when nothing new is granted
-- KEYS[2] leases  sorted set: incarnation -> end of its lease, in ms
-- KEYS[3] wants   hash: slots key -> when an instance last needed more than was free, in ms
-- KEYS[4..]       one hash a backend: incarnation -> "slots seq"; "@" the epoch, "!" until when nothing new is granted
-- ARGV[1] incarnation, ARGV[2] lease in ms, ARGV[3] the epoch that the asker knows, ARGV[4] seq, ARGV[5] "1" if the asker
-- asserts all it holds, ARGV[6] most instances, ARGV[7..] for each backend four numbers: the limit, slots held (at
-- least those taken; fewer than before where some are given back), slots wanted, 1 if sessions wait for them
--
-- Answers { "assert" } with the epoch, when the asker is not known in it: nothing was done, and it is to assert all it
-- holds; or { "ok", epoch, ms for which nothing new is granted, and for each backend: slots, 1 if others need some }.

local me, lease, known, seq = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local asserts, maxInstances = ARGV[5] == '1', tonumber(ARGV[6])
-- Instances speak up at least once in this time.
local grace = math.floor(lease / 12)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function whole(number) return string.format('%.0f', number) end

local function want(key, kind)
  local is = redis.call('TYPE', key)['ok']
  if is ~= 'none' and is ~= kind then redis.call('DEL', key) end
end
want(KEYS[1], 'hash')
want(KEYS[2], 'zset')
want(KEYS[3], 'hash')
if redis.call('ZCARD', KEYS[2]) > maxInstances then redis.call('DEL', KEYS[1], KEYS[2]) end

-- All leases end at this time at the earliest, or (where the clock was set back) exactly then.
local function moveLeases(ends, exactly)
  for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    redis.call('ZADD', KEYS[2], exactly and 'XX' or 'GT', whole(ends), member)
  end
end

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local state = redis.call('HMGET', KEYS[1], 'run', 'epoch', 'now', 'quiet')
local epoch, last, quiet = state[2], tonumber(state[3] or ''), tonumber(state[4] or '')
if state[1] ~= run or not epoch or not last or not quiet then
  -- Made anew, restored, or another's that lagged behind.
  epoch = whole(now) .. '-' .. time[2] .. '-' .. string.sub(run, 1, 8)
  quiet = now + lease
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
elseif now < last - 1000 then
  moveLeases(now + lease, true)
elseif now - last > lease * 2 / 3 and redis.call('ZCARD', KEYS[2]) > 0 then
  -- Nobody was here for long, or the clock was set forward: whoever lives will say so.
  moveLeases(now + grace, false)
  quiet = math.max(quiet, now + grace)
end
if last and now - last < 2 * grace and redis.call('ZCARD', KEYS[2]) == 0 then
  -- The last one has just gone; or the leases were lost, and whoever lives will say so.
  quiet = math.max(quiet, now + grace)
end
quiet = math.min(quiet, now + lease)
redis.call('HSET', KEYS[1], 'run', run, 'epoch', epoch, 'now', whole(now), 'quiet', whole(quiet))
redis.call('PEXPIRE', KEYS[1], 30 * 86400000)

local ends = tonumber(redis.call('ZSCORE', KEYS[2], me) or '')
if not asserts and (known ~= epoch or not ends or ends <= now) then return { 'assert', epoch } end
redis.call('ZADD', KEYS[2], whole(now + lease), me)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now))
redis.call('PEXPIRE', KEYS[2], lease * 2)

-- Slots of a field, or nil where nobody of us wrote it.
local function parse(value)
  if #value > 32 then return nil end
  local slots, number = string.match(value, '^(%d+) (%d+)$')
  return tonumber(slots), tonumber(number)
end

local function write(key, slots)
  if slots > 0 then redis.call('HSET', key, me, whole(slots) .. ' ' .. whole(seq)) else redis.call('HDEL', key, me) end
end

-- Slots that the others hold; what the dead held is dropped. Nil where somebody's cannot be read.
local function heldByOthers(key)
  local sum, good = 0, true
  local fields = redis.call('HGETALL', key)
  for at = 1, #fields, 2 do
    local who = fields[at]
    if who ~= me and who ~= '@' and who ~= '!' then
      if not redis.call('ZSCORE', KEYS[2], who) then
        redis.call('HDEL', key, who)
      else
        local slots = parse(fields[at + 1])
        if slots then sum = sum + slots else good = false end
        if not slots then redis.call('HDEL', key, who) end
      end
    end
  end
  return good and sum or nil
end

local answer = { 'ok', epoch, whole(math.max(0, quiet - now)) }
for at = 4, #KEYS do
  local key, arg = KEYS[at], 7 + (at - 4) * 4
  local limit, held = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1])
  local wanted, waiting = tonumber(ARGV[arg + 2]), ARGV[arg + 3] == '1'
  want(key, 'hash')
  if redis.call('HLEN', key) > maxInstances + 2 then redis.call('DEL', key) end
  local marks = redis.call('HMGET', key, '@', '!', me)
  local blocked = tonumber(marks[2] or '') or 0
  if marks[1] ~= epoch then
    -- New, of an earlier epoch, or lost by itself: those who live will say here what they hold.
    redis.call('DEL', key)
    blocked = now + grace
    redis.call('HSET', key, '@', epoch, '!', whole(blocked))
    marks[3] = false
  end
  blocked = math.min(blocked, now + grace)

  local mine, number = nil, nil
  if marks[3] then mine, number = parse(marks[3]) end
  local slots = held
  -- An older call that arrives late must not undo a newer one.
  if not number or number < seq then
    if wanted > held and now >= quiet and now >= blocked then
      local others = heldByOthers(key)
      if others == nil then
        redis.call('HSET', key, '!', whole(now + grace))
      else
        local free = limit - others - held
        -- Half of what is left, so that something is left for the next.
        if free > 0 then slots = held + math.min(wanted - held, math.max(1, math.ceil(free / 2))) end
        if waiting and free < wanted - held then redis.call('HSET', KEYS[3], key, whole(now)) end
      end
    end
    if slots ~= mine or wanted > held then write(key, slots) end
  end
  redis.call('PEXPIRE', key, lease * 2)

  local needed = tonumber(redis.call('HGET', KEYS[3], key) or '')
  local isNeeded = needed and needed <= now and now - needed < grace
  answer[#answer + 1] = whole(slots)
  answer[#answer + 1] = isNeeded and 1 or 0
end
redis.call('PEXPIRE', KEYS[3], lease)
return answer
