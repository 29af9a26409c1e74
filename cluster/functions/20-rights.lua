-- Rights are asked for before the first write, for every command that may follow, so that a missing
-- one never leaves half a publication behind. One question costs 0.1 us.

local cluster_known, is_cluster

local function need(command, ...)
    if not redis.acl_check_cmd(command, ...) then
        refuse('NOPERM freshet needs the right to ' .. command .. ' on its keys and channels')
    end
end

-- Whether this Redis is a Cluster. It does not change while a process lives: asked once per copy.
local function ask_cluster()
    need('CLUSTER', 'KEYSLOT', 'x')
    if not cluster_known then
        is_cluster = type(redis.pcall('CLUSTER', 'KEYSLOT', 'x')) == 'number'
        cluster_known = true
    end
    return is_cluster
end

local function need_publish(channel, once_key)
    local hash, log = channel.hash, channel.log
    need('TIME')
    need('HMGET', hash, 'epoch')
    need('XINFO', 'STREAM', log)
    need('XADD', log, '*', 'data', '')
    need('HSET', hash, 'version', '1')
    need('PEXPIREAT', hash, '1')
    need('PEXPIREAT', log, '1')
    need('PERSIST', hash)
    need('MEMORY', 'USAGE', log, 'SAMPLES', '0')
    need('XTRIM', log, 'MAXLEN', '1')
    need(is_cluster and 'SPUBLISH' or 'PUBLISH', channel.now, '')
    if once_key then
        need('GET', once_key)
        need('SET', once_key, '', 'EX', '1')
    end
end

local function need_open(channel)
    local hash, log = channel.hash, channel.log
    need('TIME')
    need('HMGET', hash, 'epoch')
    need('XINFO', 'STREAM', log)
    need('HSET', hash, 'version', '1')
    need('PTTL', hash)
    need('PTTL', log)
    need('PEXPIREAT', hash, '1')
    need('PERSIST', hash)
end
