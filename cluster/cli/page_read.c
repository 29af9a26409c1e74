// See page_read.h.
#include "cluster/cli/page_read.h"

#include <stdio.h>

// The replies to MULTI and to each queued command come before that to EXEC.
enum { QUEUED = 5 };

void page_send(struct client *client, const struct keys *keys, struct position at) {
    char top[POSITION_TEXT_MAX] = "0-1"; // with nothing to look below for, any empty range will do
    char bottom[POSITION_TEXT_MAX] = "0-1";
    char behind[POSITION_TEXT_MAX + 1] = "-";
    char count[8];
    if (!position_is_none(at)) {
        position_format(at, top);
        position_format((struct position){at.epoch, 0}, bottom);
        behind[0] = '(';
        position_format(at, behind + 1);
    }
    snprintf(count, sizeof(count), "%d", LOG_PAGE_ENTRIES);
    client_send(client, WORDS(SLICE("MULTI")));
    client_send(client,
                WORDS(SLICE("HMGET"), keys->hash, SLICE("epoch"), SLICE("version"), SLICE("fork")));
    client_send(client, WORDS(SLICE("XREVRANGE"), keys->log, SLICE("+"), SLICE("-"), SLICE("COUNT"),
                              SLICE("1")));
    client_send(client, WORDS(SLICE("XREVRANGE"), keys->log, slice_of(top), slice_of(bottom),
                              SLICE("COUNT"), SLICE("1")));
    client_send(client, WORDS(SLICE("XRANGE"), keys->log, slice_of(behind), SLICE("+"),
                              SLICE("COUNT"), slice_of(count)));
    client_send(client, WORDS(SLICE("EXEC")));
}

// The first error of a transaction says why; EXEC's own only that there was one.
int page_receive(struct client *client, redisReply **reply_r) {
    redisReply *refusal = NULL;
    for (int i = 0; i <= QUEUED; i++) {
        int error = client_receive(client, reply_r);
        if (error < 0) {
            reply_free(&refusal);
            return error;
        }
        if (i == QUEUED) {
            break;
        }
        if (reply_is_error(*reply_r) && refusal == NULL) {
            refusal = *reply_r;
        } else {
            reply_free(reply_r);
        }
    }
    if (refusal != NULL) {
        reply_free(reply_r);
        *reply_r = refusal;
    }
    return 0;
}
