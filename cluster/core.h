// What the files of cluster/ share: the cluster itself. Not for anybody outside; they have cluster.h.
#ifndef FRESHET_CLUSTER_CORE_H
#define FRESHET_CLUSTER_CORE_H

#include "cluster/base/error.h"
#include "cluster/base/log.h"
#include "cluster/base/mailbox.h"
#include "cluster/base/map.h"
#include "cluster/cluster.h"
#include "cluster/echo.h"
#include "cluster/functions.h"
#include "cluster/history.h"
#include "cluster/links.h"
#include "cluster/probe.h"
#include "cluster/publish.h"
#include "cluster/recovery.h"
#include "cluster/redis_conn.h"
#include "cluster/sentinel.h"
#include "cluster/subscription.h"

#include <stdatomic.h>

// Counters that any thread may read; only the cluster thread adds.
struct counters {
    atomic_ullong messages_received;
    atomic_ullong json_demoted;
    atomic_ullong gaps;
    atomic_ullong gap_messages;
    atomic_ullong publishes[PUBLISH_RESULTS];
    atomic_ullong envelopes_refused[ENVELOPE_REFUSALS];
    atomic_ullong joins_refused;
    atomic_ullong history_reads;
    atomic_ullong overruns;
};

static inline void stats_add(atomic_ullong *counter, unsigned long long n) {
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

struct cluster {
    uint32_t magic;
    // Options, set before the thread starts.
    struct slice prefix;  // owned bytes
    struct slice node_id; // owned bytes
    size_t backlog_messages;
    size_t backlog_bytes;
    size_t backlog_total;
    struct topology topology; // its server is the cluster thread's: Sentinel changes it
    char client_name[96];
    // The thread's own.
    uv_thread_t thread;
    uv_loop_t loop;
    struct mailbox *mailbox;
    uv_timer_t tick;
    uv_check_t turn_end;
    struct letter stop;
    struct redis_conn *links[REDIS_LINKS];
    struct sentinels *sentinels; // NULL without Sentinel
    struct functions functions;
    struct echo echo;
    struct probe probe;
    struct subscriptions subscriptions;
    struct recovery recovery;
    struct histories histories;
    struct publishes publishes;
    struct list dirty_members;
    struct list overrun_members;
    bool is_stopping;
    // Shared.
    struct counters stats;
    atomic_ullong heard_ms;          // when messages last were proven to reach us, monotonic
    uv_mutex_t state_lock;           // guards the next three
    char reason[CLUSTER_REASON_MAX]; // why not ready; "" when ready
    char warnings[CLUSTER_WARNINGS][CLUSTER_REASON_MAX];
    struct cluster_stats snapshot; // of what only the thread may look at
    uv_mutex_t goodbye_lock;       // guards the next two
    uint64_t goodbyes;
    uint64_t goodbyes_asked;
    uv_cond_t goodbye_signal;
};

#endif
