// The cluster thread: its loop, its tick; and what any thread may ask.
//
// A turn of the loop: letters from workers and replies from Redis come in; what they ask for is
// queued; behind the poll phase (turn_end) reads, SUBSCRIBEs and batches leave together. It is a check
// handle, because redis_conn writes in its prepare handle, which comes next.
#include "cluster/cluster.h"

#include "cluster/base/clock.h"
#include "cluster/base/mem.h"
#include "cluster/core.h"

#include <stdlib.h>

enum { CLUSTER_MAGIC = 0xc1057e51, TICK_MS = 100 };

// ---- State and statistics --------------------------------------------------------------------------

static void explain(const struct cluster *cluster, uint64_t now_ms, char *reason_r, size_t size) {
    if (links_explain(cluster, reason_r, size)) {
        return;
    }
    if (probe_explain(cluster, reason_r, size)) {
        return;
    }
    if (!cluster->functions.is_ready) {
        snprintf(reason_r, size, "%s",
                 cluster->functions.trouble[0] != '\0' ? cluster->functions.trouble
                                                       : "the function library is being loaded");
    } else if (!echo_is_fresh(cluster, now_ms)) {
        snprintf(reason_r, size, "the node does not hear its own echo through Redis");
    } else if (cluster->subscriptions.unproven > 0) {
        snprintf(reason_r, size, "%zu channels are being compared with Redis",
                 cluster->subscriptions.unproven);
    } else {
        reason_r[0] = '\0';
    }
}

static void take_snapshot(struct cluster *cluster, uint64_t now_ms) {
    echo_update_heard(cluster);
    char reason[sizeof(cluster->reason)];
    explain(cluster, now_ms, reason, sizeof(reason));
    struct cluster_stats stats = {.subscriptions = cluster->subscriptions.by_name.count,
                                  .backlog_bytes = cluster->subscriptions.run_bytes};
    stats.history_window_seconds = cluster->recovery.window_s;
    links_take_stats(cluster, now_ms, &stats);
    uv_mutex_lock(&cluster->state_lock);
    bool was_ready = cluster->reason[0] == '\0';
    memcpy(cluster->reason, reason, sizeof(reason));
    memcpy(cluster->warnings, cluster->probe.warnings, sizeof(cluster->warnings));
    cluster->snapshot = stats;
    uv_mutex_unlock(&cluster->state_lock);
    if (was_ready != (reason[0] == '\0')) {
        log_info("cluster", "%s%s", reason[0] == '\0' ? "ready" : "not ready: ", reason);
    }
}

uint64_t cluster_unheard_ms(const struct cluster *cluster) {
    uint64_t heard_ms = atomic_load_explicit(&cluster->heard_ms, memory_order_relaxed);
    uint64_t now_ms = clock_mono_ms();
    uint64_t age_ms = now_ms > heard_ms ? now_ms - heard_ms : 0;
    return age_ms > ECHO_PERIOD_MS + ECHO_PERIOD_MS / 2 ? age_ms : 0;
}

void cluster_state(const struct cluster *const_cluster, struct cluster_state *state_r) {
    struct cluster *cluster = (struct cluster *)const_cluster; // for the lock alone
    CHECK_OBJ(cluster, CLUSTER_MAGIC);
    state_r->unheard_ms = cluster_unheard_ms(cluster);
    uv_mutex_lock(&cluster->state_lock);
    memcpy(state_r->reason, cluster->reason, sizeof(state_r->reason));
    memcpy(state_r->warnings, cluster->warnings, sizeof(state_r->warnings));
    uv_mutex_unlock(&cluster->state_lock);
    state_r->is_ready = state_r->reason[0] == '\0';
}

