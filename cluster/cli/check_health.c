// freshet check: what INFO says about how this Redis is doing now.
#include "cluster/cli/check.h"

static bool says(const struct checkup *checkup, const char *name, const char *value) {
    return slice_equal(checkup_info(checkup, name), slice_of(value));
}

static void check_role(struct checkup *checkup) {
    if (says(checkup, "role", "slave")) {
        checkup_tell(checkup, FINDING_BROKEN, "role", "name the master with --redis",
                     "a replica of %.*s:%.*s: nobody can publish here",
                     SLICE_ARGS(checkup_info(checkup, "master_host")),
                     SLICE_ARGS(checkup_info(checkup, "master_port")));
    } else {
        checkup_tell(checkup, FINDING_FINE, "role", NULL, "master");
    }
}

// A snapshot that failed stops all writes, where snapshots are set up and stop-writes is on.
static void check_snapshots(struct checkup *checkup) {
    static const char fix[] = "look at Redis's log, the rights on its directory, and the disk";
    if (!says(checkup, "rdb_last_bgsave_status", "err")) {
        checkup_tell(checkup, FINDING_FINE, "rdb_last_bgsave_status", NULL, "ok");
        return;
    }
    bool stops_writes =
        slice_equal(checkup_setting(checkup, "stop-writes-on-bgsave-error"), SLICE("yes")) &&
        checkup_setting(checkup, "save").len > 0;
    if (stops_writes) {
        checkup_tell(checkup, FINDING_BROKEN, "rdb_last_bgsave_status", fix,
                     "err: the last snapshot failed, and every publish is refused (MISCONF)");
    } else {
        checkup_tell(checkup, FINDING_WARNING, "rdb_last_bgsave_status", fix,
                     "err: the last snapshot failed; a replica could not be filled either");
    }
}

static void check_append_only_file(struct checkup *checkup) {
    static const char fix[] = "look at Redis's log and the disk";
    if (says(checkup, "aof_last_write_status", "err")) {
        checkup_tell(checkup, FINDING_BROKEN, "aof_last_write_status", fix,
                     "err: the append-only file cannot be written, and every publish is refused");
    } else if (says(checkup, "aof_last_bgrewrite_status", "err")) {
        checkup_tell(checkup, FINDING_WARNING, "aof_last_bgrewrite_status", fix,
                     "err: the append-only file could not be rewritten, and grows");
    } else {
        checkup_tell(checkup, FINDING_FINE, "aof_last_write_status", NULL, "ok");
    }
}

static void check_memory(struct checkup *checkup) {
    uint64_t max = checkup_info_number(checkup, "maxmemory");
    uint64_t used = checkup_info_number(checkup, "used_memory");
    if (max == 0) {
        return;
    }
    if (used >= max && says(checkup, "maxmemory_policy", "noeviction")) {
        checkup_tell(checkup, FINDING_BROKEN, "maxmemory",
                     "raise maxmemory, or keep less (fields history and ttl of a channel's HASH)",
                     "used up: every publish is refused (OOM)");
    } else if (used >= max - max / 10) {
        checkup_tell(checkup, FINDING_WARNING, "maxmemory",
                     "raise maxmemory, or keep less (fields history and ttl of a channel's HASH)",
                     "nine tenths are used");
    } else {
        checkup_tell(checkup, FINDING_FINE, "maxmemory", NULL, "%llu %% used",
                     (unsigned long long)(used / (max / 100 + 1)));
    }
}

int check_health(struct checkup *checkup) {
    if (reply_is_error(checkup->info)) {
        return 0; // told with the version
    }
    check_role(checkup);
    check_snapshots(checkup);
    check_append_only_file(checkup);
    check_memory(checkup);
    return 0;
}
