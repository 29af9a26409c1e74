// What the answers of a node mean to a client of the load generator, and the lines of an event
// stream. The JSON of the other transports is object.c's. All hand each message to the judge.
#include <stdlib.h>
#include <string.h>

#include "tests/bench/load.h"

struct tally *client_tally(const struct client *client) {
    return &client->load->tallies[client->transport];
}

void answer_start(struct client *client) {
    if (client->is_started) {
        return;
    }
    client->is_started = true;
    client->load->started++;
}

void answer_resume(struct client *client, struct position position) {
    if (client->is_started && !position_equals(position, client->cursor)) {
        client_tally(client)->broken++;
    }
    client->cursor = position;
    answer_start(client);
}

void answer_message(struct client *client, const struct message *message) {
    tally_message(client_tally(client), &client->progress, client->cursor, message, uv_hrtime());
    client->cursor = message->id;
}

void answer_reset(struct client *client, struct position to) {
    client_tally(client)->resets++;
    client->cursor = to;
}

// The payload is our own: {"n":1,"t":2,...}.
bool answer_payload(const char *text, const char *end, struct payload *payload_r) {
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
            struct message message = {.id = client->event_id, .payload = client->event_payload};
            answer_message(client, &message);
        }
        break;
    case EVENT_HELLO:
        answer_resume(client, client->event_id);
        break;
    case EVENT_RESET:
        answer_reset(client, client->event_id);
        break;
    case EVENT_OTHER:
        break;
    }
    client->event_kind = EVENT_MESSAGE;
    client->event_payload = (struct payload){0};
}

bool answer_line_is(const char *line, const char *end, const char *text) {
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
        answer_payload(line + 6, end, &client->event_payload);
    } else if (memcmp(line, "id: ", 4) == 0) {
        position_parse(line + 4, end, &client->event_id);
    } else if (answer_line_is(line, end, "event: hello")) {
        client->event_kind = EVENT_HELLO;
    } else if (answer_line_is(line, end, "event: reset")) {
        client->event_kind = EVENT_RESET;
    } else if (memcmp(line, "even", 4) == 0) {
        client->event_kind = EVENT_OTHER;
    } else if (memcmp(line, "retry: ", 7) == 0) {
        client->retry_ms = (uint32_t)strtoul(line + 7, NULL, 10); // ends at the line's end
    }
}