void cluster_stats(const struct cluster *const_cluster, struct cluster_stats *stats_r) {
    struct cluster *cluster = (struct cluster *)const_cluster; // for the lock alone
    CHECK_OBJ(cluster, CLUSTER_MAGIC);
    uv_mutex_lock(&cluster->state_lock);
    *stats_r = cluster->snapshot;
    uv_mutex_unlock(&cluster->state_lock);
    struct counters *counters = &cluster->stats;
    stats_r->messages_received = atomic_load(&counters->messages_received);
    stats_r->json_demoted = atomic_load(&counters->json_demoted);
    stats_r->gaps = atomic_load(&counters->gaps);
    stats_r->gap_messages = atomic_load(&counters->gap_messages);
    stats_r->joins_refused = atomic_load(&counters->joins_refused);
    stats_r->history_reads = atomic_load(&counters->history_reads);
    stats_r->overruns = atomic_load(&counters->overruns);
    for (size_t i = 0; i < PUBLISH_RESULTS; i++) {
        stats_r->publishes[i] = atomic_load(&counters->publishes[i]);
    }
    for (size_t i = 0; i < ENVELOPE_REFUSALS; i++) {
        stats_r->envelopes_refused[i] = atomic_load(&counters->envelopes_refused[i]);
    }
}

// ---- The thread ------------------------------------------------------------------------------------

static void end_turn(struct cluster *cluster) {
    subscriptions_flush(cluster);
    histories_pump(cluster);
    recovery_pump(cluster);
    fanout_flush(cluster);
    links_pump(cluster);
}

static void on_turn_end(uv_check_t *check) {
    struct cluster *cluster = CONTAINER_OF(check, struct cluster, turn_end);
    if (!cluster->is_stopping) {
        end_turn(cluster);
    }
}

static void on_tick(uv_timer_t *timer) {
    struct cluster *cluster = CONTAINER_OF(timer, struct cluster, tick);
    uint64_t now_ms = uv_now(&cluster->loop);
    links_tick(cluster, now_ms);
    echo_tick(cluster, now_ms);
    probe_tick(cluster, now_ms);
    recovery_tick(cluster, now_ms);
    publishes_tick(cluster, now_ms);
    fanout_catch_up(cluster);
    end_turn(cluster);
    take_snapshot(cluster, now_ms);
}

static void on_stop(struct letter *letter) {
    struct cluster *cluster = CONTAINER_OF(letter, struct cluster, stop);
    cluster->is_stopping = true;
    links_close(cluster);
    subscriptions_on_link_down(cluster); // drops those that still waited for an ack
    subscriptions_release(cluster);
    uv_close((uv_handle_t *)&cluster->tick, NULL);
    uv_close((uv_handle_t *)&cluster->turn_end, NULL);
    mailbox_close(&cluster->mailbox);
}

static void run(void *arg) {
    struct cluster *cluster = arg;
    links_open(cluster);
    uv_run(&cluster->loop, UV_RUN_DEFAULT);
}

// ---- Open and close --------------------------------------------------------------------------------

static struct slice copy(struct slice s) {
    char *data = mem_alloc(s.len + 1);
    memcpy(data, s.data, s.len);
    return slice_make(data, s.len);
}

static void release(struct cluster *cluster) {
    histories_release(&cluster->histories);
    uv_mutex_destroy(&cluster->state_lock);
    uv_mutex_destroy(&cluster->goodbye_lock);
    uv_cond_destroy(&cluster->goodbye_signal);
    topology_release(&cluster->topology);
    mem_free((char *)cluster->prefix.data);
    mem_free((char *)cluster->node_id.data);
    cluster->magic = 0;
    mem_free(cluster);
}

static void init(struct cluster *cluster, const struct cluster_options *options) {
    cluster->magic = CLUSTER_MAGIC;
    cluster->prefix = copy(options->prefix);
    cluster->node_id = copy(options->node_id);
    cluster->backlog_messages = options->backlog_messages;
    cluster->backlog_bytes = options->backlog_bytes;
    cluster->backlog_total = options->backlog_total / 2; // the workers' hubs have the other half
    snprintf(cluster->client_name, sizeof(cluster->client_name), "freshet:%.*s",
             SLICE_ARGS(options->node_id));
    snprintf(cluster->reason, sizeof(cluster->reason), "starting");
    atomic_store(&cluster->heard_ms, clock_mono_ms());
    CHECK(uv_mutex_init(&cluster->state_lock) == 0);
    CHECK(uv_mutex_init(&cluster->goodbye_lock) == 0);
    CHECK(uv_cond_init(&cluster->goodbye_signal) == 0);
    fanout_init(cluster);
    subscriptions_init(&cluster->subscriptions);
    recovery_init(&cluster->recovery);
    histories_init(&cluster->histories);
    publishes_init(&cluster->publishes);
    echo_init(cluster);
}

