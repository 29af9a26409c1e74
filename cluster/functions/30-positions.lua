-- Who writes, where a channel stands, and which epoch comes next.
-- Numbers go to Redis by `text`: Lua would write those above 10^14 in scientific notation.

local writer          -- this copy's name, taken at its first publish or open
local last_epoch = 0  -- the last epoch that this copy opened, on whatever channel

local function text(number)
    return string.format('%.0f', number)
end

-- The clock, read once per call. It also names the writer when this is the copy's first call: the
-- run_id tells processes apart, the time tells the copies within one process apart.
local function read_clock()
    local time = redis.call('TIME')
    local micros = tonumber(time[2])
    local us = tonumber(time[1]) * 1000000 + micros
    if not writer then
        local info = redis.pcall('INFO', 'server') -- an error without the right to it
        local run_id = type(info) == 'string' and string.match(info, 'run_id:(%x%x%x%x%x%x%x%x)')
        writer = (run_id or '') .. '.' .. text(us)
    end
    return {us = us, micros = micros, ms = math.floor(us / 1000)}
end

-- The HASH of a channel. Any field may be absent, and what is no number is as absent: applications
-- set history and ttl themselves, and an old HASH may be restored.
local function read_record(channel)
    local fields = redis.call('HMGET', channel.hash, 'epoch', 'version', 'writer', 'expires',
                              'lifetime', 'written', 'persistent', 'history', 'ttl')
    return {
        epoch = whole(fields[1], EPOCH_MAX), version = integer(fields[2]),
        writer = fields[3],
        expires = integer(fields[4]) or math.huge, -- ms; when the log does
        lifetime = integer(fields[5]),             -- s; the TTL that was set then
        written = integer(fields[6]),              -- bytes since the log was weighed
        is_persistent = fields[7] == '1',          -- as we left it
        history = fields[8], ttl = fields[9],
        has_settings = (fields[8] or fields[9]) ~= false,
    }
end

-- What XINFO STREAM says of the log, as a table; nil when there is none.
local function read_log(channel)
    local reply = redis.pcall('XINFO', 'STREAM', channel.log)
    if reply.err then
        if string.find(reply.err, 'no such key', 1, true) then
            return nil
        end
        refuse(reply.err)
    end
    local info = {}
    for i = 1, #reply, 2 do
        info[reply[i]] = reply[i + 1]
    end
    return info
end

local function split_position(position)
    local epoch, version = string.match(position or '', '^(%d+)-(%d+)$')
    epoch, version = tonumber(epoch), tonumber(version)
    if epoch and epoch > 0 then
        return epoch, version
    end
end

-- The head: the higher of the HASH's position and the log's last id. Returns its text, or nil where
-- Redis knows none, and its epoch (0). last-generated-id, because entries may have been deleted.
local function find_head(channel, record)
    local log = read_log(channel)
    local epoch, version = split_position(log and log['last-generated-id'])
    local counted = record.version or 0
    if record.epoch and (not epoch or record.epoch > epoch
                         or record.epoch == epoch and counted > version) then
        epoch, version = record.epoch, counted
    end
    if not epoch then
        return nil, 0
    end
    return text(epoch) .. '-' .. text(version), epoch
end

-- An epoch above every one before it: on its channel (`last`) whatever the clock says, and in this
-- copy, which may be asked for two in one microsecond. The microseconds keep apart two processes
-- that both go on from the same future epoch.
local function next_epoch(clock, last)
    local epoch = clock.us
    if epoch <= last then
        epoch = last + 1 + clock.micros
    end
    epoch = math.max(epoch, last_epoch + 1)
    if epoch > EPOCH_MAX then
        refuse('ERR the last epoch of the channel is too high to go on from: delete its keys')
    end
    last_epoch = epoch
    return epoch
end
