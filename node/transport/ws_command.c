// Reading commands. Both languages end in the same values; one table says which members there are,
// another which of them a command takes.
#include "node/transport/ws_command.h"

#include <uv.h>

#include "cluster/base/base64.h"
#include "cluster/base/check.h"
#include "cluster/base/json.h"
#include "cluster/base/json_walk.h"
#include "node/transport/ws_msgpack.h"

enum member { TYPE, REF, CHANNEL, SINCE, REWIND, LIMIT, DATA, AS, EVENT, ONCE, IF, TOKEN, MEMBERS };

static const char *const member_names[MEMBERS] = {
    [TYPE] = "type",     [REF] = "ref",     [CHANNEL] = "channel", [SINCE] = "since",
    [REWIND] = "rewind", [LIMIT] = "limit", [DATA] = "data",       [AS] = "as",
    [EVENT] = "event",   [ONCE] = "once",   [IF] = "if",           [TOKEN] = "token",
};

#define BIT(member) (1u << (member))

static const struct {
    const char *name;
    unsigned needs;
    unsigned takes; // besides
} commands[WS_COMMANDS] = {
    [WS_SUBSCRIBE] = {"subscribe", BIT(CHANNEL), BIT(SINCE) | BIT(REWIND)},
    [WS_UNSUBSCRIBE] = {"unsubscribe", BIT(CHANNEL), 0},
    [WS_PUBLISH] = {"publish", BIT(CHANNEL) | BIT(DATA),
                    BIT(AS) | BIT(EVENT) | BIT(ONCE) | BIT(IF)},
    [WS_HISTORY] = {"history", BIT(CHANNEL), BIT(SINCE) | BIT(LIMIT)},
    [WS_PRESENCE] = {"presence", BIT(CHANNEL), 0},
    [WS_AUTH] = {"auth", BIT(TOKEN), 0},
    [WS_PING_COMMAND] = {"ping", 0, 0},
};

// A member's value in either language.
enum value_kind { VALUE_NONE, VALUE_TEXT, VALUE_BYTES, VALUE_WHOLE, VALUE_OTHER };

struct value {
    enum value_kind kind;
    struct slice raw;     // borrowed from the payload
    struct slice content; // TEXT, BYTES: decoded, in the command's memory
    uint64_t number;      // WHOLE: 0 or more, clamped
};

// While a command is read.
struct reader {
    struct ws_command *command;
    struct ws_fault *fault;
    bool is_msgpack;
    unsigned seen;
    struct value values[MEMBERS];
};

static int refuse_as(struct reader *reader, const char *code, const char *message) {
    *reader->fault = (struct ws_fault){code, message};
    return UV_EINVAL;
}

static int refuse(struct reader *reader, const char *message) {
    return refuse_as(reader, "bad-request", message);
}

// ---- Members ------------------------------------------------------------------------------------

static struct slice decoded_since(const struct bytes *memory, size_t start) {
    return slice_make(memory->data + start, memory->len - start);
}

static struct slice copy(struct bytes *memory, struct slice bytes) {
    size_t start = memory->len;
    bytes_append(memory, bytes);
    return decoded_since(memory, start);
}

static int claim(struct reader *reader, struct slice name, enum member *member_r) {
    for (unsigned member = 0; member < MEMBERS; member++) {
        if (slice_equal(name, slice_of(member_names[member]))) {
            if (reader->seen & BIT(member)) {
                return refuse(reader, "a member is given twice");
            }
            reader->seen |= BIT(member);
            *member_r = (enum member)member;
            return 0;
        }
    }
    return refuse(reader, "only type, ref, channel, since, rewind, limit, data, as, event, once, "
                          "if and token are known");
}

static int read_json_value(struct reader *reader, struct slice raw, struct value *value) {
    struct bytes *memory = &reader->command->memory;
    value->raw = raw;
    size_t start = memory->len;
    switch (json_kind(raw)) {
    case JSON_KIND_NULL:
        value->kind = VALUE_NONE; // many writers say so of what is not given
        return 0;
    case JSON_KIND_STRING:
        value->kind = VALUE_TEXT;
        if (json_decode_string(memory, raw) < 0) {
            return refuse(reader, "a string holds half of a surrogate pair");
        }
        value->content = decoded_since(memory, start);
        return 0;
    case JSON_KIND_NUMBER: {
        bool is_whole = true;
        for (size_t i = 0; i < raw.len; i++) {
            is_whole = is_whole && raw.data[i] >= '0' && raw.data[i] <= '9';
        }
        value->kind = is_whole ? VALUE_WHOLE : VALUE_OTHER;
        if (is_whole && slice_to_u64(raw, UINT64_MAX, &value->number) < 0) {
            value->number = UINT64_MAX;
        }
        return 0;
    }
    default:
        value->kind = VALUE_OTHER;
        return 0;
    }
}

