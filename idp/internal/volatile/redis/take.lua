-- Counts a request of KEYS[1], unless ARGV[1] are in the window of ARGV[2] ms.
-- The algorithm is volatile/local's bucket, the time is Redis's own.
--
-- The key is a list of marks, oldest first, each "time:before:count": count
-- requests, the last of them at time (ms), after before others. What is in the
-- window follows from the first and the last mark. A request past the 256th of
-- a limit shares the mark of its 1/255 of the window.
--
-- Answers {1 if allowed, remaining, ms until all are free, ms until one is free}.
local key, limit, window = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local grain = limit > 256 and math.floor(window / 255) + 1 or 0
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local broken = false

local function mark(index)
  local text = redis.pcall('LINDEX', key, index)
  if text == false then return nil end
  local at, before, count
  if type(text) == 'string' then
    at, before, count = string.match(text, '^(%d+):(%d+):(%d+)$')
  end
  if not at then
    broken = true
    return nil
  end
  return { at = tonumber(at), before = tonumber(before), count = tonumber(count) }
end

local newest = mark(-1)
if newest and newest.at - window > now then -- counted by a clock that was wrong
  redis.call('DEL', key)
  newest = nil
end
if newest and newest.at > now then now = newest.at end
if newest and newest.at <= now - window then
  redis.call('DEL', key)
  newest = nil
end
local oldest = newest and mark(0)
while oldest and oldest.at <= now - window do
  redis.call('LPOP', key)
  oldest = mark(0)
end
if broken or (newest and not oldest) then
  redis.call('DEL', key)
  return redis.error_reply('BROKEN not a list of marks')
end

local used, retry = 0, 0
if newest then used = newest.before + newest.count - oldest.before end
local allowed = used < limit
if allowed then
  used = used + 1
  local text = string.format('%.0f:', now)
  if newest and grain > 0 and math.floor(newest.at / grain) == math.floor(now / grain) then
    redis.call('LSET', key, -1, text .. string.format('%.0f:%.0f', newest.before, newest.count + 1))
  else
    local before = newest and newest.before + newest.count or 0
    redis.call('RPUSH', key, text .. string.format('%.0f:1', before))
  end
  redis.call('PEXPIRE', key, window)
  newest = { at = now }
else
  retry = oldest.at + window - now
end
return { allowed and 1 or 0, math.max(0, limit - used), newest.at + window - now, retry }
