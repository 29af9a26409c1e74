// A blocking connection to one Redis: hiredis dials and reads replies, commands are pipelined by
// hand. Replies pass the guard first, so that no header is believed beyond its bounds.
//
// Every wait ends after CLIENT_WAIT_MS or by an interrupt (interrupt.h). After any failure the
// client must be closed; `trouble` tells a person why, without secrets.
#ifndef FRESHET_CLUSTER_CLI_CLIENT_H
#define FRESHET_CLUSTER_CLI_CLIENT_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"
#include "cluster/resp.h"
#include "cluster/resp_guard.h"
#include "cluster/redis_address.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>

enum { CLIENT_WAIT_MS = 5000, CLIENT_TROUBLE_MAX = 256 };

struct client {
    redisContext *context; // owned; NULL while closed
    struct bytes output;
    struct resp_guard guard;
    char trouble[CLIENT_TROUBLE_MAX];
};

// The count and the array that commands are made of.
#define WORDS(...)                                                                                 \
    (sizeof((struct slice[]){__VA_ARGS__}) / sizeof(struct slice)), (struct slice[]) {             \
        __VA_ARGS__                                                                                \
    }

// Connects and greets. E_UNAVAILABLE, E_REDIS (refused us).
int client_open(struct client *client, const struct redis_address *address);
void client_close(struct client *client);

static inline bool client_is_open(const struct client *client) {
    return client->context != NULL;
}

int client_fd(const struct client *client);

// Queues a command; the next flush, receive or ask sends it.
void client_send(struct client *client, size_t count, const struct slice *words);
int client_flush(struct client *client);

// The next reply, which the caller frees; waits for it. E_UNAVAILABLE, E_PROTOCOL, UV_ETIMEDOUT,
// UV_ECANCELED.
int client_receive(struct client *client, redisReply **reply_r);

// Both.
int client_ask(struct client *client, size_t count, const struct slice *words,
               redisReply **reply_r);

// For whoever polls the descriptor: reads once what is there; then the replies that are complete,
// one by one, NULL when there are no more.
int client_fill(struct client *client);
int client_take(struct client *client, redisReply **reply_r);

// ---- Replies -------------------------------------------------------------------------------------

static inline bool reply_is_error(const redisReply *reply) {
    return reply->type == REDIS_REPLY_ERROR;
}

// Whether it is an error that begins with this word.
bool reply_is_refusal(const redisReply *reply, const char *code);

// An array of at least so many elements.
static inline bool reply_is_array(const redisReply *reply, size_t elements) {
    return reply->type == REDIS_REPLY_ARRAY && reply->elements >= elements;
}

// The value behind `name` in an array of names and values, as HGETALL, CONFIG GET and XINFO give
// it; NULL when there is none.
const redisReply *reply_find(const redisReply *pairs, const char *name);
struct slice reply_find_text(const redisReply *pairs, const char *name);

// The same in the text of INFO.
struct slice info_find(struct slice info, const char *name);

void reply_free(redisReply **reply);

#endif
