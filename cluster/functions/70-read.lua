-- FCALL_RO freshet_read 2 PREFIX:{CH} PREFIX:{CH}:log [TOP BOTTOM XRANGE|XREVRANGE FROM TO COUNT]
-- What a node reads of a channel, as EXEC would give it. Nodes read in a transaction, which blocks
-- Redis for less; a Redis that is full refuses to queue one, and this is how they read then.
--
-- -> HMGET hash epoch version fork, XREVRANGE log + - COUNT 1; with arguments also
--    XREVRANGE log TOP BOTTOM COUNT 1, XRANGE (or XREVRANGE) log FROM TO COUNT n (1-1,000)

local PAGE_MAX = 1000

local function read(keys, args)
    if #keys ~= 2 or #args ~= 0 and #args ~= 6 then
        refuse('ERR freshet_read takes two keys, and six arguments or none')
    end
    local channel = parse_keys(keys)
    local hash, log = channel.hash, channel.log
    local reply = {
        redis.call('HMGET', hash, 'epoch', 'version', 'fork'),
        redis.call('XREVRANGE', log, '+', '-', 'COUNT', '1'),
    }
    if #args == 6 then
        local top, bottom, command, from, to, count = unpack(args)
        local is_range = command == 'XRANGE' or command == 'XREVRANGE'
        if not is_range or not whole(count, PAGE_MAX) then
            refuse('ERR freshet_read takes TOP BOTTOM XRANGE|XREVRANGE FROM TO COUNT (1-1000)')
        end
        reply[3] = redis.call('XREVRANGE', log, top, bottom, 'COUNT', '1')
        reply[4] = redis.call(command, log, from, to, 'COUNT', count)
    end
    return reply
end

redis.register_function{
    function_name = 'freshet_read',
    callback = guarded(read),
    flags = {'no-writes'}, -- which implies that it runs under OOM
}
