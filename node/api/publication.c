// Reads publications. One table names what may be said of one; a URL and JSON say it in two ways.
#include "node/api/publication.h"

#include "cluster/base/base64.h"
#include "cluster/base/json.h"
#include "cluster/base/json_walk.h"
#include "cluster/base/mem.h"
#include "node/http/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <uv.h>

// In the order of the table, and of nothing else.
enum member { CHANNEL, DATA, TYPE, EVENT, ONCE, IF, HISTORY, TTL, MEMBERS };

static const struct {
    const char *name;
    enum json_kind kind; // of DATA: any
} members[MEMBERS] = {
    [CHANNEL] = {"channel", JSON_KIND_STRING}, [DATA] = {"data", JSON_KIND_STRING},
    [TYPE] = {"type", JSON_KIND_STRING},       [EVENT] = {"event", JSON_KIND_STRING},
    [ONCE] = {"once", JSON_KIND_STRING},       [IF] = {"if", JSON_KIND_STRING},
    [HISTORY] = {"history", JSON_KIND_NUMBER}, [TTL] = {"ttl", JSON_KIND_NUMBER},
};

#define BIT(member) (1u << (member))

enum { HISTORY_MAX = 100000, TTL_MAX_S = 30 * 24 * 3600 };

int fault_set(struct fault *fault, int status, const char *code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fault->status = status;
    fault->code = code;
    vsnprintf(fault->detail, sizeof(fault->detail), format, arguments);
    va_end(arguments);
    return UV_EINVAL;
}

static int refuse(struct publication *item, const char *detail) {
    return fault_set(&item->fault, 400, "bad-request", "%s", detail);
}

static int find_member(struct publication *item, struct slice name, unsigned *seen,
                       enum member *member_r) {
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (!slice_equal(name, slice_of(members[i].name))) {
            continue;
        }
        if (*seen & BIT(i)) {
            return fault_set(&item->fault, 400, "bad-request", "\"%s\" is given twice",
                             members[i].name);
        }
        *seen |= BIT(i);
        *member_r = (enum member)i;
        return 0;
    }
    return refuse(item, "only channel, data, type, event, once, if, history and ttl are known");
}

static int set_number(struct publication *item, struct slice text, uint64_t max, const char *detail,
                      uint64_t *value_r) {
    if (slice_to_u64(text, max, value_r) < 0 || *value_r == 0) {
        return refuse(item, detail);
    }
    return 0;
}

static int set_if(struct publication *item, struct slice text) {
    struct position position;
    if (!slice_equal(text, SLICE("none")) && position_parse(text, &position) < 0) {
        return refuse(item, "\"if\" must be a position such as 1795375878745123-42, or none");
    }
    item->call.if_head = text;
    return 0;
}

// `text` must live as long as the request.
static int set_member(struct publication *item, enum member member, struct slice text) {
    struct publish_call *call = &item->call;
    switch (member) {
    case CHANNEL:
        call->channel = text;
        return channel_name_is_valid(text)
                   ? 0
                   : refuse(item, "\"channel\" must be 1-200 bytes of UTF-8 without control "
                                  "characters, spaces and braces");
    case TYPE:
        return message_type_parse(text, &call->type) == 0
                   ? 0
                   : refuse(item, "\"type\" must be json, text or binary");
    case EVENT:
        call->event = text;
        return event_name_is_valid(text)
                   ? 0
                   : refuse(item, "\"event\" must be 1-64 printable ASCII characters and none of "
                                  "the names that Freshet uses itself");
    case ONCE:
        call->once = text;
        return text.len >= 1 && text.len <= ONCE_BYTES_MAX
                   ? 0
                   : refuse(item, "\"once\" (or Idempotency-Key) must have 1-200 bytes");
    case IF:
        return set_if(item, text);
    case HISTORY:
        return set_number(item, text, HISTORY_MAX, "\"history\" must be 1 to 100000",
                          &call->history);
    case TTL:
        return set_number(item, text, TTL_MAX_S, "\"ttl\" must be 1 to 2592000 seconds",
                          &call->ttl_s);
    case DATA:
    case MEMBERS:
        break;
    }
    return refuse(item, "with channel= in the URL the body is the data");
}

