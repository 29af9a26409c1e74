-- How much of a channel is kept, and for how long.

-- The limits in force: this call's words, else the HASH's settings (those that make no sense are
-- as absent), else the defaults.
local function find_limits(options, record)
    local history = options.HISTORY or whole(record.history, HISTORY_MAX)
    return {
        ttl = options.TTL or whole(record.ttl, TTL_S_MAX) or TTL_S_DEFAULT,
        history = history or HISTORY_DEFAULT,
        bytes = history and BUDGET_BYTES_ASKED or BUDGET_BYTES,
    }
end

-- Trims the log from the oldest entry until it fits. The first cut is in proportion, which is right
-- for entries of one size; where the old ones are smaller than the rest, cuts double.
local function trim_to_bytes(channel, bytes_max)
    local bytes = redis.call('MEMORY', 'USAGE', channel.log, 'SAMPLES', '0')
    if bytes <= bytes_max then
        return
    end
    local length, cut = read_log(channel).length, 1
    while bytes > bytes_max and length > 1 do
        length = math.max(1, math.min(math.floor(length * bytes_max / bytes), length - cut))
        cut = cut * 2
        redis.call('XTRIM', channel.log, 'MAXLEN', length)
        bytes = redis.call('MEMORY', 'USAGE', channel.log, 'SAMPLES', '0')
    end
end

-- Whether the log's expiry must be set: it is new, the TTL is another one, or a tenth of it is gone
-- (or the clock went back).
local function is_expiry_due(record, clock, ttl, is_new)
    local left_ms = record.expires - clock.ms
    return is_new or record.lifetime ~= ttl or left_ms <= ttl * 900 or left_ms > ttl * 1000
end

-- The expiries are absolute: what the HASH says of the log's is then exactly what Redis does.
local function set_expiries(channel, record, clock, ttl, is_due)
    if is_due then
        redis.call('PEXPIREAT', channel.log, text(clock.ms + ttl * 1000))
    end
    if record.has_settings then
        redis.call('PERSIST', channel.hash) -- somebody else may have made it mortal
    elseif is_due or record.is_persistent then
        redis.call('PEXPIREAT', channel.hash, text(clock.ms + COUNTER_MS))
    end
end
