// Where Redis is: the parsed form of option `redis`. One server, or a master that Sentinels name;
// Cluster has its place here. Sans-I/O, any thread.
#ifndef FRESHET_CLUSTER_TOPOLOGY_H
#define FRESHET_CLUSTER_TOPOLOGY_H

#include "cluster/redis_address.h"

enum { SENTINELS_MAX = 16, MASTER_NAME_BYTES_MAX = 200 };

struct topology {
    struct redis_address server; // with Sentinel: all but host and port, which are asked for
    char *master_name;           // owned; NULL: no Sentinel
    struct redis_address sentinels[SENTINELS_MAX];
    size_t sentinel_count;
};

// What redis_address_parse takes, or
// `redis+sentinel://[[user]:password@]host[:port],.../NAME[/db][?sentinel-user=U&sentinel-password=P]`.
//
// The user before @ is Redis's: Sentinels have users of their own, and are told no password that was
// not meant for them. All Sentinels share theirs. NAME is `sentinel monitor`'s; the port is 26379 by
// default; hosts as in redis://.
//
// On UV_EINVAL `*why_r` (static) tells a person what is wrong, without any secret; nothing is
// allocated then.
int topology_parse(struct slice url, struct topology *topology_r, const char **why_r);
void topology_release(struct topology *topology);

// The URL as it was understood, without users and passwords, for complaints. Writes at most size
// bytes with NUL.
void topology_describe(const struct topology *topology, char *text_r, size_t size);

#endif
