-- FCALL freshet_open 2 PREFIX:{CH} PREFIX:{CH}:log -> head
-- Nobody shall ever stand at a position without an epoch: a channel that nobody published to gets
-- E-0, and a log without its HASH gets one. It opens no epoch where there is a position already.

-- Raises the HASH's expiry, never lowers it. One with settings stays; one that has lost them, or
-- was restored without an expiry, is mortal again.
local function keep_record(channel, record, clock, is_created)
    local left_ms = redis.call('PTTL', channel.hash) -- -1: for ever
    if record.has_settings ~= record.is_persistent then
        redis.call('HSET', channel.hash, 'persistent', record.has_settings and '1' or '0')
    end
    if record.has_settings then
        if left_ms >= 0 then
            redis.call('PERSIST', channel.hash)
        end
        return
    end
    local wanted_ms = OPEN_MS
    if left_ms == -1 and not is_created then
        wanted_ms = COUNTER_MS
    elseif is_created then
        wanted_ms = math.max(OPEN_MS, redis.call('PTTL', channel.log))
    end
    if left_ms < wanted_ms then
        redis.call('PEXPIREAT', channel.hash, text(clock.ms + wanted_ms))
    end
end

local function open(keys, args)
    if #keys ~= 2 or #args ~= 0 then
        refuse('ERR freshet_open takes two keys and nothing else')
    end
    local channel = parse_keys(keys)
    need_open(channel)
    local clock = read_clock()
    local record = read_record(channel)
    local head, epoch = find_head(channel, record)
    local is_created = not record.epoch
    if not head then
        epoch = next_epoch(clock, 0)
        head = text(epoch) .. '-0'
        redis.call('HSET', channel.hash, 'epoch', text(epoch), 'version', '0', 'writer', writer,
                   'written', '0')
    elseif is_created then
        local _, version = split_position(head)
        redis.call('HSET', channel.hash, 'epoch', text(epoch), 'version', text(version),
                   'writer', '')
    end
    keep_record(channel, record, clock, is_created)
    return head
end

redis.register_function('freshet_open', guarded(open))
