-- FCALL freshet_publish 2 PREFIX:{CH} PREFIX:{CH}:log DATA [TYPE json|text|binary] [EVENT name]
--     [HISTORY n] [TTL s] [ONCE key [FOR s]] [IF position|none] -> position

-- The once key, which may be declared third, and must be on a Cluster.
local function find_once_key(channel, keys, options)
    local once_key = options.ONCE and channel.hash .. ':once:' .. options.ONCE
    if keys[3] and not once_key then
        refuse('ERR a third key needs ONCE')
    elseif #keys > 3 or keys[3] and keys[3] ~= once_key then
        refuse('ERR the third key must be the first one followed by :once:KEY, and the last')
    elseif is_cluster and once_key and not keys[3] then
        refuse('ERR on a Cluster ONCE needs a third key: PREFIX:{CHANNEL}:once:KEY')
    end
    return once_key
end

local function refuse_short_on_cluster(channel)
    if is_cluster and channel.is_short then
        refuse('ERR on a Cluster say: FCALL freshet_publish 2 ' .. channel.hash .. ' '
               .. channel.log .. ' DATA')
    end
end

-- At E-0 of a channel opened and not yet published `none` matches as well.
local function compare_head(wanted, head)
    local is_unpublished = not head or string.find(head, '-0', -2, true)
    if wanted ~= head and not (wanted == 'none' and is_unpublished) then
        refuse('CONFLICT ' .. (head or 'none'))
    end
end

local function add_entry(channel, message, limits, position, must_exist)
    local command = {'XADD', channel.log, 'MAXLEN', limits.history}
    if must_exist then
        command[5] = 'NOMKSTREAM'
    end
    local n = #command
    command[n + 1] = position
    command[n + 2], command[n + 3] = 'type', message.kind
    command[n + 4], command[n + 5] = 'data', message.data
    command[n + 6], command[n + 7] = 'time', message.time
    n = n + 7
    if message.event then
        command[n + 1], command[n + 2] = 'event', message.event
        n = n + 2
    end
    if message.fork then
        command[n + 1], command[n + 2] = 'fork', message.fork
    end
    return redis.pcall(unpack(command))
end

-- Adds the message to the log in the epoch of the HASH, when it is ours. Refused by Redis when the
-- log is ahead of the HASH, and by NOMKSTREAM when it is gone before its time: then, as for another
-- writer's epoch, the answer is no. A log that has expired, or was never written, begins anew.
local function go_on(channel, record, clock, message, limits)
    if record.writer ~= writer or not record.epoch or not record.version then
        return nil
    end
    message.epoch, message.version = record.epoch, record.version + 1
    local must_exist = record.version > 0 and clock.ms < record.expires
    local position = text(message.epoch) .. '-' .. text(message.version)
    local reply = add_entry(channel, message, limits, position, must_exist)
    return type(reply) == 'string' and reply or nil
end

-- Opens an epoch, whose first message names the head that it inherits as its fork.
local function take_over(channel, record, clock, message, limits)
    local head, last = find_head(channel, record)
    message.epoch, message.version, message.fork = next_epoch(clock, last), 1, head
    message.opens_epoch = true
    local reply = add_entry(channel, message, limits, text(message.epoch) .. '-1', false)
    if type(reply) == 'table' then
        refuse(reply.err)
    end
    return reply
end

-- Writes down where the channel stands now, and sees to expiries and bytes.
local function settle(channel, record, clock, message, limits)
    local is_due = is_expiry_due(record, clock, limits.ttl, message.version == 1)
    local written = (record.written or WEIGH_BYTES) + #message.data + #(message.event or '')
    local is_heavy = written >= WEIGH_BYTES
    local command = {'HSET', channel.hash, 'version', text(message.version),
                     'written', is_heavy and '0' or text(written)}
    local n = #command
    local function set(field, value)
        command[n + 1], command[n + 2] = field, value
        n = n + 2
    end
    if message.opens_epoch then
        set('epoch', text(message.epoch))
        set('writer', writer)
        if message.fork then
            set('fork', message.fork)
        end
    end
    if is_due then
        set('expires', text(clock.ms + limits.ttl * 1000))
        set('lifetime', text(limits.ttl))
    end
    if record.has_settings ~= record.is_persistent then
        set('persistent', record.has_settings and '1' or '0')
    end
    redis.call(unpack(command))
    set_expiries(channel, record, clock, limits.ttl, is_due)
    if is_heavy then
        trim_to_bytes(channel, limits.bytes)
    end
end

local function send(channel, message)
    local null = cjson.null -- a nil would make the array a map
    local envelope = cmsgpack.pack({1, message.epoch, message.version, message.fork or null,
                                    message.kind, message.event or null,
                                    message.time_ms, message.data})
    redis.call(is_cluster and 'SPUBLISH' or 'PUBLISH', channel.now, envelope)
end

local function publish(keys, args)
    local channel = parse_keys(keys)
    local data, kind, options = parse_publication(args)
    ask_cluster()
    refuse_short_on_cluster(channel)
    local once_key = find_once_key(channel, keys, options)
    need_publish(channel, once_key)

    local first = once_key and redis.call('GET', once_key)
    if first then
        return first
    end
    local clock = read_clock()
    local record = read_record(channel)
    if options.IF then
        compare_head(options.IF, (find_head(channel, record)))
    end
    local message = {data = data, kind = kind, event = options.EVENT,
                     time_ms = clock.ms, time = text(clock.ms)}
    local limits = find_limits(options, record)
    local position = go_on(channel, record, clock, message, limits)
        or take_over(channel, record, clock, message, limits)
    settle(channel, record, clock, message, limits)
    if once_key then
        redis.call('SET', once_key, position, 'EX', options.FOR or ONCE_S_DEFAULT)
    end
    send(channel, message)
    return position
end

redis.register_function('freshet_publish', guarded(publish))
