// See master.h.
#include "cluster/cli/master.h"

#include "cluster/base/error.h"
#include "cluster/sentinel_word.h"

#include <stdio.h>
#include <uv.h>

static int fail(struct client *client, int error, const struct redis_address *sentinel,
                const char *why) {
    char where[REDIS_DESCRIPTION_MAX];
    redis_address_describe(sentinel, where, sizeof(where));
    snprintf(client->trouble, sizeof(client->trouble), "%.100s: %.140s", where, why);
    return error;
}

// The epoch first: see sentinel.c.
static int ask(struct client *sentinel, const char *name, struct sentinel_word *word_r) {
    redisReply *reply;
    int error =
        client_ask(sentinel, WORDS(SLICE("SENTINEL"), SLICE("MASTER"), slice_of(name)), &reply);
    if (error < 0) {
        return error;
    }
    bool has_epoch = sentinel_word_read_epoch(reply, &word_r->epoch) == 0;
    reply_free(&reply);
    error = client_ask(sentinel,
                       WORDS(SLICE("SENTINEL"), SLICE("GET-MASTER-ADDR-BY-NAME"), slice_of(name)),
                       &reply);
    if (error < 0) {
        return error;
    }
    error = sentinel_word_read_address(reply, word_r);
    if (error == E_REDIS) {
        resp_printable(resp_text(reply), sentinel->trouble);
    } else if (error == UV_ENOENT) {
        snprintf(sentinel->trouble, sizeof(sentinel->trouble), "it knows no master \"%.60s\"",
                 name);
    } else if (error == 0 && !has_epoch) {
        error = E_PROTOCOL;
    }
    if (error == E_PROTOCOL) {
        snprintf(sentinel->trouble, sizeof(sentinel->trouble), "%s", error_text(error));
    }
    reply_free(&reply);
    word_r->is_said = error == 0;
    return error;
}

static int find(struct client *client, const struct topology *topology,
                struct sentinel_word *word_r) {
    static const struct sentinel_word nothing;
    struct sentinel_word words[SENTINELS_MAX] = {0};
    size_t said = 0;
    int error = E_UNAVAILABLE;
    for (size_t i = 0; i < topology->sentinel_count && said <= topology->sentinel_count / 2; i++) {
        struct client sentinel;
        int failed = client_open(&sentinel, &topology->sentinels[i]);
        if (failed == 0) {
            failed = ask(&sentinel, topology->master_name, &words[i]);
            client_close(&sentinel);
        }
        said += failed == 0 ? 1 : 0;
        if (failed < 0) {
            error = fail(client, failed, &topology->sentinels[i], sentinel.trouble);
        }
    }
    const struct sentinel_word *word =
        sentinel_choose(words, topology->sentinel_count, &nothing, false);
    if (word == NULL) {
        return error;
    }
    *word_r = *word;
    return 0;
}

int master_open(struct client *client, const struct topology *topology) {
    if (topology->master_name == NULL) {
        return client_open(client, &topology->server);
    }
    *client = (struct client){0};
    struct sentinel_word word;
    int error = find(client, topology, &word);
    if (error < 0) {
        return error;
    }
    struct redis_address server = topology->server; // borrows all of it
    server.host = word.host;
    server.port = word.port;
    server.role = REDIS_ROLE_MASTER;
    error = client_open(client, &server);
    if (error < 0) {
        char why[CLIENT_TROUBLE_MAX];
        memcpy(why, client->trouble, sizeof(why));
        fail(client, error, &server, why);
    }
    return error;
}