static int read_json(struct reader *reader, struct slice payload) {
    int error = json_check(payload);
    if (error < 0) {
        return refuse_as(reader, "json", json_problem(error));
    }
    if (json_kind(payload) != JSON_KIND_OBJECT) {
        return refuse(reader, "a command is an object: {\"ref\":1,\"type\":\"ping\"}");
    }
    struct json_walk walk = json_walk_into(payload);
    struct slice name;
    struct slice raw;
    while (json_walk_member(&walk, &name, &raw)) {
        enum member member;
        error = claim(reader, name, &member);
        if (error == 0 && member == DATA) { // its meaning depends on `as`
            reader->values[DATA] = (struct value){.kind = VALUE_OTHER, .raw = raw};
        } else if (error == 0) {
            error = read_json_value(reader, raw, &reader->values[member]);
        }
        if (error < 0) {
            return error;
        }
    }
    return 0;
}

static int read_msgpack_value(struct reader *reader, struct slice *input, struct value *value) {
    struct ws_msgpack_token token;
    if (ws_msgpack_next(input, &token) < 0) {
        return refuse_as(reader, "msgpack", "this is not msgpack, or cut short");
    }
    value->raw = token.raw;
    value->number = token.number;
    switch (token.kind) {
    case WS_MSGPACK_NIL:
        value->kind = VALUE_NONE;
        return 0;
    case WS_MSGPACK_UINT:
        value->kind = VALUE_WHOLE;
        return 0;
    case WS_MSGPACK_STR:
        if (!slice_is_utf8(token.bytes)) {
            return refuse(reader, "a str is not UTF-8");
        }
        value->kind = VALUE_TEXT;
        value->content = copy(&reader->command->memory, token.bytes);
        return 0;
    case WS_MSGPACK_BIN:
        value->kind = VALUE_BYTES;
        value->content = copy(&reader->command->memory, token.bytes);
        return 0;
    case WS_MSGPACK_ARRAY:
    case WS_MSGPACK_MAP:
    case WS_MSGPACK_EXT:
        return refuse(reader, "no member of a command is an array, a map or an ext");
    case WS_MSGPACK_BOOL:
    case WS_MSGPACK_NEGATIVE:
    case WS_MSGPACK_FLOAT:
        break;
    }
    value->kind = VALUE_OTHER;
    return 0;
}

static int read_msgpack(struct reader *reader, struct slice payload) {
    struct ws_msgpack_token map;
    if (ws_msgpack_next(&payload, &map) < 0) {
        return refuse_as(reader, "msgpack", "this is not msgpack, or cut short");
    }
    if (map.kind != WS_MSGPACK_MAP) {
        return refuse(reader, "a command is a map");
    }
    for (uint64_t i = 0; i < map.number; i++) { // ends with the input, or with a name that is known
        struct ws_msgpack_token name;
        enum member member;
        if (ws_msgpack_next(&payload, &name) < 0) {
            return refuse_as(reader, "msgpack", "this is not msgpack, or cut short");
        }
        if (name.kind != WS_MSGPACK_STR) {
            return refuse(reader, "the names of a command's members are of kind str");
        }
        int error = claim(reader, name.bytes, &member);
        error = error < 0 ? error : read_msgpack_value(reader, &payload, &reader->values[member]);
        if (error < 0) {
            return error;
        }
    }
    return payload.len == 0 ? 0 : refuse_as(reader, "msgpack", "there are bytes behind the map");
}

// ---- Meaning ------------------------------------------------------------------------------------

static int take_ref(struct reader *reader) {
    const struct value *value = &reader->values[REF];
    bool is_ref = value->kind == VALUE_TEXT || value->kind == VALUE_WHOLE;
    if (value->kind == VALUE_NONE) {
        return 0;
    }
    if (!is_ref || value->raw.len > WS_REF_BYTES_MAX) {
        return refuse(reader, "\"ref\" must be a whole number, or a string of at most 62 bytes");
    }
    reader->command->ref = copy(&reader->command->memory, value->raw);
    return 0;
}

