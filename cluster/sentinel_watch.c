// See sentinel_watch.h.
#include "cluster/sentinel_watch.h"

#include "cluster/base/check.h"
#include "cluster/base/mem.h"

static void on_up(void *owner) {
    struct sentinel_watch *watch = owner;
    watch->on_proven(watch);
}

static void on_down(void *owner, int error) {
    (void)owner;
    (void)error; // it is dialled again
}

void sentinel_watch_init(struct sentinel_watch *watch, uv_loop_t *loop,
                         const struct redis_address *like, const char *client_name,
                         void (*on_proven)(struct sentinel_watch *watch)) {
    *watch = (struct sentinel_watch){
        .loop = loop, .client_name = client_name, .server = *like, .on_proven = on_proven};
    watch->server.host = NULL;
    watch->server.port = NULL;
    watch->server.role = REDIS_ROLE_MASTER;
}

static void stop(struct sentinel_watch *watch) {
    if (watch->conn != NULL) {
        redis_conn_close(&watch->conn);
    }
}

void sentinel_watch_release(struct sentinel_watch *watch) {
    stop(watch);
    mem_free(watch->server.host);
    mem_free(watch->server.port);
}

void sentinel_watch_set(struct sentinel_watch *watch, const struct sentinel_word *word) {
    const struct redis_conn_events events = {.on_up = on_up, .on_down = on_down, .owner = watch};
    bool is_same = watch->conn != NULL && word != NULL &&
                   strcmp(word->host, watch->server.host) == 0 &&
                   strcmp(word->port, watch->server.port) == 0;
    if (is_same) {
        return;
    }
    stop(watch);
    if (word != NULL) {
        redis_address_set_server(&watch->server, word->host, word->port);
        CHECK(redis_conn_open(watch->loop, REDIS_LINK_COMMAND, &watch->server, watch->client_name,
                              &events, &watch->conn) == 0);
    }
}
