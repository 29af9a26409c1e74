// The two links to Redis: the command link and the pub/sub link, both to the same master. What comes
// over them goes to whom it belongs; which server they reach is the operator's choice, or Sentinel's.
#ifndef FRESHET_CLUSTER_LINKS_H
#define FRESHET_CLUSTER_LINKS_H

#include "cluster/cluster.h"
#include "cluster/redis_conn.h"

#include <stdbool.h>
#include <stdint.h>

typedef void link_handler(void *owner, int status, const redisReply *reply);

// Queues a command on a link that is up and has room (asserted): transactions must not be cut in
// two. on_reply may be NULL.
void link_send(struct redis_conn *conn, size_t count, const struct slice *words,
               link_handler *on_reply, void *owner);

// Up, and far enough from its bounds for a transaction.
bool link_has_room(const struct redis_conn *conn);

void links_open(struct cluster *cluster);
void links_close(struct cluster *cluster);

// This server must not be spoken to (it is no master any more): both are cut and dialled again, and
// are not up before its handshake, or that of the next one, has proven a master.
void links_refuse(struct cluster *cluster, const char *why);

void links_tick(struct cluster *cluster, uint64_t now_ms); // every 100 ms
void links_pump(struct cluster *cluster);                  // at the end of each turn of the loop

// Whether a link is down, and why, for people.
bool links_explain(const struct cluster *cluster, char *reason_r, size_t size);

void links_take_stats(const struct cluster *cluster, uint64_t now_ms,
                      struct cluster_stats *stats_r);

#endif
