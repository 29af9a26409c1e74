-- What a caller may say: keys, channel names, option words and their values.

-- The multi-byte forms of UTF-8 (RFC 3629): nothing overlong, no surrogate, nothing above U+10FFFF.
local TAIL = '[\128-\191]'
local UTF8_FORMS = {
    '[\194-\223]' .. TAIL,
    '\224[\160-\191]' .. TAIL,
    '[\225-\236\238\239]' .. TAIL .. TAIL,
    '\237[\128-\159]' .. TAIL,
    '\240[\144-\191]' .. TAIL .. TAIL,
    '[\241-\243]' .. TAIL .. TAIL .. TAIL,
    '\244[\128-\143]' .. TAIL .. TAIL,
}

local function is_utf8(text)
    for _, form in ipairs(UTF8_FORMS) do
        text = string.gsub(text, form, '.')
    end
    return not string.find(text, '[\128-\255]')
end

local function is_channel(name)
    return #name >= 1 and #name <= 200
        and not string.find(name, '[%z\1-\32\127{}]')
        and (not string.find(name, '[\128-\255]') or is_utf8(name))
end

-- The keys of a channel. The short form names the channel itself and means the prefix freshet.
local function parse_keys(keys)
    local hash, name = keys[1], nil
    local is_short = #keys == 1
    if is_short then
        name = hash
        hash = 'freshet:{' .. name .. '}'
    elseif hash then
        local prefix
        prefix, name = string.match(hash, '^([%w._-]+):{(.*)}$')
        if not prefix or #prefix > 32 then
            refuse('ERR the first key must be PREFIX:{CHANNEL}')
        end
        if keys[2] ~= hash .. ':log' then
            refuse('ERR the second key must be the first one followed by :log')
        end
    else
        refuse('ERR keys are needed: PREFIX:{CHANNEL} PREFIX:{CHANNEL}:log')
    end
    if not is_channel(name) then
        refuse('ERR a channel is 1-200 bytes of UTF-8 without control characters, space, { and }')
    end
    return {name = name, is_short = is_short,
            hash = hash, log = hash .. ':log', now = hash .. ':now'}
end

local RESERVED_EVENTS = {
    open = true, error = true, message = true, hello = true, reset = true,
    bye = true, ok = true, join = true, leave = true, stale = true,
}

-- The text as a number when it is digits alone, else nil: tonumber would take nan, inf and 0x10.
local function integer(value)
    return value and string.find(value, '^%d+$') and tonumber(value) or nil
end

-- The same for a number from 1 to max.
local function whole(value, max)
    local number = integer(value)
    return number and number >= 1 and number <= max and number or nil
end

local function whole_or_refuse(word, value, max)
    return whole(value, max) or refuse('ERR ' .. word .. ' must be 1-' .. max)
end

local OPTIONS = {
    TYPE = function(value)
        local kind = string.lower(value)
        if kind ~= 'json' and kind ~= 'text' and kind ~= 'binary' then
            refuse('ERR TYPE must be json, text or binary')
        end
        return kind
    end,
    EVENT = function(value)
        if #value < 1 or #value > 64 or string.find(value, '[^\32-\126]') then
            refuse('ERR EVENT must be 1-64 printable ASCII characters')
        elseif RESERVED_EVENTS[value] then
            refuse('ERR EVENT ' .. value .. ' is reserved')
        end
        return value
    end,
    HISTORY = function(value) return whole_or_refuse('HISTORY', value, HISTORY_MAX) end,
    TTL = function(value) return whole_or_refuse('TTL', value, TTL_S_MAX) end,
    FOR = function(value) return whole_or_refuse('FOR', value, ONCE_S_MAX) end,
    ONCE = function(value)
        if #value < 1 or #value > ONCE_BYTES_MAX then
            refuse('ERR ONCE must be 1-' .. ONCE_BYTES_MAX .. ' bytes')
        end
        return value
    end,
    IF = function(value)
        if string.lower(value) == 'none' then
            return 'none'
        elseif not string.find(value, '^%d+%-%d+$') then
            refuse('ERR IF must be a position or none')
        end
        return value
    end,
}

local function parse_options(args)
    local options = {}
    for i = 2, #args, 2 do
        local word = string.upper(args[i])
        local parse = OPTIONS[word]
        if not parse then
            refuse('ERR unknown option ' .. string.sub(args[i], 1, 32))
        elseif options[word] then
            refuse('ERR option ' .. word .. ' is repeated')
        elseif not args[i + 1] then
            refuse('ERR option ' .. word .. ' needs a value')
        end
        options[word] = parse(args[i + 1])
    end
    if options.FOR and not options.ONCE then
        refuse('ERR FOR needs ONCE')
    end
    return options
end

-- What is to be published. The prefix `ERR json:` tells nodes refused JSON from other refusals.
local function parse_publication(args)
    local data = args[1] or refuse('ERR DATA is needed')
    if #data > DATA_BYTES_MAX then
        refuse('ERR DATA is larger than ' .. DATA_BYTES_MAX .. ' bytes')
    end
    local options = parse_options(args)
    local kind = options.TYPE or 'json'
    if kind == 'json' then
        local ok, why = pcall(cjson.decode, data)
        if not ok then
            refuse('ERR json: ' .. why)
        end
    end
    return data, kind, options
end
