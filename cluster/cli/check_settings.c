// freshet check: settings of Redis (CONFIG GET).
#include "cluster/cli/check.h"

#include <stdio.h>

// Beyond these a node of a log costs more than it saves: 4 KB are Redis's default.
enum { NODE_BYTES_MAX = 65536, NODE_ENTRIES_MAX = 1000, REPLICA_LAG_S_MAX = 2 };

// Redis's default for pub/sub, which a burst of large messages fills at once.
enum { PUBSUB_HARD_DEFAULT = 32 << 20, PUBSUB_SOFT_DEFAULT = 8 << 20 };

static bool is(struct slice value, const char *text) {
    return slice_equal(value, slice_of(text));
}

static uint64_t number(const struct checkup *checkup, const char *name) {
    uint64_t value = 0;
    slice_to_u64(checkup_setting(checkup, name), INT64_MAX, &value);
    return value;
}

static void tell_setting(struct checkup *checkup, const char *name) {
    checkup_tell(checkup, FINDING_FINE, name, NULL, "%.*s",
                 SLICE_ARGS(checkup_setting(checkup, name)));
}

static void check_eviction(struct checkup *checkup) {
    struct slice policy = checkup_setting(checkup, "maxmemory-policy");
    if (is(policy, "noeviction") || is(policy, "volatile-ttl")) {
        tell_setting(checkup, "maxmemory-policy");
        return;
    }
    checkup_tell(
        checkup, FINDING_WARNING, "maxmemory-policy", "CONFIG SET maxmemory-policy volatile-ttl",
        "%.*s evicts counters and logs of live channels: subscribers are reset for nothing",
        SLICE_ARGS(policy));
}

static void check_persistence(struct checkup *checkup) {
    if (!is(checkup_setting(checkup, "appendonly"), "yes")) {
        checkup_tell(checkup, FINDING_WARNING, "appendonly", "CONFIG SET appendonly yes",
                     "no: a restart of Redis forgets channels, and their subscribers are reset");
        return;
    }
    tell_setting(checkup, "appendonly");
    if (is(checkup_setting(checkup, "appendfsync"), "no")) {
        checkup_tell(checkup, FINDING_WARNING, "appendfsync", "CONFIG SET appendfsync everysec",
                     "no: a crash of the machine loses half a minute of messages, not one second");
    } else {
        tell_setting(checkup, "appendfsync");
    }
}

// Sentinels greet each other through every server they watch.
static int is_watched(struct checkup *checkup, bool *is_watched_r) {
    redisReply *reply;
    *is_watched_r = false;
    int error =
        client_ask(&checkup->client,
                   WORDS(SLICE("PUBSUB"), SLICE("NUMSUB"), SLICE("__sentinel__:hello")), &reply);
    if (error == 0) {
        *is_watched_r = reply_is_array(reply, 2) && reply->element[1]->integer > 0;
        reply_free(&reply);
    }
    return error;
}

static int check_replication(struct checkup *checkup) {
    bool has_sentinel;
    int error = is_watched(checkup, &has_sentinel);
    uint64_t replicas = checkup_info_number(checkup, "connected_slaves");
    uint64_t wanted = number(checkup, "min-replicas-to-write");
    if (error < 0 || (replicas == 0 && !has_sentinel && wanted == 0)) {
        return error;
    }
    if (wanted == 0) {
        checkup_tell(checkup, FINDING_WARNING, "min-replicas-to-write",
                     "CONFIG SET min-replicas-to-write 1",
                     "0, with %s: a master that was cut off goes on taking messages that a "
                     "failover then loses",
                     replicas > 0 ? "replicas" : "Sentinel");
        return 0;
    }
    if (checkup_info_number(checkup, "min_slaves_good_slaves") < wanted) {
        checkup_tell(checkup, FINDING_BROKEN, "min-replicas-to-write",
                     "start the missing replicas, or CONFIG SET min-replicas-to-write 0",
                     "%llu, and fewer replicas are good: every publish is refused (NOREPLICAS)",
                     (unsigned long long)wanted);
        return 0;
    }
    tell_setting(checkup, "min-replicas-to-write");
    uint64_t lag_s = number(checkup, "min-replicas-max-lag");
    if (lag_s == 0 || lag_s > REPLICA_LAG_S_MAX) {
        checkup_tell(checkup, FINDING_WARNING, "min-replicas-max-lag",
                     "CONFIG SET min-replicas-max-lag 2",
                     "%llu s: for so long a master that was cut off takes messages that are lost",
                     (unsigned long long)lag_s);
    } else {
        tell_setting(checkup, "min-replicas-max-lag");
    }
    return 0;
}

