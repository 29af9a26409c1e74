// The JSON of a node: the answer of a poll, and the objects of a WebSocket or a stream.
//
// One walk over each, whatever the order of its keys; what is not known is stepped over, and so
// are strings with escapes, which are none of ours.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/load.h"

static const char *string_end(const char *at, const char *end) {
    while (at < end && *at != '"') {
        at += *at == '\\' ? 2 : 1;
    }
    return at < end ? at : end;
}

// A key lies between key and at, its closing quote; false when it is a string among the values.
static bool is_key(const char *at, const char *end) {
    return end - at >= 4 && at[1] == ':';
}

// Takes what belongs to a message; the value begins behind `at` and its colon.
static void message_key(struct message *message, const char *key, const char *at, const char *end) {
    const char *value = at + 2;
    if (answer_line_is(key, at, "id")) {
        position_parse(value + 1, end, &message->id);
    } else if (answer_line_is(key, at, "fork")) {
        position_parse(value + 1, end, &message->fork);
    } else if (answer_line_is(key, at, "data")) {
        answer_payload(value, end, &message->payload);
    }
}

// --- polls ----------------------------------------------------------------------------------

// {"cursor":C,"messages":[{"id":P,...,"data":{"n":1,"t":2}}],"resets":[{...}],"more":true}:
// depth 1 is the answer, 3 a message or a reset.
struct poll_walk {
    int depth;
    enum { LIST_OTHER, LIST_MESSAGES, LIST_RESETS } list;
    struct position cursor;
    struct message message;
    bool has_cursor, has_more;
};

static void poll_key(struct poll_walk *walk, const char *key, const char *at, const char *end) {
    const char *value = at + 2;
    if (walk->depth == 3) {
        message_key(&walk->message, key, at, end);
    }
    if (walk->depth != 1) {
        return;
    }
    walk->list = answer_line_is(key, at, "messages") ? LIST_MESSAGES
                 : answer_line_is(key, at, "resets") ? LIST_RESETS
                                                     : LIST_OTHER;
    if (answer_line_is(key, at, "cursor")) {
        walk->has_cursor = position_parse(value + 1, end, &walk->cursor) != 0;
    } else if (answer_line_is(key, at, "more")) {
        walk->has_more = *value == 't';
    }
}

static void poll_item(struct client *client, struct poll_walk *walk) {
    if (walk->list == LIST_RESETS) {
        client_tally(client)->resets++;
    } else if (walk->list == LIST_MESSAGES && walk->message.payload.n != 0) {
        answer_message(client, &walk->message);
    }
    walk->message = (struct message){.shows_fork = true};
}

// An ETag is the cursor in quotes.
static bool etag_is(const struct client *client, struct position cursor) {
    char etag[HTTP_ETAG_MAX];
    snprintf(etag, sizeof(etag), "\"%" PRIu64 "-%" PRIu64 "\"", cursor.epoch, cursor.version);
    return strcmp(client->http.etag, etag) == 0;
}

bool answer_unchanged(const struct client *client) {
    return client->has_etag && !client->http.is_stale && etag_is(client, client->cursor);
}

bool answer_poll(struct client *client, const char *body, size_t length) {
    struct poll_walk walk = {.message.shows_fork = true};
    const char *end = body + length;
    for (const char *at = body; at < end; at++) {
        if (*at == '"') {
            const char *key = at + 1;
            at = string_end(key, end);
            if (is_key(at, end)) {
                poll_key(&walk, key, at, end);
            }
        } else if (*at == '{' || *at == '[') {
            walk.depth++;
        } else if (*at == '}' || *at == ']') {
            if (walk.depth == 3 && *at == '}') {
                poll_item(client, &walk);
            }
            walk.depth--;
        }
    }
    if (!walk.has_cursor || walk.depth != 0) {
        return false;
    }
    answer_resume(client, walk.cursor); // the last message's position, or still the one asked for
    client->has_more = walk.has_more;
    client->has_etag = etag_is(client, walk.cursor);
    // What is stale goes without an ETag, so that no cache takes it for the truth.
    bool is_tagged = client->http.is_stale ? client->http.etag[0] == '\0' : client->has_etag;
    if (!is_tagged) {
        client_tally(client)->broken++;
    }
    return true;
}

// --- objects of a WebSocket or a stream -------------------------------------------------------

// Only the outermost keys matter. A message has no type.
struct object {
    const char *type, *type_end;
    struct position position, to;
    struct message message;
    uint32_t retry_ms;
};

static void object_key(struct object *object, const char *key, const char *at, const char *end) {
    const char *value = at + 2;
    if (answer_line_is(key, at, "type")) {
        object->type = value + 1;
        object->type_end = string_end(value + 1, end);
    } else if (answer_line_is(key, at, "position")) {
        position_parse(value + 1, end, &object->position);
    } else if (answer_line_is(key, at, "to")) {
        position_parse(value + 1, end, &object->to);
    } else if (answer_line_is(key, at, "retry")) {
        for (; value < end && *value >= '0' && *value <= '9'; value++) {
            object->retry_ms = object->retry_ms * 10 + (uint32_t)(*value - '0');
        }
    } else {
        message_key(&object->message, key, at, end);
    }
}

static bool has_type(const struct object *object, const char *type) {
    return object->type != NULL && answer_line_is(object->type, object->type_end, type);
}

// In this order: hello, ok, and then all else. An error is not in the list.
static bool object_take(struct client *client, const struct object *object) {
    if (has_type(object, "bye")) { // and the end comes next
        client->retry_ms = object->retry_ms;
        return true;
    }
    if (client->stage == STAGE_SILENT) {
        client->stage = STAGE_GREETED;
        return has_type(object, "hello");
    }
    if (has_type(object, "stale")) {
        return true;
    }
    if (client->stage == STAGE_GREETED) {
        if (!has_type(object, "ok") || object->position.epoch == 0) {
            return false;
        }
        client->stage = STAGE_SUBSCRIBED;
        answer_resume(client, object->position);
        return true;
    }
    if (object->type == NULL && object->message.payload.n != 0) {
        answer_message(client, &object->message);
        return true;
    }
    if (!has_type(object, "reset")) {
        return false;
    }
    answer_reset(client, object->to);
    return true;
}

enum outcome answer_object(struct client *client, const char *text, size_t length) {
    struct object object = {.message.shows_fork = true};
    const char *end = text + length;
    int depth = 0;
    for (const char *at = text; at < end; at++) {
        if (*at == '"') {
            const char *key = at + 1;
            at = string_end(key, end);
            if (depth == 1 && is_key(at, end)) {
                object_key(&object, key, at, end);
            }
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            depth--;
        }
    }
    bool is_whole = depth == 0 && length != 0 && *text == '{';
    return is_whole && object_take(client, &object) ? OUTCOME_MORE : OUTCOME_WRONG;
}
