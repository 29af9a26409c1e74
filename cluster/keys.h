// Names in Redis (CONTRACT.md, section 2). The braces are the Cluster hash tag.
#ifndef FRESHET_CLUSTER_KEYS_H
#define FRESHET_CLUSTER_KEYS_H

#include "cluster/base/slice.h"
#include "cluster/message.h"

#include <stdbool.h>

enum { PREFIX_BYTES_MAX = 32, KEY_BYTES_MAX = PREFIX_BYTES_MAX + CHANNEL_NAME_BYTES_MAX + 8 };

// The three names of one channel, valid as long as the struct: the slices point into it, so it must
// not be copied.
struct keys {
    char hash_text[KEY_BYTES_MAX];
    char log_text[KEY_BYTES_MAX];
    char now_text[KEY_BYTES_MAX];
    struct slice hash; // PREFIX:{CH}
    struct slice log;  // PREFIX:{CH}:log
    struct slice now;  // PREFIX:{CH}:now
};

void keys_init(struct keys *keys, struct slice prefix, struct slice channel);

// The CH of PREFIX:{CH}:now; false when `name` is no such name.
bool keys_parse_now(struct slice name, struct slice prefix, struct slice *channel_r);

#endif