// When something else is wrong: so that the answer says to which command it is one. What is not JSON
// as a whole is so as far as the scanner comes.
static void save_ref(struct reader *reader, struct slice payload) {
    struct ws_fault fault = *reader->fault;
    struct slice raw;
    if (!reader->is_msgpack && (reader->seen & BIT(REF)) == 0 &&
        json_find_member(payload, slice_of(member_names[REF]), &raw)) {
        (void)read_json_value(reader, raw, &reader->values[REF]);
    }
    (void)take_ref(reader);
    *reader->fault = fault;
}

static int take_type(struct reader *reader) {
    const struct value *value = &reader->values[TYPE];
    if (value->kind != VALUE_TEXT) {
        return refuse(reader, "\"type\" must name the command");
    }
    for (unsigned type = 0; type < WS_COMMANDS; type++) {
        if (slice_equal(value->content, slice_of(commands[type].name))) {
            reader->command->type = (enum ws_command_type)type;
            return 0;
        }
    }
    return refuse(reader, "\"type\" must be subscribe, unsubscribe, publish, history, presence, "
                          "auth or ping");
}

static int check_members(struct reader *reader) {
    enum ws_command_type type = reader->command->type;
    unsigned given = 0;
    for (unsigned member = 0; member < MEMBERS; member++) {
        given |= reader->values[member].kind == VALUE_NONE ? 0 : BIT(member);
    }
    if ((given & commands[type].needs) != commands[type].needs) {
        return refuse(reader, type == WS_PUBLISH ? "\"channel\" and \"data\" are needed"
                              : type == WS_AUTH  ? "\"token\" is needed"
                                                 : "\"channel\" is needed");
    }
    unsigned known = commands[type].needs | commands[type].takes | BIT(TYPE) | BIT(REF);
    return (given & ~known) == 0 ? 0 : refuse(reader, "this command does not take that member");
}

// What is not given stays as it is.
static int take_text(struct reader *reader, enum member member, struct slice *text) {
    const struct value *value = &reader->values[member];
    if (value->kind == VALUE_TEXT) {
        *text = value->content;
    }
    return value->kind == VALUE_TEXT || value->kind == VALUE_NONE
               ? 0
               : refuse(reader, "channel, as, event, once, if and token are strings");
}

static int take_number(struct reader *reader, enum member member, uint64_t *number) {
    const struct value *value = &reader->values[member];
    if (value->kind == VALUE_WHOLE) {
        *number = value->number;
    }
    return value->kind == VALUE_WHOLE || value->kind == VALUE_NONE
               ? 0
               : refuse(reader, "rewind and limit are whole numbers, 0 or more");
}

static int take_since(struct reader *reader) {
    const struct value *value = &reader->values[SINCE];
    struct ws_command *command = reader->command;
    bool is_zero = value->kind == VALUE_WHOLE && value->number == 0;
    if (value->kind == VALUE_NONE) {
        return 0;
    }
    command->has_since = true;
    struct slice text = is_zero ? SLICE("0") : value->content;
    if ((value->kind != VALUE_TEXT && !is_zero) || cursor_item_parse(text, &command->since) < 0) {
        return refuse(reader, "\"since\" must be a position EPOCH-VERSION, \"0\" or \"\"");
    }
    return 0;
}

static int check_texts(struct reader *reader) {
    const struct ws_command *command = reader->command;
    struct position position;
    if (reader->values[CHANNEL].kind != VALUE_NONE && !channel_name_is_valid(command->channel)) {
        return refuse(reader, "\"channel\" must be 1-200 bytes of UTF-8 without control "
                              "characters, spaces and braces");
    }
    if (reader->values[EVENT].kind != VALUE_NONE && !event_name_is_valid(command->event)) {
        return refuse(reader, "\"event\" must be 1-64 printable ASCII characters and none of the "
                              "names that Freshet uses itself");
    }
    if (reader->values[ONCE].kind != VALUE_NONE &&
        (command->once.len == 0 || command->once.len > ONCE_BYTES_MAX)) {
        return refuse(reader, "\"once\" must have 1-200 bytes");
    }
    if (reader->values[IF].kind != VALUE_NONE && !slice_equal(command->if_head, SLICE("none")) &&
        position_parse(command->if_head, &position) < 0) {
        return refuse(reader, "\"if\" must be a position EPOCH-VERSION, or none");
    }
    return 0;
}

