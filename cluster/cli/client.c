// See client.h.
#include "cluster/cli/client.h"

#include "cluster/base/error.h"
#include "cluster/cli/interrupt.h"
#include "cluster/redis_greeting.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum { READ_BYTES = 64 << 10, CONNECT_S = 3 };

static int fail(struct client *client, int error, const char *why) {
    snprintf(client->trouble, sizeof(client->trouble), "%s", why);
    return error;
}

// ---- Bytes ---------------------------------------------------------------------------------------

int client_fd(const struct client *client) {
    return client->context->fd;
}

void client_send(struct client *client, size_t count, const struct slice *words) {
    resp_append_command(&client->output, count, words);
}

int client_flush(struct client *client) {
    size_t sent = 0;
    while (sent < client->output.len) {
        ssize_t n = send(client_fd(client), client->output.data + sent, client->output.len - sent,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR && !interrupt_came()) {
            continue;
        }
        if (n < 0) {
            return fail(client, E_UNAVAILABLE,
                        errno == EAGAIN ? "it takes no more commands" : strerror(errno));
        }
        sent += (size_t)n;
    }
    bytes_clear(&client->output);
    return 0;
}

int client_fill(struct client *client) {
    char buffer[READ_BYTES];
    ssize_t n = read(client_fd(client), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) {
        return 0;
    }
    if (n <= 0) {
        return fail(client, E_UNAVAILABLE, n == 0 ? "it closed the connection" : strerror(errno));
    }
    const char *why = NULL;
    int error = resp_guard_feed(&client->guard, slice_make(buffer, (size_t)n), &why);
    if (error < 0) {
        return fail(client, error, why);
    }
    if (redisReaderFeed(client->context->reader, buffer, (size_t)n) != REDIS_OK) {
        return fail(client, E_PROTOCOL, client->context->reader->errstr);
    }
    return 0;
}

int client_take(struct client *client, redisReply **reply_r) {
    void *reply = NULL;
    if (redisReaderGetReply(client->context->reader, &reply) != REDIS_OK) {
        return fail(client, E_PROTOCOL, client->context->reader->errstr);
    }
    *reply_r = reply;
    return 0;
}

static int wait_readable(struct client *client) {
    struct pollfd wanted[] = {{.fd = client_fd(client), .events = POLLIN},
                              {.fd = interrupt_fd(), .events = POLLIN}};
    int ready;
    do {
        ready = poll(wanted, 2, CLIENT_WAIT_MS);
    } while (ready < 0 && errno == EINTR && !interrupt_came());
    if (interrupt_came()) {
        return fail(client, UV_ECANCELED, "interrupted");
    }
    return ready > 0 ? 0 : fail(client, UV_ETIMEDOUT, "it does not answer");
}

int client_receive(struct client *client, redisReply **reply_r) {
    *reply_r = NULL;
    int error = client_flush(client);
    while (error == 0) {
        error = client_take(client, reply_r);
        if (error < 0 || *reply_r != NULL) {
            break;
        }
        error = wait_readable(client);
        if (error == 0) {
            error = client_fill(client);
        }
    }
    return error;
}

int client_ask(struct client *client, size_t count, const struct slice *words,
               redisReply **reply_r) {
    client_send(client, count, words);
    return client_receive(client, reply_r);
}

// ---- Opening -------------------------------------------------------------------------------------

static int greet(struct client *client, const struct redis_address *address) {
    enum greeting_step first = greeting_next(GREETING_AUTH, address);
    for (enum greeting_step step = first; step < GREETING_STEPS;
         step = greeting_next(step + 1, address)) {
        struct slice words[GREETING_WORDS_MAX];
        char database[16];
        client_send(client, greeting_words(step, address, "freshet-tool", database, words), words);
    }
    for (enum greeting_step step = first; step < GREETING_STEPS;
         step = greeting_next(step + 1, address)) {
        redisReply *reply;
        int error = client_receive(client, &reply);
        if (error < 0) {
            return error;
        }
        // A Redis that cannot save refuses even PING, but can be read (tried on 7.0.15).
        if (!greeting_accepts(step, address, reply) && !reply_is_refusal(reply, "MISCONF")) {
            char text[RESP_PRINTABLE_MAX];
            greeting_trouble(step, address, reply, text);
            reply_free(&reply);
            return fail(client, E_REDIS, text);
        }
        reply_free(&reply);
    }
    return 0;
}

int client_open(struct client *client, const struct redis_address *address) {
    struct timeval connect_timeout = {.tv_sec = CONNECT_S};
    struct timeval io_timeout = {.tv_sec = CLIENT_WAIT_MS / 1000};
    *client = (struct client){0};
    resp_guard_init(&client->guard);
    redisContext *context =
        address->socket_path != NULL
            ? redisConnectUnixWithTimeout(address->socket_path, connect_timeout)
            : redisConnectWithTimeout(address->host, atoi(address->port), connect_timeout);
    if (context == NULL) {
        return fail(client, E_UNAVAILABLE, "out of memory");
    }
    client->context = context;
    int error = context->err != 0 ? fail(client, E_UNAVAILABLE, context->errstr) : 0;
    if (error == 0) {
        redisSetTimeout(context, io_timeout); // a stopped Redis still accepts TCP
        error = greet(client, address);
    }
    if (error < 0) {
        client_close(client);
    }
    return error;
}

void client_close(struct client *client) {
    if (client->context != NULL) {
        redisFree(client->context);
        client->context = NULL;
    }
    bytes_release(&client->output);
}

// ---- Replies -------------------------------------------------------------------------------------

bool reply_is_refusal(const redisReply *reply, const char *code) {
    return reply_is_error(reply) && slice_starts_with(resp_text(reply), slice_of(code));
}

const redisReply *reply_find(const redisReply *pairs, const char *name) {
    if (pairs == NULL || pairs->type != REDIS_REPLY_ARRAY) {
        return NULL;
    }
    for (size_t i = 0; i + 1 < pairs->elements; i += 2) {
        if (slice_equal(resp_text(pairs->element[i]), slice_of(name))) {
            return pairs->element[i + 1];
        }
    }
    return NULL;
}

struct slice reply_find_text(const redisReply *pairs, const char *name) {
    const redisReply *value = reply_find(pairs, name);
    return value != NULL ? resp_text(value) : SLICE_NONE;
}

struct slice info_find(struct slice info, const char *name) {
    while (info.len > 0) {
        struct slice value = slice_cut(&info, '\n');
        struct slice key = slice_cut(&value, ':');
        if (value.len > 0 && slice_equal(key, slice_of(name))) {
            value.len -= value.data[value.len - 1] == '\r' ? 1 : 0;
            return value;
        }
    }
    return SLICE_NONE;
}

void reply_free(redisReply **reply) {
    if (*reply != NULL) {
        freeReplyObject(*reply);
        *reply = NULL;
    }
}