// "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
static void check_output_buffer(struct checkup *checkup) {
    struct slice rest = checkup_setting(checkup, "client-output-buffer-limit");
    struct slice value = rest;
    uint64_t hard = 0;
    uint64_t soft = 0;
    while (rest.data != NULL && !is(slice_cut(&rest, ' '), "pubsub")) {
    }
    slice_to_u64(slice_cut(&rest, ' '), INT64_MAX, &hard);
    slice_to_u64(slice_cut(&rest, ' '), INT64_MAX, &soft);
    if (value.data == NULL) {
        return;
    }
    bool is_low =
        (hard > 0 && hard <= PUBSUB_HARD_DEFAULT) || (soft > 0 && soft <= PUBSUB_SOFT_DEFAULT);
    if (is_low) {
        checkup_tell(
            checkup, FINDING_WARNING, "client-output-buffer-limit",
            "CONFIG SET client-output-buffer-limit \"pubsub 256mb 64mb 60\"",
            "pubsub %llu MB, %llu MB for a while: a burst cuts the nodes off, and they must "
            "read it again",
            (unsigned long long)(hard >> 20), (unsigned long long)(soft >> 20));
    } else {
        checkup_tell(checkup, FINDING_FINE, "client-output-buffer-limit", NULL,
                     "pubsub %llu MB, %llu MB for a while", (unsigned long long)(hard >> 20),
                     (unsigned long long)(soft >> 20));
    }
}

static void check_timeout(struct checkup *checkup) {
    if (number(checkup, "timeout") == 0) {
        tell_setting(checkup, "timeout");
        return;
    }
    checkup_tell(checkup, FINDING_WARNING, "timeout", "CONFIG SET timeout 0",
                 "%.*s s: Redis closes quiet connections, also those of publishers",
                 SLICE_ARGS(checkup_setting(checkup, "timeout")));
}

static void check_stream_node(struct checkup *checkup, const char *name, uint64_t max,
                              const char *fix) {
    uint64_t value = number(checkup, name);
    if (value >= 1 && value <= max) {
        tell_setting(checkup, name);
        return;
    }
    checkup_tell(checkup, FINDING_WARNING, name, fix,
                 "%llu%s: logs are kept in large pieces, which cost memory and are slow to trim",
                 (unsigned long long)value, value == 0 ? " (no limit)" : "");
}

static bool is_loopback(struct slice bind) {
    bool is_all = bind.len > 0;
    while (bind.data != NULL) {
        struct slice address = slice_cut(&bind, ' ');
        address = slice_starts_with(address, SLICE("-")) ? slice_from(address, 1) : address;
        is_all = is_all && (slice_starts_with(address, SLICE("127.")) || is(address, "::1"));
    }
    return is_all;
}

static void check_protection(struct checkup *checkup) {
    bool is_open = is(checkup_setting(checkup, "protected-mode"), "no") &&
                   checkup_setting(checkup, "requirepass").len == 0 &&
                   !is_loopback(checkup_setting(checkup, "bind")) &&
                   !is(checkup_setting(checkup, "port"), "0");
    if (is_open) {
        checkup_tell(
            checkup, FINDING_WARNING, "protected-mode",
            "CONFIG SET requirepass, or users of their own (ACL SETUSER)",
            "no, without a password: whoever reaches the port can read and forge messages");
    } else {
        tell_setting(checkup, "protected-mode");
    }
}

int check_settings(struct checkup *checkup) {
    if (reply_is_error(checkup->config)) {
        checkup_tell(checkup, FINDING_WARNING, "settings",
                     "run it once as a user who may say CONFIG GET", "not looked at: %.*s",
                     SLICE_ARGS(resp_text(checkup->config)));
        return 0;
    }
    check_eviction(checkup);
    check_persistence(checkup);
    check_output_buffer(checkup);
    check_timeout(checkup);
    check_stream_node(checkup, "stream-node-max-bytes", NODE_BYTES_MAX,
                      "CONFIG SET stream-node-max-bytes 4096");
    check_stream_node(checkup, "stream-node-max-entries", NODE_ENTRIES_MAX,
                      "CONFIG SET stream-node-max-entries 100");
    check_protection(checkup);
    return check_replication(checkup);
}
