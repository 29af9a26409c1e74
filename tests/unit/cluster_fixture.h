// What the tests of the cluster stand on: a node's cluster on a real Redis, and a worker's channel,
// recorded.
#ifndef FRESHET_TESTS_UNIT_CLUSTER_FIXTURE_H
#define FRESHET_TESTS_UNIT_CLUSTER_FIXTURE_H

#include "cluster/cluster.h"
#include "redis_fixture.h"

#include "cluster/base/error.h"

static struct server server;
static struct cluster *cluster;

// ---- A worker's channel, recorded

enum { HEARD_MAX = 4096 };

struct listener {
    struct interest *interest;
    unsigned joins;
    unsigned handed; // messages of the last handover
    struct position base;
    struct position head;
    unsigned heard;
    unsigned ephemeral;
    unsigned resets;
    struct reset reset;
    int refused;
    struct position last;
    bool has_hole; // something did not follow what came before, and no reset said so
};

static inline void on_joined(void *owner, const struct handover *handover) {
    struct listener *listener = owner;
    listener->joins++;
    listener->handed = (unsigned)handover->count;
    listener->base = handover->base;
    listener->head = handover->head;
    listener->last = handover->head;
    struct position at = handover->base;
    for (size_t i = 0; i < handover->count; i++) {
        assert_true(message_follows(handover->messages[i], at));
        at = handover->messages[i]->position;
    }
    assert_true(position_equal(at, handover->head));
}

static inline void on_message(void *owner, struct message *message) {
    struct listener *listener = owner;
    if (message_is_ephemeral(message)) {
        listener->ephemeral++;
        return;
    }
    listener->has_hole = listener->has_hole || !message_follows(message, listener->last);
    listener->last = message->position;
    listener->heard++;
}

static inline void on_reset(void *owner, const struct reset *reset) {
    struct listener *listener = owner;
    assert_true(position_equal(reset->from, listener->last));
    listener->resets++;
    listener->reset = *reset;
    listener->last = reset->to;
}

static inline void on_refused(void *owner, int error) {
    struct listener *listener = owner;
    listener->refused = error;
}

static const struct interest_events listener_events = {on_joined, on_message, on_reset, on_refused};

static inline void listen_to(struct listener *listener, struct cluster_member *member,
                             const char *channel) {
    *listener = (struct listener){0};
    listener->interest = cluster_subscribe(member, slice_of(channel), &listener_events, listener);
}

// ---- Calls

static unsigned calls_done;

static inline void on_done(struct call *call) {
    (void)call;
    calls_done++;
}

static inline void publish(struct cluster_member *member, struct publish_call *call) {
    calls_done = 0;
    call->call.on_done = on_done;
    cluster_publish(member, call);
    assert_int_equal(calls_done, 0);
    RUN_UNTIL(calls_done == 1, 5000);
}

static inline void history(struct cluster_member *member, struct history_call *call) {
    calls_done = 0;
    call->call.on_done = on_done;
    call->limit = call->limit > 0 ? call->limit : 1000;
    call->bytes_max = call->bytes_max > 0 ? call->bytes_max : 1 << 20;
    cluster_history(member, call);
    RUN_UNTIL(calls_done == 1, 5000);
}

static inline struct position publish_by_redis(const char *channel, const char *data) {
    struct position position;
    redisReply *reply = control(&server, "FCALL freshet_publish 1 %s %s TYPE text", channel, data);
    assert_int_equal(position_parse(slice_of(reply->str), &position), 0);
    return position;
}

// ---- Set-up

static inline bool is_ready(void) {
    struct cluster_state state;
    cluster_state(cluster, &state);
    return state.is_ready;
}

static inline int setup(void **state) {
    loop_setup(state);
    server_prepare(&server);
    server_run(&server, "--appendonly", "yes");
    const struct cluster_options options = {
        .redis_url = slice_of(server.unix_url),
        .prefix = SLICE("freshet"),
        .node_id = SLICE("test"),
        .backlog_messages = 256,
        .backlog_bytes = 4 << 20,
        .backlog_total = 64 << 20,
    };
    const char *why;
    assert_int_equal(cluster_open(&options, &cluster, &why), 0);
    RUN_UNTIL(is_ready(), 10000);
    return 0;
}

static unsigned members;

static inline int teardown(void **state) {
    if (members > 0) {
        give_up();
    }
    cluster_close(&cluster);
    char command[128];
    server_kill(&server);
    snprintf(command, sizeof(command), "rm -rf %s", server.dir);
    assert_int_equal(system(command), 0);
    return loop_teardown(state);
}

static inline struct cluster_member *attach(void) {
    struct cluster_member *member;
    assert_int_equal(cluster_attach(cluster, &loop, &member), 0);
    members++;
    return member;
}

static inline void detach(struct cluster_member *member) {
    RUN_UNTIL(cluster_member_is_idle(member), 5000);
    cluster_detach(&member);
    members--;
}

// With a Redis and a cluster of its own.
#define CLUSTER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
