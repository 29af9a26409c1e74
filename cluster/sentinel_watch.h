// Finds out, aside, whether a server that a Sentinel names is a master by now: a connection on which
// nothing is said but the handshake, which asks. It is dialled until it is up, every 2 to 5 s where
// nobody answers and twice a second where it is refused. On the cluster thread; nothing can fail.
#ifndef FRESHET_CLUSTER_SENTINEL_WATCH_H
#define FRESHET_CLUSTER_SENTINEL_WATCH_H

#include "cluster/redis_conn.h"
#include "cluster/sentinel_word.h"

struct sentinel_watch {
    uv_loop_t *loop;             // borrowed
    const char *client_name;     // borrowed
    struct redis_address server; // host and port are owned, the rest is borrowed
    struct redis_conn *conn;     // owned; NULL while nobody is watched
    void (*on_proven)(struct sentinel_watch *watch);
};

// Watches nobody yet. `like`: user, password and database of the server, which outlive the watch.
void sentinel_watch_init(struct sentinel_watch *watch, uv_loop_t *loop,
                         const struct redis_address *like, const char *client_name,
                         void (*on_proven)(struct sentinel_watch *watch));
void sentinel_watch_release(struct sentinel_watch *watch);

// Watches the server of this word and no other; NULL: nobody. on_proven comes each time it is found
// to be a master, never from within; it may call this.
void sentinel_watch_set(struct sentinel_watch *watch, const struct sentinel_word *word);

#endif
