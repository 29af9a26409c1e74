// Reading what a client wants to read. The query's form and the JSON body's form end in the same
// checks.
#include "node/transport/open_request.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <uv.h>

#include "cluster/base/json.h"
#include "cluster/base/mem.h"
#include "node/http/syntax.h"
#include "node/transport/etag.h"

// While a request is read.
struct reader {
    struct open_request *open;
    const struct grant *grant;
    const struct config *config; // the grant's
    enum open_use use;
    struct open_problem *problem;
    struct slice since; // data NULL: not given
    struct slice min;
};

PRINTF_LIKE(3, 4)
static int refuse(struct reader *reader, int status, const char *format, ...) {
    reader->problem->status = status;
    reader->problem->code = "bad-request";
    va_list args;
    va_start(args, format);
    vsnprintf(reader->problem->detail, sizeof(reader->problem->detail), format, args);
    va_end(args);
    return UV_EINVAL;
}

static int add_channel(struct reader *reader, struct slice name) {
    struct open_request *open = reader->open;
    if (!channel_name_is_valid(name)) {
        return refuse(reader, 400,
                      "a channel's name is 1 to 200 bytes of UTF-8 without control characters, "
                      "space, { and }");
    }
    const struct config *config = reader->config;
    size_t max = open->is_post ? config->channels_per_connection : config->channels_per_request;
    if (open->count == max) {
        return refuse(reader, 400, "more than %zu channels", max);
    }
    for (size_t i = 0; i < open->count && !open->is_post; i++) { // an object's names are distinct
        if (slice_equal(open->channels[i].name, name)) {
            return refuse(reader, 400, "channel %.*s is there twice", SLICE_ARGS(name));
        }
    }
    open->channels[open->count++] = (struct open_channel){.name = name};
    return 0;
}

static int read_number(struct reader *reader, const char *name, struct slice value, uint64_t max,
                       uint64_t *number_r) {
    bool is_digits = value.len > 0;
    for (size_t i = 0; i < value.len; i++) {
        is_digits = is_digits && value.data[i] >= '0' && value.data[i] <= '9';
    }
    if (!is_digits) {
        return refuse(reader, 400, "%s must be a number of decimal digits", name);
    }
    if (slice_to_u64(value, max, number_r) < 0) {
        *number_r = max; // too large ones are clamped, whatever their length
    }
    return 0;
}

static int read_envelope(struct reader *reader, struct slice value) {
    reader->open->is_envelope = slice_equal(value, SLICE("1"));
    if (!reader->open->is_envelope && !slice_equal(value, SLICE("0"))) {
        return refuse(reader, 400, "envelope must be 1 or 0");
    }
    return 0;
}

static int read_parameter(struct reader *reader, struct slice name, struct slice value) {
    struct open_request *open = reader->open;
    uint64_t wait_s = 0;
    int error = 0;
    if (slice_equal(name, SLICE("channel"))) {
        return add_channel(reader, value);
    }
    if (slice_equal(name, SLICE("since"))) {
        reader->since = value;
    } else if (slice_equal(name, SLICE("min"))) {
        reader->min = value;
    } else if (slice_equal(name, SLICE("wait"))) {
        error = read_number(reader, "wait", value, WAIT_S_MAX, &wait_s);
        open->wait_ms = wait_s * 1000;
        open->is_wait_preferred = false;
    } else if (slice_equal(name, SLICE("limit"))) {
        error = read_number(reader, "limit", value, reader->config->page_messages, &open->limit);
    } else if (slice_equal(name, SLICE("rewind"))) {
        error = read_number(reader, "rewind", value, reader->config->page_messages, &open->rewind);
    } else if (slice_equal(name, SLICE("envelope"))) {
        error = read_envelope(reader, value);
    }
    return error;
}

static int read_query(struct reader *reader, struct slice query) {
    struct open_request *open = reader->open;
    bytes_reserve(&open->arena, query.len + 1);
    open->channels = mem_alloc_array(reader->config->channels_per_request, sizeof(*open->channels));
    struct slice name;
    struct slice value;
    int found;
    while ((found = query_next(&query, &open->arena, &name, &value)) > 0) {
        int error = read_parameter(reader, name, value);
        if (error < 0) {
            return error;
        }
    }
    if (found < 0) {
        return refuse(reader, 400, "broken percent-encoding in the query");
    }
    if (open->count == 0 && reader->use != OPEN_WEBSOCKET) { // that one subscribes later
        return refuse(reader, 400, "at least one channel=NAME is needed");
    }
    open->has_since = reader->since.data != NULL;
    return 0;
}

// A position, `0` or empty for each channel; *is_other_length_r when there are more or fewer.
static int read_list(struct reader *reader, const char *what, struct slice list,
                     struct cursor_item *items_r, bool *is_other_length_r) {
    size_t count;
    if (cursor_parse(list, items_r, reader->open->count, &count) < 0) {
        return refuse(reader, 400,
                      "%s must be one position EPOCH-VERSION, 0 or nothing for each channel, "
                      "joined by commas",
                      what);
    }
    *is_other_length_r = count != reader->open->count;
    return 0;
}

