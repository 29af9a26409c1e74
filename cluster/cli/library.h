// The function library in Redis, as the tool finds and loads it.
#ifndef FRESHET_CLUSTER_CLI_LIBRARY_H
#define FRESHET_CLUSTER_CLI_LIBRARY_H

#include "cluster/cli/client.h"

#include <stdint.h>

enum { LIBRARY_ABSENT = -1 };

// What FCALL_RO freshet_version answers, or LIBRARY_ABSENT, in *version_r. When Redis
// answers with any other error, *error_r is that reply, which the caller frees; else NULL.
int library_version(struct client *client, int64_t *version_r, redisReply **error_r);

// FUNCTION LOAD, REPLACE as asked. That somebody else loaded it meanwhile is no error.
int library_load(struct client *client, bool may_replace, redisReply **error_r);

// An FCALL; when the library is absent it is loaded and the call repeated. Like client_ask.
int library_call(struct client *client, size_t count, const struct slice *words,
                 redisReply **reply_r);

// Whether a reply says that the library is absent.
bool library_is_missing(const redisReply *reply);

#endif
