// Names in Redis.
#include "cluster/keys.h"

#include "cluster/base/check.h"

#include <stdio.h>

static struct slice write_name(char text_r[static KEY_BYTES_MAX], struct slice prefix,
                               struct slice channel, const char *suffix) {
    int len = snprintf(text_r, KEY_BYTES_MAX, "%.*s:{%.*s}%s", SLICE_ARGS(prefix),
                       SLICE_ARGS(channel), suffix);
    CHECK(len > 0 && len < KEY_BYTES_MAX);
    return slice_make(text_r, (size_t)len);
}

void keys_init(struct keys *keys, struct slice prefix, struct slice channel) {
    keys->hash = write_name(keys->hash_text, prefix, channel, "");
    keys->log = write_name(keys->log_text, prefix, channel, ":log");
    keys->now = write_name(keys->now_text, prefix, channel, ":now");
}

bool keys_parse_now(struct slice name, struct slice prefix, struct slice *channel_r) {
    static const struct slice suffix = {"}:now", 5};
    size_t around = prefix.len + 2 + suffix.len;
    if (name.len <= around || !slice_starts_with(name, prefix) ||
        memcmp(name.data + prefix.len, ":{", 2) != 0 ||
        memcmp(name.data + name.len - suffix.len, suffix.data, suffix.len) != 0) {
        return false;
    }
    *channel_r = slice_make(name.data + prefix.len + 2, name.len - around);
    return true;
}