static int read_since(struct reader *reader, const char *what, struct slice list) {
    struct open_request *open = reader->open;
    struct cursor_item *items = mem_alloc_array(open->count, sizeof(*items));
    bool is_other_length = false;
    int error = read_list(reader, what, list, items, &is_other_length);
    if (error == 0 && is_other_length && reader->use != OPEN_SSE) {
        error = refuse(reader, 400, "%s must have as many items as there are channels", what);
    }
    open->is_foreign = is_other_length;
    for (size_t i = 0; i < open->count && error == 0 && !is_other_length; i++) {
        open->channels[i].item = items[i];
    }
    mem_free(items);
    return error;
}

static int read_min(struct reader *reader) {
    struct open_request *open = reader->open;
    struct cursor_item *items = mem_alloc_array(open->count, sizeof(*items));
    bool is_other_length = false;
    int error = read_list(reader, "min", reader->min, items, &is_other_length);
    if (error == 0 && is_other_length) {
        error = refuse(reader, 400, "min must have as many items as there are channels");
    }
    for (size_t i = 0; i < open->count && error == 0; i++) {
        open->channels[i].min = items[i].position;
        open->has_min = open->has_min || items[i].kind == CURSOR_SINCE;
    }
    mem_free(items);
    return error;
}

// A hand-written poller that sends back what ETag gave it needs nothing else.
static bool take_etag(struct reader *reader, const struct request *request) {
    struct open_request *open = reader->open;
    struct slice field;
    struct slice tag;
    size_t count;
    if (reader->use != OPEN_POLL || !request_field(request, SLICE("If-None-Match"), &field) ||
        !etag_list_single(field, &tag)) {
        return false;
    }
    struct cursor_item *items = mem_alloc_array(open->count, sizeof(*items));
    bool is_cursor =
        tag.len > 0 && cursor_parse(tag, items, open->count, &count) == 0 && count == open->count;
    for (size_t i = 0; i < open->count && is_cursor; i++) {
        open->channels[i].item = items[i];
    }
    mem_free(items);
    return is_cursor;
}

// Where to begin, in the order of precedence.
static int read_start(struct reader *reader, const struct request *request) {
    struct open_request *open = reader->open;
    struct slice last_event_id;
    if (reader->use != OPEN_POLL &&
        request_field(request, SLICE("Last-Event-ID"), &last_event_id) && last_event_id.len > 0) {
        open->rewind = 0; // an EventSource repeats its URL when it comes back
        return read_since(reader, "Last-Event-ID", last_event_id);
    }
    if (open->has_since) {
        return read_since(reader, "since", reader->since);
    }
    if (take_etag(reader, request)) {
        open->rewind = 0;
    }
    return 0;
}

// ---- The JSON form -----------------------------------------------------------------------------

static int read_json_number(struct reader *reader, const json_t *root, const char *name,
                            uint64_t max, uint64_t *number_r) {
    const json_t *value = json_object_get(root, name);
    if (value == NULL) {
        return 0;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return refuse(reader, 400, "%s must be a whole number, 0 or more", name);
    }
    uint64_t number = (uint64_t)json_integer_value(value);
    *number_r = number < max ? number : max;
    return 0;
}

static int read_json_channels(struct reader *reader, json_t *channels) {
    struct open_request *open = reader->open;
    if (!json_is_object(channels) || json_object_size(channels) == 0) {
        return refuse(reader, 400, "the body must be {\"channels\":{NAME:CURSOR,...},...}");
    }
    if (json_object_size(channels) > reader->config->channels_per_connection) {
        return refuse(reader, 400, "more than %zu channels",
                      reader->config->channels_per_connection);
    }
    open->channels = mem_alloc_array(json_object_size(channels), sizeof(*open->channels));
    const char *name;
    json_t *value;
    json_object_foreach(channels, name, value) {
        int error = add_channel(reader, slice_of(name));
        if (error < 0) {
            return error;
        }
        struct slice text = slice_make(json_string_value(value), json_string_length(value));
        if (!json_is_string(value) ||
            cursor_item_parse(text, &open->channels[open->count - 1].item) < 0) {
            return refuse(reader, 400,
                          "the cursor of %s must be a position EPOCH-VERSION, \"0\" or \"\"", name);
        }
    }
    return 0;
}

static int read_json_min(struct reader *reader, json_t *min) {
    struct open_request *open = reader->open;
    if (min == NULL) {
        return 0;
    }
    if (!json_is_object(min)) {
        return refuse(reader, 400, "min must be an object of positions");
    }
    size_t known = 0;
    for (size_t i = 0; i < open->count; i++) {
        struct slice name = open->channels[i].name; // jansson's, so there is a NUL behind it
        json_t *value = json_object_get(min, name.data);
        struct cursor_item item = {0};
        if (value == NULL) {
            continue;
        }
        struct slice text = slice_make(json_string_value(value), json_string_length(value));
        if (!json_is_string(value) || cursor_item_parse(text, &item) < 0) {
            return refuse(reader, 400, "min of %s must be a position EPOCH-VERSION or \"\"",
                          name.data);
        }
        open->channels[i].min = item.position;
        open->has_min = open->has_min || item.kind == CURSOR_SINCE;
        known++;
    }
    if (known < json_object_size(min)) {
        return refuse(reader, 400, "min names a channel that is not among the channels");
    }
    return 0;
}

