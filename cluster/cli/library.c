// See library.h.
#include "cluster/cli/library.h"

#include "cluster/functions_source.h"

bool library_is_missing(const redisReply *reply) {
    return reply_is_refusal(reply, "ERR Function not found");
}

int library_version(struct client *client, int64_t *version_r, redisReply **error_r) {
    redisReply *reply;
    *version_r = LIBRARY_ABSENT;
    *error_r = NULL;
    int error =
        client_ask(client, WORDS(SLICE("FCALL_RO"), SLICE("freshet_version"), SLICE("0")), &reply);
    if (error < 0) {
        return error;
    }
    if (reply->type == REDIS_REPLY_INTEGER) {
        *version_r = reply->integer;
    } else if (reply_is_error(reply) && !library_is_missing(reply)) {
        *error_r = reply;
        return 0;
    }
    reply_free(&reply);
    return 0;
}

int library_load(struct client *client, bool may_replace, redisReply **error_r) {
    struct slice source = slice_make(functions_source, functions_source_len);
    redisReply *reply;
    *error_r = NULL;
    int error =
        may_replace
            ? client_ask(client, WORDS(SLICE("FUNCTION"), SLICE("LOAD"), SLICE("REPLACE"), source),
                         &reply)
            : client_ask(client, WORDS(SLICE("FUNCTION"), SLICE("LOAD"), source), &reply);
    if (error < 0) {
        return error;
    }
    // "already exists": somebody was faster.
    if (reply_is_error(reply) && !reply_is_refusal(reply, "ERR Library 'freshet' already exists")) {
        *error_r = reply;
        return 0;
    }
    reply_free(&reply);
    return 0;
}

int library_call(struct client *client, size_t count, const struct slice *words,
                 redisReply **reply_r) {
    int error = client_ask(client, count, words, reply_r);
    if (error < 0 || !library_is_missing(*reply_r)) {
        return error;
    }
    redisReply *refusal;
    reply_free(reply_r);
    error = library_load(client, false, &refusal);
    if (error < 0) {
        return error;
    }
    if (refusal != NULL) {
        *reply_r = refusal;
        return 0;
    }
    return client_ask(client, count, words, reply_r);
}
