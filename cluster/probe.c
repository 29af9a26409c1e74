// See probe.h.
#include "cluster/probe.h"

#include "cluster/core.h"
#include "cluster/log_read.h"

enum { PERIOD_MS = 5000, AGAIN_MS = 1000 };

// ---- May this node read? ---------------------------------------------------------------------------

static void note(struct probe *probe, const redisReply *reply) {
    struct slice text = resp_text(reply);
    if (reply->type != REDIS_REPLY_ERROR) {
        return;
    }
    if (slice_starts_with(text, SLICE("OOM"))) {
        probe->is_full = true;
    } else if (probe->refusal[0] == '\0' &&
               !(probe->is_full && log_refuses_transaction(reply))) { // only repeats it
        resp_printable(text, probe->refusal);
    }
}

static void on_reply(void *owner, int status, const redisReply *reply) {
    struct cluster *cluster = owner;
    if (status == 0) {
        note(&cluster->probe, reply);
    }
}

// Whether there are functions at all, and ours, is functions.c's to judge.
static void on_call(void *owner, int status, const redisReply *reply) {
    bool is_known = status == 0 && !functions_are_missing(reply) &&
                    !slice_starts_with(resp_text(reply), SLICE("ERR unknown command"));
    if (is_known) {
        on_reply(owner, status, reply);
    }
}

// A full Redis refuses transactions alone: freshet_read serves instead.
static void on_exec(void *owner, int status, const redisReply *reply) {
    struct cluster *cluster = owner;
    struct probe *probe = &cluster->probe;
    if (status != 0) {
        return; // the link is down, and will ask anew
    }
    note(probe, reply);
    probe->is_passed =
        probe->refusal[0] == '\0' && (reply->type == REDIS_REPLY_ARRAY || probe->is_full);
    memcpy(probe->trouble, probe->refusal, sizeof(probe->trouble));
    if (probe->is_passed) {
        probe->has_complained = false;
    } else if (!probe->has_complained) {
        probe->has_complained = true;
        log_error("cluster", "Redis refuses what a node needs: %s", probe->trouble);
    }
}

// What log_read.c and recovery.c send, of a channel that need not exist.
static void send_reads(struct cluster *cluster) {
    struct redis_conn *conn = cluster->links[REDIS_LINK_COMMAND];
    struct keys keys;
    keys_init(&keys, cluster->prefix, SLICE("freshet"));
    struct slice words[] = {SLICE("XREVRANGE"), keys.log,       SLICE("+"),
                            SLICE("-"),         SLICE("COUNT"), SLICE("1")};
    link_send(conn, 3, (struct slice[]){SLICE("FCALL"), SLICE("freshet_version"), SLICE("0")},
              on_call, cluster);
    link_send(conn, 1, (struct slice[]){SLICE("MULTI")}, on_reply, cluster);
    link_send(conn, 3, (struct slice[]){SLICE("HMGET"), keys.hash, SLICE("epoch")}, on_reply,
              cluster);
    link_send(conn, 6, words, on_reply, cluster);
    words[0] = SLICE("XRANGE");
    words[2] = SLICE("-");
    words[3] = SLICE("+");
    link_send(conn, 6, words, on_reply, cluster);
    link_send(conn, 1, (struct slice[]){SLICE("EXEC")}, on_exec, cluster);
}

bool probe_explain(const struct cluster *cluster, char *reason_r, size_t size) {
    const struct probe *probe = &cluster->probe;
    if (probe->is_passed) {
        return false;
    }
    snprintf(reason_r, size, "%s%s",
             probe->trouble[0] != '\0' ? "Redis refuses what a node needs: "
                                       : "Redis is being asked whether this node may read",
             probe->trouble);
    return true;
}

// ---- What harms it? --------------------------------------------------------------------------------

static void warn(struct probe *probe, enum cluster_warning warning, bool is_due, const char *text) {
    char *told = probe->warnings[warning];
    if (!is_due) {
        told[0] = '\0';
    } else if (strcmp(told, text) != 0) {
        snprintf(told, CLUSTER_REASON_MAX, "%s", text);
        log_warning("cluster", "%s", told);
    }
}

static uint64_t number_of(struct slice info, struct slice name) {
    uint64_t number = 0;
    slice_to_u64(resp_info(info, name), UINT64_MAX, &number);
    return number;
}

static void judge_settings(struct probe *probe, struct slice info) {
    struct slice policy = resp_info(info, SLICE("maxmemory_policy"));
    uint64_t memory_max = number_of(info, SLICE("maxmemory"));
    bool evicts_nothing = slice_equal(policy, SLICE("noeviction"));
    char text[CLUSTER_REASON_MAX];
    snprintf(text, sizeof(text),
             "maxmemory-policy %.*s evicts counters and logs of live channels, and subscribers are "
             "reset for nothing: set volatile-ttl or noeviction",
             policy.len < 32 ? (int)policy.len : 0, policy.data);
    warn(probe, CLUSTER_WARNING_EVICTION,
         policy.len > 0 && !evicts_nothing && !slice_equal(policy, SLICE("volatile-ttl")), text);
    warn(probe, CLUSTER_WARNING_MEMORY,
         evicts_nothing && memory_max > 0 && number_of(info, SLICE("used_memory")) >= memory_max,
         "Redis is full: publishes and new channels are refused (OOM): raise maxmemory");
    warn(probe, CLUSTER_WARNING_DISK,
         slice_equal(resp_info(info, SLICE("aof_enabled")), SLICE("0")),
         "appendonly is off: a restart of Redis forgets channels, and subscribers are reset");
}

static void on_info(void *owner, int status, const redisReply *reply) {
    struct cluster *cluster = owner;
    if (status != 0) {
        return;
    }
    cluster->probe.is_under_way = false;
    cluster->probe.next_ms =
        uv_now(&cluster->loop) + (cluster->probe.is_passed ? PERIOD_MS : AGAIN_MS);
    if (reply->type == REDIS_REPLY_STRING) { // without the right to ask nothing is known
        judge_settings(&cluster->probe, resp_text(reply));
    }
}

// ---- When ------------------------------------------------------------------------------------------

static void send_probe(struct cluster *cluster) {
    struct probe *probe = &cluster->probe;
    probe->is_under_way = true;
    probe->is_full = false;
    probe->refusal[0] = '\0';
    send_reads(cluster);
    link_send(cluster->links[REDIS_LINK_COMMAND], 3,
              (struct slice[]){SLICE("INFO"), SLICE("memory"), SLICE("persistence")}, on_info,
              cluster);
}

void probe_on_link_up(struct cluster *cluster) {
    send_probe(cluster);
}

void probe_on_link_down(struct cluster *cluster) {
    cluster->probe.is_under_way = false;
    cluster->probe.is_passed = false;
    cluster->probe.trouble[0] = '\0';
}

void probe_tick(struct cluster *cluster, uint64_t now_ms) {
    struct probe *probe = &cluster->probe;
    if (!probe->is_under_way && now_ms >= probe->next_ms &&
        link_has_room(cluster->links[REDIS_LINK_COMMAND])) {
        send_probe(cluster);
    }
}