static int take_json_data(struct reader *reader) {
    struct ws_command *command = reader->command;
    struct slice raw = reader->values[DATA].raw;
    if (command->data_type == MESSAGE_JSON) {
        command->data = copy(&command->memory, raw);
        return 0;
    }
    struct bytes text = {0};
    int error = json_decode_string(&text, raw);
    size_t start = command->memory.len;
    if (error == 0 && command->data_type == MESSAGE_BINARY) {
        error = base64_decode(&command->memory, bytes_slice(&text));
    } else if (error == 0) {
        bytes_append(&command->memory, bytes_slice(&text));
    }
    command->data = decoded_since(&command->memory, start);
    bytes_release(&text);
    return error == 0 ? 0
                      : refuse(reader, "\"data\" must be a string: the text, or base64 with "
                                       "padding");
}

static int take_msgpack_data(struct reader *reader) {
    struct ws_command *command = reader->command;
    const struct value *value = &reader->values[DATA];
    bool is_binary = command->data_type == MESSAGE_BINARY;
    if (value->kind != (is_binary ? VALUE_BYTES : VALUE_TEXT)) {
        return refuse(reader, "\"data\" must be a bin as binary, and a str as text or json");
    }
    command->data = value->content;
    return 0;
}

static int take_data(struct reader *reader) {
    struct ws_command *command = reader->command;
    struct slice as = SLICE_NONE;
    int error = take_text(reader, AS, &as);
    if (error < 0 || command->type != WS_PUBLISH) {
        return error;
    }
    bool is_bin = reader->values[DATA].kind == VALUE_BYTES; // says by itself what it is
    command->data_type = is_bin ? MESSAGE_BINARY : MESSAGE_JSON;
    if (as.len > 0 && message_type_parse(as, &command->data_type) < 0) {
        return refuse(reader, "\"as\" must be json, text or binary");
    }
    error = reader->is_msgpack ? take_msgpack_data(reader) : take_json_data(reader);
    if (error == 0 && command->data.len > DATA_BYTES_MAX) {
        error = refuse_as(reader, "too-large", "the data has more than 1 MiB");
    }
    return error;
}

static int take_members(struct reader *reader) {
    struct ws_command *command = reader->command;
    int error = check_members(reader);
    error = error < 0 ? error : take_text(reader, CHANNEL, &command->channel);
    error = error < 0 ? error : take_text(reader, EVENT, &command->event);
    error = error < 0 ? error : take_text(reader, ONCE, &command->once);
    error = error < 0 ? error : take_text(reader, IF, &command->if_head);
    error = error < 0 ? error : take_text(reader, TOKEN, &command->token);
    error = error < 0 ? error : take_number(reader, REWIND, &command->rewind);
    error = error < 0 ? error : take_number(reader, LIMIT, &command->limit);
    command->has_limit = reader->values[LIMIT].kind == VALUE_WHOLE;
    error = error < 0 ? error : take_since(reader);
    error = error < 0 ? error : check_texts(reader);
    return error < 0 ? error : take_data(reader);
}

int ws_command_read(struct slice payload, enum ws_protocol protocol, struct ws_command *command_r,
                    struct ws_fault *fault_r) {
    CHECK(protocol != WS_RAW);
    *command_r = (struct ws_command){.since = {.kind = CURSOR_HEAD}};
    struct reader reader = {
        .command = command_r,
        .fault = fault_r,
        .is_msgpack = protocol == WS_MSGPACK,
    };
    // Nothing decodes to more bytes than it was, so what the slices point at stays where it is. The
    // ref is there twice.
    size_t room = payload.len + WS_REF_BYTES_MAX + 1;
    bytes_reserve(&command_r->memory, room);
    room = command_r->memory.cap;
    int error = reader.is_msgpack ? read_msgpack(&reader, payload) : read_json(&reader, payload);
    if (error < 0) {
        save_ref(&reader, payload);
    }
    error = error < 0 ? error : take_ref(&reader);
    error = error < 0 ? error : take_type(&reader);
    error = error < 0 ? error : take_members(&reader);
    CHECK(command_r->memory.cap == room);
    return error;
}

void ws_command_release(struct ws_command *command) {
    bytes_release(&command->memory);
}
