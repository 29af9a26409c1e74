// What the answers of a node mean to a client of the load generator: lines of an event stream, the
// JSON of a poll, the objects of a WebSocket. All hand each message to the judge.
#include <string.h>

#include "tests/bench/load.h"

struct tally *client_tally(const struct client *client) {
    return &client->load->tallies[client->transport];
}

static void client_start(struct client *client) {
    if (client->is_started) {
        return;
    }
    client->is_started = true;
    client->load->started++;
}

static void client_take(struct client *client, struct position id, struct payload payload) {
    tally_message(client_tally(client), &client->progress, client->cursor, id, payload,
                  uv_hrtime());
    client->cursor = id;
}

// The payload is our own: {"n":1,"t":2,...}.
static bool payload_parse(const char *text, const char *end, struct payload *payload_r) {
    static const char head[] = "{\"n\":";
    const size_t head_bytes = sizeof(head) - 1;
    if ((size_t)(end - text) < head_bytes || memcmp(text, head, head_bytes) != 0) {
        return false;
    }
    uint64_t values[2] = {0, 0};
    const char *at = text + head_bytes;
    for (int i = 0; i < 2; i++) {
        while (at < end && *at >= '0' && *at <= '9') {
            values[i] = values[i] * 10 + (uint64_t)(*at++ - '0');
        }
        if (i == 0) {
            at += 5; // ,"t":
        }
    }
    *payload_r = (struct payload){.n = values[0], .t_ns = values[1]};
    return at <= end;
}

static void sse_dispatch(struct client *client) {
    switch (client->event_kind) {
    case EVENT_MESSAGE:
        if (client->event_payload.n != 0) {
            client_take(client, client->event_id, client->event_payload);
        }
        break;
    case EVENT_HELLO:
        if (!client->is_started) {
            client->cursor = client->event_id;
        }
        client_start(client);
        break;
    case EVENT_RESET:
        client_tally(client)->resets++;
        client->cursor = client->event_id;
        break;
    case EVENT_OTHER:
        break;
    }
    client->event_kind = EVENT_MESSAGE;
    client->event_payload = (struct payload){0};
}

static bool line_is(const char *line, const char *end, const char *text) {
    size_t length = strlen(text);
    return (size_t)(end - line) == length && memcmp(line, text, length) == 0;
}

void answer_sse_line(struct client *client, const char *line, const char *end) {
    if (end > line && end[-1] == '\r') {
        end--;
    }
    if (line == end) {
        sse_dispatch(client);
        return;
    }
    if (end - line < 4) {
        return;
    }
    if (memcmp(line, "data", 4) == 0 && end - line > 6) {
        payload_parse(line + 6, end, &client->event_payload);
    } else if (memcmp(line, "id: ", 4) == 0) {
        position_parse(line + 4, end, &client->event_id);
    } else if (line_is(line, end, "event: hello")) {
        client->event_kind = EVENT_HELLO;
    } else if (line_is(line, end, "event: reset")) {
        client->event_kind = EVENT_RESET;
    } else if (memcmp(line, "even", 4) == 0) {
        client->event_kind = EVENT_OTHER;
    }
}

// A poll's answer: {"cursor":C,"messages":[{"id":P,...,"data":{"n":1,"t":2}}],"resets":[{...}]}.
// One walk over the JSON, whatever the order of its keys: depth 1 is the answer, 3 a message or a
// reset. Strings with escapes are none of ours, and are stepped over all the same.
struct poll_walk {
    int depth;
    enum { LIST_OTHER, LIST_MESSAGES, LIST_RESETS } list;
    struct position cursor, id;
    struct payload payload;
    bool has_cursor;
};

static const char *string_end(const char *at, const char *end) {
    while (at < end && *at != '"') {
        at += *at == '\\' ? 2 : 1;
    }
    return at < end ? at : end;
}

// A key, or a string among the values, lies between key and at (its closing quote).
static void poll_key(struct poll_walk *walk, const char *key, const char *at, const char *end) {
    const char *value = at + 2;
    if (end - at < 4 || at[1] != ':') {
        return;
    }
    if (walk->depth == 1) {
        if (line_is(key, at, "cursor")) {
            walk->has_cursor = position_parse(value + 1, end, &walk->cursor) != 0;
        }
        walk->list = line_is(key, at, "messages") ? LIST_MESSAGES
                     : line_is(key, at, "resets") ? LIST_RESETS
                                                  : LIST_OTHER;
    } else if (walk->depth == 3) {
        if (line_is(key, at, "id")) {
            position_parse(value + 1, end, &walk->id);
        }
        if (line_is(key, at, "data")) {
            payload_parse(value, end, &walk->payload);
        }
    }
}

