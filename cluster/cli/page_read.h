// Asks a Redis for one page of a channel's log.
#ifndef FRESHET_CLUSTER_CLI_PAGE_READ_H
#define FRESHET_CLUSTER_CLI_PAGE_READ_H

#include "cluster/cli/client.h"
#include "cluster/log_page.h"
#include "cluster/keys.h"

// Queues a transaction for what lies behind `at`; none: from the oldest entry on.
void page_send(struct client *client, const struct keys *keys, struct position at);

// Reads its answers. *reply_r is that of EXEC, for log_page_parse, or the error that stands in its
// place, and is the caller's. Errors as client_receive.
int page_receive(struct client *client, redisReply **reply_r);

#endif
