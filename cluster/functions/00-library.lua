#!lua name=freshet
-- Freshet's functions in Redis: freshet_publish, freshet_open, freshet_read, freshet_version.
--
-- The files of this folder, concatenated in the order of their names, are one library. Redis keeps
-- one copy of it per process and replaces the copy on FUNCTION LOAD REPLACE and on a full resync;
-- the locals of a copy (writer, last_epoch) live and die with it, and the rules on epochs rely on
-- that. While a library loads there is neither `string` nor `redis.call`: they are used only
-- inside functions.

-- Raise it with every change of these files: nodes replace only an older library.
local VERSION = 2

local EPOCH_MAX = 9007199254740991 -- 2^53 - 1: Lua's numbers are doubles
local DATA_BYTES_MAX = 1048576
local HISTORY_MAX, HISTORY_DEFAULT = 100000, 1000
local TTL_S_MAX, TTL_S_DEFAULT = 2592000, 3600
local ONCE_BYTES_MAX, ONCE_S_MAX, ONCE_S_DEFAULT = 200, 86400, 300

local COUNTER_MS = 2592000000 -- how long a HASH without settings outlives its last expiry
local OPEN_MS = 3600000       -- the least that freshet_open leaves it
local WEIGH_BYTES = 1048576   -- a log is weighed each time so much was written to it
local BUDGET_BYTES, BUDGET_BYTES_ASKED = 16777216, 268435456

-- Ends the call with an error reply. Nothing may have been written by then.
local function refuse(message)
    error(message, 0)
end

-- Makes a body that may refuse into a function that Redis can register.
local function guarded(body)
    return function(keys, args)
        local ok, reply = pcall(body, keys, args)
        if ok then
            return reply
        end
        if type(reply) == 'table' then
            reply = reply.err
        end
        if not string.find(reply, '^%u+ ') then
            reply = 'ERR ' .. reply
        end
        return {err = reply}
    end
end

redis.register_function{
    function_name = 'freshet_version',
    callback = function() return VERSION end,
    flags = {'no-writes', 'allow-stale'}, -- no-writes implies that it runs under OOM
}