bool answer_poll(struct client *client, const char *body, size_t length) {
    struct poll_walk walk = {0};
    const char *end = body + length;
    for (const char *at = body; at < end; at++) {
        if (*at == '"') {
            const char *key = at + 1;
            at = string_end(key, end);
            poll_key(&walk, key, at, end);
        } else if (*at == '{' || *at == '[') {
            walk.depth++;
        } else if (*at == '}' || *at == ']') {
            if (walk.depth == 3 && *at == '}') {
                if (walk.list == LIST_RESETS) {
                    client_tally(client)->resets++;
                }
                if (walk.list == LIST_MESSAGES && walk.payload.n != 0) {
                    client_take(client, walk.id, walk.payload);
                }
                walk.payload = (struct payload){0};
            }
            walk.depth--;
        }
    }
    if (!walk.has_cursor || walk.depth != 0) {
        return false;
    }
    bool is_last =
        walk.cursor.epoch == client->cursor.epoch && walk.cursor.version == client->cursor.version;
    if (client->is_started && !is_last) {
        client_tally(client)->broken++;
    }
    client->cursor = walk.cursor;
    client_start(client);
    return true;
}

// What a WebSocket brings: one object, of which only the outermost keys matter. A message has no
// type.
struct ws_object {
    const char *type, *type_end;
    struct position id, position, to;
    struct payload payload;
};

static void ws_key(struct ws_object *object, const char *key, const char *at, const char *end) {
    const char *value = at + 2;
    if (end - at < 4 || at[1] != ':') {
        return;
    }
    if (line_is(key, at, "type")) {
        object->type = value + 1;
        object->type_end = string_end(value + 1, end);
    } else if (line_is(key, at, "id")) {
        position_parse(value + 1, end, &object->id);
    } else if (line_is(key, at, "position")) {
        position_parse(value + 1, end, &object->position);
    } else if (line_is(key, at, "to")) {
        position_parse(value + 1, end, &object->to);
    } else if (line_is(key, at, "data")) {
        payload_parse(value, end, &object->payload);
    }
}

// A resume is answered with the position asked for, whatever follows.
static void ws_subscribed(struct client *client, struct position position) {
    bool is_asked =
        position.epoch == client->cursor.epoch && position.version == client->cursor.version;
    if (client->is_started && !is_asked) {
        client_tally(client)->broken++;
    }
    client->ws_stage = WS_SUBSCRIBED;
    client->cursor = position;
    client_start(client);
}

// In this order: hello, ok, and then all else. An error is not in the list: it ends the connection.
static bool ws_take(struct client *client, const struct ws_object *object) {
    const char *type = object->type;
    const char *end = object->type_end;
    if (client->ws_stage == WS_SILENT) {
        client->ws_stage = WS_GREETED;
        return type != NULL && line_is(type, end, "hello");
    }
    if (type != NULL && (line_is(type, end, "stale") || line_is(type, end, "bye"))) {
        return true; // who is told bye is cut off next, and that is what counts
    }
    if (client->ws_stage == WS_GREETED) {
        if (type == NULL || !line_is(type, end, "ok") || object->position.epoch == 0) {
            return false;
        }
        ws_subscribed(client, object->position);
        return true;
    }
    if (type == NULL && object->payload.n != 0) {
        client_take(client, object->id, object->payload);
        return true;
    }
    if (type == NULL || !line_is(type, end, "reset")) {
        return false;
    }
    client_tally(client)->resets++;
    client->cursor = object->to;
    return true;
}

bool answer_ws(struct client *client, const char *text, size_t length) {
    struct ws_object object = {0};
    const char *end = text + length;
    int depth = 0;
    for (const char *at = text; at < end; at++) {
        if (*at == '"') {
            const char *key = at + 1;
            at = string_end(key, end);
            if (depth == 1) {
                ws_key(&object, key, at, end);
            }
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            depth--;
        }
    }
    return depth == 0 && length != 0 && *text == '{' && ws_take(client, &object);
}