static int set_data(struct publication *item, struct slice data) {
    item->call.data = data;
    if (data.len <= DATA_BYTES_MAX) {
        return 0;
    }
    return fault_set(&item->fault, 413, "too-large", "data of %zu bytes; at most %d are allowed",
                     data.len, DATA_BYTES_MAX);
}

// What lies in `memory` from `start` on. It never moves: there is room for all that is decoded.
static struct slice decoded(const struct bytes *memory, size_t start) {
    return slice_make(memory->data + start, memory->len - start);
}

// `value` is the raw JSON of member `data`.
static int decode_data(struct publication *item, struct bytes *memory, struct slice value) {
    if (item->call.type == MESSAGE_JSON) {
        return set_data(item, value);
    }
    size_t start = memory->len;
    if (json_decode_string(memory, value) < 0) {
        return refuse(item, "\"data\" of type text or binary must be a string");
    }
    if (item->call.type == MESSAGE_BINARY) {
        struct slice text = decoded(memory, start);
        start = memory->len;
        if (base64_decode(memory, text) < 0) {
            return refuse(item, "\"data\" of type binary must be base64 with padding");
        }
    }
    return set_data(item, decoded(memory, start));
}

static int read_member(struct publication *item, struct bytes *memory, enum member member,
                       struct slice value) {
    enum json_kind kind = json_kind(value);
    if (kind == JSON_KIND_NULL) {
        return 0; // many writers say so of what is not given
    }
    if (kind != members[member].kind) {
        return fault_set(&item->fault, 400, "bad-request", "\"%s\" must be a %s",
                         members[member].name,
                         members[member].kind == JSON_KIND_STRING ? "string" : "number");
    }
    if (kind == JSON_KIND_NUMBER) {
        return set_member(item, member, value);
    }
    size_t start = memory->len;
    if (json_decode_string(memory, value) < 0) {
        return fault_set(&item->fault, 400, "bad-request", "\"%s\" holds half of a surrogate pair",
                         members[member].name);
    }
    return set_member(item, member, decoded(memory, start));
}

static int read_object(struct publication *item, struct bytes *memory, struct slice object) {
    if (json_kind(object) != JSON_KIND_OBJECT) {
        return refuse(item, "a publication is an object: {\"channel\":\"a\",\"data\":1}");
    }
    struct json_walk walk = json_walk_into(object);
    struct slice name;
    struct slice value;
    struct slice data = SLICE_NONE;
    unsigned seen = 0;
    while (json_walk_member(&walk, &name, &value)) {
        enum member member;
        int error = find_member(item, name, &seen, &member);
        if (error == 0 && member == DATA) {
            data = value;
        } else if (error == 0) {
            error = read_member(item, memory, member, value);
        }
        if (error < 0) {
            return error;
        }
    }
    if (item->call.channel.len == 0 || data.data == NULL) {
        return refuse(item, "\"channel\" and \"data\" are needed");
    }
    return decode_data(item, memory, data);
}

// The body's type as its Content-Type says; json when it does not.
static enum message_type type_of_content(struct slice content_type) {
    struct slice type = slice_trim(slice_cut(&content_type, ';'));
    struct slice start = slice_make(type.data, type.len < 5 ? type.len : 5);
    if (slice_equal_nocase(start, SLICE("text/"))) {
        return MESSAGE_TEXT;
    }
    return slice_equal_nocase(type, SLICE("application/octet-stream")) ? MESSAGE_BINARY
                                                                       : MESSAGE_JSON;
}