static int read_body(struct reader *reader, const struct request *request) {
    struct open_request *open = reader->open;
    struct slice query = request->query;
    struct slice name;
    struct slice value;
    int found;
    bytes_reserve(&open->arena, query.len + 1);
    while ((found = query_next(&query, &open->arena, &name, &value)) > 0) {
        if (slice_equal(name, SLICE("channel"))) {
            return refuse(reader, 400, "channels are in the body or in the URL, not in both");
        }
    }
    int error = json_check(request->body); // jansson would take a NUL for the end
    if (error < 0) {
        return refuse(reader, 400, "the body is %s", json_problem(error));
    }
    json_error_t why;
    json_t *root = json_loadb(request->body.data, request->body.len, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL) {
        return refuse(reader, 400, "the body is not JSON: %s", why.text);
    }
    open->json = root;
    uint64_t wait_s = open->wait_ms / 1000;
    bool has_wait = json_object_get(root, "wait") != NULL;
    size_t page = reader->config->page_messages;
    error = read_json_channels(reader, json_object_get(root, "channels"));
    error = error < 0 ? error : read_json_number(reader, root, "wait", WAIT_S_MAX, &wait_s);
    error = error < 0 ? error : read_json_number(reader, root, "limit", page, &open->limit);
    error = error < 0 ? error : read_json_number(reader, root, "rewind", page, &open->rewind);
    error = error < 0 ? error : read_json_min(reader, json_object_get(root, "min"));
    open->wait_ms = wait_s * 1000;
    open->is_wait_preferred = open->is_wait_preferred && !has_wait;
    return error;
}

// ---- Both forms --------------------------------------------------------------------------------

// RFC 7240: preferences that make no sense are ignored.
static void read_prefer(struct reader *reader, const struct request *request) {
    size_t at = 0;
    struct slice field;
    while (request_field_next(request, SLICE("Prefer"), &at, &field)) {
        while (field.data != NULL) {
            struct slice preference = slice_cut(&field, ',');
            struct slice value = slice_cut(&preference, ';'); // its parameters mean nothing here
            struct slice name = slice_trim(slice_cut(&value, '='));
            uint64_t wait_s = 0;
            if (!slice_equal_nocase(name, SLICE("wait"))) {
                continue;
            }
            struct open_problem ignored;
            struct reader probe = {.problem = &ignored};
            if (value.data == NULL) {
                reader->open->wait_ms = reader->config->long_poll_wait_ms;
            } else if (read_number(&probe, "wait", syntax_unquote(slice_trim(value)), WAIT_S_MAX,
                                   &wait_s) == 0) {
                reader->open->wait_ms = wait_s * 1000;
            } else {
                continue;
            }
            reader->open->is_wait_preferred = true;
            return;
        }
    }
}

static int check_grant(struct reader *reader) {
    struct open_request *open = reader->open;
    struct grant_problem problem;
    open->is_public = true;
    open->ends_ms = INT64_MAX;
    for (size_t i = 0; i < open->count; i++) {
        struct slice name = open->channels[i].name;
        if (grant_check(reader->grant, JWT_SUBSCRIBE, name, &problem) < 0) {
            int error = refuse(reader, problem.status, "%s", problem.detail);
            reader->problem->code = problem.code;
            return error;
        }
        if (!grant_is_public(reader->grant, name)) {
            open->is_public = false;
            open->ends_ms = grant_ends_ms(reader->grant);
        }
    }
    return 0;
}

int open_request_read(struct open_request *open_r, const struct request *request, enum open_use use,
                      const struct grant *grant, struct open_problem *problem_r) {
    const struct config *config = grant->config;
    *open_r = (struct open_request){
        .is_post = request->method == HTTP_METHOD_POST,
        .limit = config->page_messages,
    };
    struct reader reader = {
        .open = open_r, .grant = grant, .config = config, .use = use, .problem = problem_r};
    if (use == OPEN_POLL) {
        read_prefer(&reader, request);
    }
    int error;
    if (open_r->is_post) {
        error = read_body(&reader, request);
    } else {
        error = read_query(&reader, request->query);
        error = error < 0 ? error : read_start(&reader, request);
        error = error < 0 || reader.min.len == 0 ? error : read_min(&reader);
    }
    return error < 0 ? error : check_grant(&reader);
}

void open_request_release(struct open_request *open) {
    json_decref(open->json);
    bytes_release(&open->arena);
    mem_free(open->channels);
    *open = (struct open_request){0};
}

struct subscriber_start open_request_start(const struct open_request *open, size_t index) {
    const struct cursor_item *item = &open->channels[index].item;
    bool is_rewind = item->kind == CURSOR_HEAD && open->rewind > 0 && !open->is_foreign;
    return (struct subscriber_start){
        .kind = is_rewind ? CURSOR_REWIND : item->kind,
        .since = item->position,
        .rewind = is_rewind ? (uint32_t)open->rewind : 0,
    };
}
