// See redis_greeting.h.
#include "cluster/redis_greeting.h"

#include <stdio.h>

static size_t auth_words(const struct redis_address *address,
                         struct slice words_r[static GREETING_WORDS_MAX]) {
    size_t count = 0;
    words_r[count++] = SLICE("AUTH");
    if (address->user != NULL) {
        words_r[count++] = slice_of(address->user);
    }
    words_r[count++] = slice_of(address->password);
    return count;
}

enum greeting_step greeting_next(enum greeting_step step, const struct redis_address *address) {
    if (step == GREETING_AUTH && address->password == NULL) {
        step = GREETING_SELECT;
    }
    if (step == GREETING_SELECT && address->database == 0) {
        step = GREETING_NAME;
    }
    if (step == GREETING_ROLE && address->role == REDIS_ROLE_ANY) {
        step = GREETING_PING;
    }
    return step;
}

size_t greeting_words(enum greeting_step step, const struct redis_address *address,
                      const char *client_name, char database_r[static 16],
                      struct slice words_r[static GREETING_WORDS_MAX]) {
    switch (step) {
    case GREETING_AUTH:
        return auth_words(address, words_r);
    case GREETING_SELECT:
        snprintf(database_r, 16, "%u", address->database);
        words_r[0] = SLICE("SELECT");
        words_r[1] = slice_of(database_r);
        return 2;
    case GREETING_NAME:
        words_r[0] = SLICE("CLIENT");
        words_r[1] = SLICE("SETNAME");
        words_r[2] = slice_of(client_name);
        return 3;
    case GREETING_INFO:
        words_r[0] = SLICE("INFO");
        words_r[1] = SLICE("server");
        return 2;
    case GREETING_ROLE:
        words_r[0] = SLICE("ROLE");
        return 1;
    case GREETING_PING:
        words_r[0] = SLICE("PING");
        return 1;
    case GREETING_STEPS:
        break;
    }
    return 0;
}

static const char *role_name(const struct redis_address *address) {
    return address->role == REDIS_ROLE_SENTINEL ? "sentinel" : "master";
}

bool greeting_is_role(const redisReply *reply, const char *role) {
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           slice_equal(resp_text(reply->element[0]), slice_of(role));
}

bool greeting_accepts(enum greeting_step step, const struct redis_address *address,
                      const redisReply *reply) {
    if (step == GREETING_NAME || step == GREETING_INFO) {
        return true;
    }
    if (reply->type != REDIS_REPLY_ERROR) {
        return step != GREETING_ROLE || greeting_is_role(reply, role_name(address));
    }
    // Without the right to ask, what the operator configured is believed. A Redis that cannot save
    // answers MISCONF even to PING, and can be heard and read all the same.
    bool is_forbidden = slice_starts_with(resp_text(reply), SLICE("NOPERM")) ||
                        slice_starts_with(resp_text(reply), SLICE("ERR unknown command"));
    return (step == GREETING_ROLE && is_forbidden) ||
           (step == GREETING_PING &&
            (is_forbidden || slice_starts_with(resp_text(reply), SLICE("MISCONF"))));
}

static bool is_run_id(struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) {
            return false;
        }
    }
    return text.len == REDIS_RUN_ID_BYTES;
}

void greeting_run_id(const redisReply *reply, char run_id_r[static REDIS_RUN_ID_BYTES + 1]) {
    struct slice run_id = resp_info(resp_text(reply), SLICE("run_id"));
    run_id_r[0] = '\0';
    if (is_run_id(run_id)) {
        memcpy(run_id_r, run_id.data, run_id.len);
        run_id_r[run_id.len] = '\0';
    }
}

// ["slave", host, port, ...] of a replica; ["sentinel", ...]; ["master", ...] where a Sentinel is due.
static void role_trouble(const struct redis_address *address, const redisReply *reply,
                         char text_r[static RESP_PRINTABLE_MAX]) {
    char text[RESP_PRINTABLE_MAX];
    if (address->role == REDIS_ROLE_SENTINEL) {
        snprintf(text, sizeof(text), "this is no Sentinel");
    } else if (greeting_is_role(reply, "sentinel")) {
        snprintf(text, sizeof(text), "this is a Sentinel (redis+sentinel://host,host/NAME)");
    } else if (greeting_is_role(reply, "slave") && reply->elements > 1) {
        snprintf(text, sizeof(text), "this Redis is no master but a replica of %.*s",
                 SLICE_ARGS(resp_text(reply->element[1])));
    } else {
        snprintf(text, sizeof(text), "this Redis is no master");
    }
    resp_printable(slice_of(text), text_r);
}

void greeting_trouble(enum greeting_step step, const struct redis_address *address,
                      const redisReply *reply, char text_r[static RESP_PRINTABLE_MAX]) {
    struct slice text = resp_text(reply);
    if (step == GREETING_ROLE && reply->type != REDIS_REPLY_ERROR) {
        role_trouble(address, reply, text_r);
        return;
    }
    if (step == GREETING_AUTH) {
        text = slice_cut(&text, ',');
    }
    resp_printable(text, text_r);
}