int cluster_check_url(struct slice redis_url, const char **why_r) {
    struct topology topology;
    int error = topology_parse(redis_url, &topology, why_r);
    if (error == 0) {
        topology_release(&topology);
    }
    return error;
}

int cluster_open(const struct cluster_options *options, struct cluster **cluster_r,
                 const char **why_r) {
    struct topology topology;
    int error = topology_parse(options->redis_url, &topology, why_r);
    if (error != 0) {
        return error;
    }
    struct cluster *cluster = mem_alloc(sizeof(*cluster));
    init(cluster, options);
    cluster->topology = topology;
    CHECK(uv_loop_init(&cluster->loop) == 0);
    CHECK(mailbox_open(&cluster->loop, &cluster->mailbox) == 0);
    CHECK(uv_timer_init(&cluster->loop, &cluster->tick) == 0);
    CHECK(uv_timer_start(&cluster->tick, on_tick, TICK_MS, TICK_MS) == 0);
    CHECK(uv_check_init(&cluster->loop, &cluster->turn_end) == 0);
    CHECK(uv_check_start(&cluster->turn_end, on_turn_end) == 0);
    CHECK(uv_thread_create(&cluster->thread, run, cluster) == 0);
    *cluster_r = cluster;
    return 0;
}

void cluster_close(struct cluster **cluster_in) {
    struct cluster *cluster = *cluster_in;
    *cluster_in = NULL;
    CHECK_OBJ(cluster, CLUSTER_MAGIC);
    cluster->stop.on_delivery = on_stop;
    mailbox_post(cluster->mailbox, &cluster->stop);
    CHECK(uv_thread_join(&cluster->thread) == 0);
    CHECK(uv_loop_close(&cluster->loop) == 0);
    release(cluster);
}

// ---- The channels of this host ---------------------------------------------------------------------

static void describe(struct channels_call *call, const struct subscription *sub) {
    struct channel_info *info = &call->channels[call->count++];
    info->name = slice_make(NULL, sub->name_len); // placed once all names are gathered
    info->head = sub->head;
    info->backlog = sub->run.count;
    info->is_live = sub->state == SUBSCRIPTION_LIVE && sub->is_proven;
    info->members = 0;
    LIST_FOREACH(node, &sub->interests) {
        info->members++;
    }
    bytes_append(&call->names, subscription_name(sub));
}

static void on_channels_call(struct letter *letter) {
    struct call *base = CONTAINER_OF(letter, struct call, letter);
    struct channels_call *call = CONTAINER_OF(base, struct channels_call, call);
    struct subscriptions *subscriptions = &base->member->cluster->subscriptions;
    call->total = subscriptions->by_name.count;
    size_t room = call->limit < call->total ? call->limit : call->total;
    call->channels = room > 0 ? mem_alloc_array(room, sizeof(*call->channels)) : NULL;
    size_t at = 0;
    for (struct subscription *sub; call->count < room;) {
        sub = map_next(&subscriptions->by_name, &at);
        CHECK(sub != NULL);
        describe(call, sub);
    }
    size_t offset = 0;
    for (size_t i = 0; i < call->count; i++) {
        call->channels[i].name.data = call->names.data + offset;
        offset += call->channels[i].name.len;
    }
    fanout_complete(base, 0);
}

void cluster_channels(struct cluster_member *member, struct channels_call *call) {
    call->channels = NULL;
    call->count = 0;
    call->names = (struct bytes){0};
    fanout_submit(member, &call->call, on_channels_call);
}

void channels_call_release(struct channels_call *call) {
    mem_free(call->channels);
    call->channels = NULL;
    call->count = 0;
    bytes_release(&call->names);
}
