// See resp.h.
#include "cluster/resp.h"

#include "cluster/base/error.h"

static const struct slice verb_names[] = {
    [VERB_SUBSCRIBE] = {"subscribe", 9},
    [VERB_UNSUBSCRIBE] = {"unsubscribe", 11},
    [VERB_SSUBSCRIBE] = {"ssubscribe", 10},
    [VERB_SUNSUBSCRIBE] = {"sunsubscribe", 12},
};

void resp_append_command(struct bytes *output, size_t count, const struct slice *words) {
    bytes_append_char(output, '*');
    bytes_append_u64(output, count);
    bytes_append(output, SLICE("\r\n"));
    for (size_t i = 0; i < count; i++) {
        bytes_append_char(output, '$');
        bytes_append_u64(output, words[i].len);
        bytes_append(output, SLICE("\r\n"));
        bytes_append(output, words[i]);
        bytes_append(output, SLICE("\r\n"));
    }
}

size_t resp_command_bytes_max(size_t count, const struct slice *words) {
    const size_t frame = 32; // more than type, number and two CRLF take
    size_t bytes = frame;
    for (size_t i = 0; i < count; i++) {
        bytes += words[i].len + frame;
    }
    return bytes;
}

struct slice resp_text(const redisReply *reply) {
    bool is_text = reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS ||
                   reply->type == REDIS_REPLY_ERROR;
    return is_text ? slice_make(reply->str, (size_t)reply->len) : SLICE_NONE;
}

static int error_of_text(struct slice text) {
    static const struct {
        const char *words;
        int error;
    } errors[] = {
        {"NOPERM ", E_RIGHTS},
        {"NOAUTH ", E_RIGHTS},
        {"ERR The user executing the script can't ", E_RIGHTS}, // Redis 7.0 inside a function
        {"WRONGTYPE ", E_WRONG_TYPE},
        {"OOM ", E_FULL},
        {"BUSY ", E_BUSY},
    };
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (slice_starts_with(text, slice_of(errors[i].words))) {
            return errors[i].error;
        }
    }
    return E_REDIS;
}

// The reply, or the first of a transaction's, that is an error; NULL when there is none.
static const redisReply *find_error(const redisReply *reply) {
    if (reply->type == REDIS_REPLY_ERROR) {
        return reply;
    }
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        if (reply->element[i]->type == REDIS_REPLY_ERROR) {
            return reply->element[i];
        }
    }
    return NULL;
}

int resp_error_of(const redisReply *reply) {
    const redisReply *error = find_error(reply);
    return error != NULL ? error_of_text(resp_text(error)) : E_REDIS;
}

void resp_complaint(const redisReply *reply, char text_r[static RESP_PRINTABLE_MAX]) {
    const redisReply *error = find_error(reply);
    resp_printable(error != NULL ? resp_text(error) : SLICE("not what we write"), text_r);
}

struct slice resp_info(struct slice text, struct slice name) {
    while (text.len > 0) {
        struct slice value = slice_cut(&text, '\n');
        if (slice_equal(slice_cut(&value, ':'), name)) {
            value.len -= value.len > 0 && value.data[value.len - 1] == '\r' ? 1 : 0;
            return value;
        }
    }
    return SLICE_NONE;
}

void resp_printable(struct slice text, char text_r[static RESP_PRINTABLE_MAX]) {
    size_t len = text.len < RESP_PRINTABLE_MAX ? text.len : RESP_PRINTABLE_MAX - 1;
    for (size_t i = 0; i < len; i++) {
        char c = text.data[i];
        text_r[i] = c >= ' ' && c <= '~' ? c : '?';
    }
    text_r[len] = '\0';
}

enum resp_verb resp_verb_of(struct slice word) {
    enum resp_verb verb = VERB_SUBSCRIBE;
    while (verb < VERB_OTHER && !slice_equal_nocase(word, verb_names[verb])) {
        verb++;
    }
    return verb;
}

enum resp_push resp_push_of(const redisReply *reply, enum resp_verb *verb_r) {
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING) {
        return PUSH_NONE;
    }
    struct slice kind = resp_text(reply->element[0]);
    int third = reply->element[2]->type;
    if (slice_equal(kind, SLICE("message")) || slice_equal(kind, SLICE("smessage"))) {
        return third == REDIS_REPLY_STRING ? PUSH_MESSAGE : PUSH_NONE;
    }
    *verb_r = resp_verb_of(kind);
    return *verb_r != VERB_OTHER && third == REDIS_REPLY_INTEGER ? PUSH_ACKNOWLEDGEMENT : PUSH_NONE;
}