// `?channel=...&type=...`, the body is the data.
static int read_raw(struct publication *item, struct bytes *memory,
                    const struct publish_source *source, struct slice body) {
    item->call.type = type_of_content(source->content_type);
    struct slice query = source->query;
    struct slice name;
    struct slice value;
    unsigned seen = 0;
    int more;
    while ((more = query_next(&query, memory, &name, &value)) > 0) {
        enum member member;
        int error = find_member(item, name, &seen, &member);
        error = error < 0 ? error : set_member(item, member, value);
        if (error < 0) {
            return error;
        }
    }
    if (more < 0) {
        return refuse(item, "broken percent-encoding in the URL");
    }
    if (item->call.channel.len == 0) {
        return refuse(item, "with parameters in the URL channel= is needed");
    }
    if (item->call.type == MESSAGE_TEXT && !slice_is_utf8(body)) {
        return refuse(item, "a body of type text must be UTF-8; send other bytes with type=binary");
    }
    return set_data(item, body);
}

static int read_key(struct publication *item, struct bytes *memory, struct slice key) {
    if (key.data == NULL) {
        return 0;
    }
    if (item->call.once.len > 0 && !slice_equal(item->call.once, key)) {
        return refuse(item, "Idempotency-Key and \"once\" contradict each other");
    }
    size_t start = memory->len;
    bytes_append(memory, key);
    return set_member(item, ONCE, decoded(memory, start));
}

static void make_room(struct publish_request *request, size_t count) {
    request->items = mem_alloc_array(count == 0 ? 1 : count, sizeof(*request->items));
    request->count = count;
}

static int read_array(struct publish_request *request, const struct publish_source *source,
                      struct slice body, struct fault *fault_r) {
    if (source->idempotency_key.data != NULL) {
        return fault_set(fault_r, 400, "bad-request",
                         "an array has no single Idempotency-Key: give each item its \"once\"");
    }
    struct json_walk walk = json_walk_into(body);
    struct slice value;
    size_t count = 0;
    while (json_walk_element(&walk, &value)) {
        count++;
    }
    if (count > PUBLICATIONS_MAX) {
        return fault_set(fault_r, 400, "bad-request", "at most %d publications in an array",
                         PUBLICATIONS_MAX);
    }
    request->is_array = true;
    make_room(request, count);
    walk = json_walk_into(body);
    for (size_t i = 0; json_walk_element(&walk, &value); i++) {
        // A fault is this one's own.
        (void)read_object(&request->items[i], &request->memory, value);
    }
    return 0;
}

static int read_one(struct publish_request *request, const struct publish_source *source,
                    struct slice body, struct fault *fault_r) {
    make_room(request, 1);
    struct publication *item = &request->items[0];
    int error = source->query.len > 0 ? read_raw(item, &request->memory, source, body)
                                      : read_object(item, &request->memory, body);
    if (error == 0) {
        error = read_key(item, &request->memory, source->idempotency_key);
    }
    *fault_r = item->fault;
    return error;
}

int publish_request_read(const struct publish_source *source, struct publish_request *request_r,
                         struct fault *fault_r) {
    *request_r = (struct publish_request){0};
    // The body, its strings decoded, and what of them was base64; nothing of it moves later.
    size_t room = 3 * source->body.len + source->query.len + source->idempotency_key.len + 1;
    request_r->memory.data = mem_try_alloc(room);
    if (request_r->memory.data == NULL) {
        return fault_set(fault_r, 503, "unavailable", "out of memory");
    }
    request_r->memory.cap = room;
    bytes_append(&request_r->memory, source->body);
    struct slice body = bytes_slice(&request_r->memory);
    int error = source->query.len > 0 ? 0 : json_check(body);
    if (error < 0) {
        error = fault_set(fault_r, 400, "json",
                          "the body is %s; to send other data, put channel= into the URL",
                          json_problem(error));
    } else if (source->query.len > 0) {
        error = read_one(request_r, source, body, fault_r);
    } else if (json_kind(body) == JSON_KIND_ARRAY) {
        error = read_array(request_r, source, body, fault_r);
    } else {
        error = read_one(request_r, source, body, fault_r);
    }
    if (error < 0) {
        publish_request_release(request_r);
        return error;
    }
    CHECK(request_r->memory.cap == room);
    return 0;
}

void publish_request_release(struct publish_request *request) {
    mem_free(request->items);
    bytes_release(&request->memory);
    *request = (struct publish_request){0};
}
