// The door, against a real Redis: what a worker hears of a channel, also when things break.
#include "cluster/cluster.h"
#include "redis_fixture.h"

#include "cluster/base/error.h"

#include <sys/stat.h>

static struct server server;
static struct cluster *cluster;

// ---- A worker's channel, recorded ------------------------------------------------------------------

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

static void on_joined(void *owner, const struct handover *handover) {
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

static void on_message(void *owner, struct message *message) {
    struct listener *listener = owner;
    if (message_is_ephemeral(message)) {
        listener->ephemeral++;
        return;
    }
    listener->has_hole = listener->has_hole || !message_follows(message, listener->last);
    listener->last = message->position;
    listener->heard++;
}

static void on_reset(void *owner, const struct reset *reset) {
    struct listener *listener = owner;
    assert_true(position_equal(reset->from, listener->last));
    listener->resets++;
    listener->reset = *reset;
    listener->last = reset->to;
}

static void on_refused(void *owner, int error) {
    struct listener *listener = owner;
    listener->refused = error;
}

static const struct interest_events listener_events = {on_joined, on_message, on_reset, on_refused};

static void listen_to(struct listener *listener, struct cluster_member *member,
                      const char *channel) {
    *listener = (struct listener){0};
    listener->interest = cluster_subscribe(member, slice_of(channel), &listener_events, listener);
}

// ---- Calls -------------------------------------------------------------------------------------------

static unsigned calls_done;

static void on_done(struct call *call) {
    (void)call;
    calls_done++;
}

static void publish(struct cluster_member *member, struct publish_call *call) {
    calls_done = 0;
    call->call.on_done = on_done;
    cluster_publish(member, call);
    assert_int_equal(calls_done, 0);
    RUN_UNTIL(calls_done == 1, 5000);
}

static void history(struct cluster_member *member, struct history_call *call) {
    calls_done = 0;
    call->call.on_done = on_done;
    call->limit = call->limit > 0 ? call->limit : 1000;
    call->bytes_max = call->bytes_max > 0 ? call->bytes_max : 1 << 20;
    cluster_history(member, call);
    RUN_UNTIL(calls_done == 1, 5000);
}

static struct position publish_by_redis(const char *channel, const char *data) {
    struct position position;
    redisReply *reply = control(&server, "FCALL freshet_publish 1 %s %s TYPE text", channel, data);
    assert_int_equal(position_parse(slice_of(reply->str), &position), 0);
    return position;
}

// ---- Set-up ------------------------------------------------------------------------------------------

static bool is_ready(void) {
    struct cluster_state state;
    cluster_state(cluster, &state);
    return state.is_ready;
}

static int setup(void **state) {
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

static int teardown(void **state) {
    cluster_close(&cluster);
    char command[128];
    server_kill(&server);
    snprintf(command, sizeof(command), "rm -rf %s", server.dir);
    assert_int_equal(system(command), 0);
    return loop_teardown(state);
}

static struct cluster_member *attach(void) {
    struct cluster_member *member;
    assert_int_equal(cluster_attach(cluster, &loop, &member), 0);
    return member;
}

static void detach(struct cluster_member *member) {
    RUN_UNTIL(cluster_member_is_idle(member), 5000);
    cluster_detach(&member);
}

// ---- Stories -----------------------------------------------------------------------------------------

static void what_is_published_is_heard_once_and_in_order(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    struct listener listener;
    listen_to(&listener, member, "news");
    RUN_UNTIL(listener.joins == 1, 5000);
    assert_int_equal(listener.head.version, 0); // opened, never published

    struct publish_call call = {.channel = SLICE("news"), .data = SLICE("{\"a\":1}")};
    publish(member, &call);
    assert_int_equal(call.result, PUBLISH_OK);
    struct position position;
    assert_int_equal(position_parse(slice_of(call.text), &position), 0);
    RUN_UNTIL(listener.heard == 1, 5000);
    assert_true(position_equal(position, listener.last));

    for (int i = 0; i < 500; i++) {
        publish_by_redis("news", "x");
    }
    RUN_UNTIL(listener.heard == 501, 5000);
    assert_false(listener.has_hole);
    control(&server, "PUBLISH freshet:{news}:now hello");
    RUN_UNTIL(listener.ephemeral == 1, 5000);
    cluster_unsubscribe(&listener.interest);
    detach(member);
}

static void a_second_worker_is_handed_what_the_first_one_heard(void **state) {
    (void)state;
    struct cluster_member *one = attach();
    struct cluster_member *two = attach();
    struct listener first;
    struct listener second;
    listen_to(&first, one, "handed");
    RUN_UNTIL(first.joins == 1, 5000);
    for (int i = 0; i < 10; i++) {
        publish_by_redis("handed", "x");
    }
    RUN_UNTIL(first.heard == 10, 5000);
    struct cluster_stats before;
    cluster_stats(cluster, &before);
    listen_to(&second, two, "handed");
    RUN_UNTIL(second.joins == 1, 5000);
    assert_int_equal(second.handed, 10);
    struct cluster_stats after;
    cluster_stats(cluster, &after);
    assert_int_equal(after.history_reads, before.history_reads);
    cluster_unsubscribe(&first.interest);
    publish_by_redis("handed", "x");
    RUN_UNTIL(second.heard == 1, 5000);
    cluster_unsubscribe(&second.interest);
    detach(one);
    detach(two);
    RUN_UNTIL(control(&server, "PUBSUB NUMSUB freshet:{handed}:now")->element[1]->integer == 0,
              5000);
}

static void a_killed_link_heals_and_its_hole_is_filled(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    struct listener listener;
    listen_to(&listener, member, "hole");
    RUN_UNTIL(listener.joins == 1, 5000);
    unsigned published = 0;
    for (int round = 0; round < 5; round++) {
        control(&server, "CLIENT KILL TYPE pubsub");
        for (int i = 0; i < 200; i++) {
            publish_by_redis("hole", "x");
            published++;
        }
        RUN_UNTIL(listener.heard == published, 5000);
        RUN_UNTIL(is_ready(), 5000);
    }
    assert_false(listener.has_hole);
    assert_int_equal(listener.resets, 0);
    struct cluster_stats stats;
    cluster_stats(cluster, &stats);
    assert_true(stats.gap_messages > 0);
    cluster_unsubscribe(&listener.interest);
    detach(member);
}

static void an_emptied_redis_is_noticed_by_the_sweep(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    struct listener listener;
    listen_to(&listener, member, "emptied");
    RUN_UNTIL(listener.joins == 1, 5000);
    publish_by_redis("emptied", "x");
    RUN_UNTIL(listener.heard == 1, 5000);
    control(&server, "FLUSHALL");
    RUN_UNTIL(listener.resets == 1, 15000);
    assert_int_equal(listener.reset.reason, RESET_FOREIGN);
    assert_int_equal(listener.reset.to.version, 0);
    publish_by_redis("emptied", "x");
    RUN_UNTIL(listener.heard == 2, 5000);
    assert_false(listener.has_hole);
    cluster_unsubscribe(&listener.interest);
    detach(member);
}

static void an_emptied_redis_is_noticed_at_once_by_the_next_publish(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    struct listener listener;
    listen_to(&listener, member, "flushed");
    RUN_UNTIL(listener.joins == 1, 5000);
    publish_by_redis("flushed", "x");
    RUN_UNTIL(listener.heard == 1, 5000);
    control(&server, "FLUSHALL");
    struct position position = publish_by_redis("flushed", "y");
    RUN_UNTIL(listener.heard == 2, 1000);
    assert_int_equal(listener.resets, 1);
    assert_true(position_equal(listener.last, position));
    assert_false(listener.has_hole);
    cluster_unsubscribe(&listener.interest);
    detach(member);
}

static void a_forged_version_moves_nobody(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    struct listener listener;
    listen_to(&listener, member, "forged");
    RUN_UNTIL(listener.joins == 1, 5000);
    struct position position = publish_by_redis("forged", "x");
    RUN_UNTIL(listener.heard == 1, 5000);
    char envelope[64] = "\x98\x01\xcf________\x63\xc0\xa4text\xc0\x05\xa1x"; // version 99
    for (int i = 0; i < 8; i++) {
        envelope[3 + i] = (char)(position.epoch >> (56 - 8 * i));
    }
    const char *words[] = {"PUBLISH", "freshet:{forged}:now", envelope};
    const size_t lengths[] = {7, 20, 22};
    redisReply *reply = redisCommandArgv(server.control, 3, words, lengths);
    assert_int_equal(reply->integer, 1);
    freeReplyObject(reply);
    position = publish_by_redis("forged", "y");
    RUN_UNTIL(listener.heard == 2, 5000);
    assert_true(position_equal(listener.last, position));
    assert_int_equal(listener.resets, 0);
    cluster_unsubscribe(&listener.interest);
    detach(member);
}

static void history_is_read_from_any_cursor(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    struct position first = publish_by_redis("past", "0");
    for (int i = 1; i < 300; i++) {
        publish_by_redis("past", "x");
    }
    struct history_call call = {.channel = SLICE("past"), .start = HISTORY_OLDEST};
    history(member, &call);
    assert_int_equal(call.call.status, 0);
    assert_int_equal(call.count, 300);
    assert_int_equal(call.position.version, 0);
    assert_false(call.has_more);
    history_call_release(&call);

    call =
        (struct history_call){.channel = SLICE("past"), .since = {first.epoch, 100}, .limit = 70};
    history(member, &call);
    assert_int_equal(call.count, 70);
    assert_int_equal(call.messages[0]->position.version, 101);
    assert_true(call.has_more);
    history_call_release(&call);

    call = (struct history_call){.channel = SLICE("past"), .start = HISTORY_REWIND, .rewind = 130};
    history(member, &call);
    assert_int_equal(call.count, 130);
    assert_int_equal(call.position.version, 170);
    history_call_release(&call);

    control(&server, "XTRIM freshet:{past}:log MAXLEN 10");
    call = (struct history_call){.channel = SLICE("past"), .since = {first.epoch, 100}};
    history(member, &call);
    assert_true(call.has_reset);
    assert_int_equal(call.reset.reason, RESET_EXPIRED);
    assert_int_equal(call.reset.to.version, 290);
    assert_int_equal(call.count, 10);
    history_call_release(&call);

    call = (struct history_call){.channel = SLICE("past"), .since = {5, 5}};
    history(member, &call);
    assert_true(call.has_reset);
    assert_int_equal(call.reset.reason, RESET_FOREIGN);
    assert_int_equal(call.reset.to.version, 290);
    assert_int_equal(call.count, 10);
    history_call_release(&call);
    detach(member);
}

static void a_break_inside_the_log_is_told_where_it_is(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    struct position first = publish_by_redis("broken", "1");
    for (int i = 2; i <= 5; i++) {
        publish_by_redis("broken", "x");
    }
    control(&server, "XDEL freshet:{broken}:log %llu-3", (unsigned long long)first.epoch);
    struct history_call call = {.channel = SLICE("broken"), .since = first};
    history(member, &call);
    assert_int_equal(call.count, 1);
    assert_true(call.has_more);
    history_call_release(&call);
    call = (struct history_call){.channel = SLICE("broken"), .since = {first.epoch, 2}};
    history(member, &call);
    assert_true(call.has_reset);
    assert_int_equal(call.reset.to.version, 3);
    assert_int_equal(call.count, 2);
    history_call_release(&call);
    detach(member);
}

static void a_library_flushed_away_is_loaded_again_by_the_next_publish(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    control(&server, "FUNCTION FLUSH");
    struct publish_call call = {.channel = SLICE("news"), .data = SLICE("1")};
    publish(member, &call);
    assert_int_equal(call.result, PUBLISH_OK);
    detach(member);
}

static void a_refused_publish_says_why(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    struct publish_call call = {.channel = SLICE("news"), .data = SLICE("{nonsense")};
    publish(member, &call);
    assert_int_equal(call.result, PUBLISH_REFUSED);
    assert_int_equal(call.refusal, REFUSAL_JSON);
    call = (struct publish_call){
        .channel = SLICE("news"), .data = SLICE("1"), .if_head = SLICE("1-1")};
    publish(member, &call);
    assert_int_equal(call.result, PUBLISH_CONFLICT);
    struct position head;
    assert_int_equal(position_parse(slice_of(call.text), &head), 0);
    call = (struct publish_call){
        .channel = SLICE("news"), .data = SLICE("1"), .if_head = slice_of("none")};
    publish(member, &call);
    assert_int_equal(call.result, PUBLISH_CONFLICT);
    detach(member);
}

static void a_frozen_redis_leaves_a_publish_unknown_and_the_node_unready(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    struct listener listener;
    listen_to(&listener, member, "frozen");
    RUN_UNTIL(listener.joins == 1, 5000);
    kill(server.pid, SIGSTOP);
    uint64_t start_ms = clock_mono_ms();
    struct publish_call call = {
        .channel = SLICE("frozen"), .data = SLICE("1"), .once = SLICE("retry")};
    publish(member, &call);
    assert_int_equal(call.result, PUBLISH_UNKNOWN);
    assert_true(clock_mono_ms() - start_ms < 1500);
    RUN_UNTIL(!is_ready(), 5000);
    publish(member, &call);
    assert_int_equal(call.result, PUBLISH_UNAVAILABLE);
    struct cluster_state now;
    cluster_state(cluster, &now);
    assert_true(now.unheard_ms >= 1500);
    kill(server.pid, SIGCONT);
    RUN_UNTIL(is_ready(), 10000);
    publish(member, &call); // with the same once key: the first one or this one, never both
    assert_int_equal(call.result, PUBLISH_OK);
    RUN_UNTIL(listener.heard == 1, 5000);
    publish_by_redis("frozen", "2");
    RUN_UNTIL(listener.heard == 2, 5000);
    assert_int_equal(listener.resets, 0);
    cluster_unsubscribe(&listener.interest);
    detach(member);
}

static void a_redis_restarted_with_its_data_costs_nobody_a_reset(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    struct listener listener;
    listen_to(&listener, member, "restarted");
    RUN_UNTIL(listener.joins == 1, 5000);
    publish_by_redis("restarted", "x");
    RUN_UNTIL(listener.heard == 1, 5000);
    control(&server, "CONFIG SET appendfsync always");
    publish_by_redis("restarted", "x");
    server_kill(&server);
    RUN_UNTIL(!is_ready(), 5000);
    server_run(&server, "--appendonly", "yes");
    RUN_UNTIL(is_ready(), 10000);
    publish_by_redis("restarted", "y"); // by a new writer: a new epoch
    RUN_UNTIL(listener.heard == 3, 5000);
    assert_int_equal(listener.resets, 0);
    assert_int_equal(listener.last.version, 1);
    assert_false(listener.has_hole);
    cluster_unsubscribe(&listener.interest);
    detach(member);
}

static void an_entry_that_is_no_message_harms_nobody(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    control(&server, "XADD freshet:{alien}:log 5-0 data x");
    struct history_call call = {.channel = SLICE("alien"), .since = {77, 5}};
    history(member, &call);
    assert_int_equal(call.call.status, E_REDIS);
    publish_by_redis("alien", "x");
    struct listener listener;
    listen_to(&listener, member, "alien");
    RUN_UNTIL(listener.joins == 1, 5000);
    publish_by_redis("alien", "x");
    RUN_UNTIL(listener.heard == 1, 5000);
    cluster_unsubscribe(&listener.interest);
    detach(member);
}

static void a_redis_that_cannot_save_is_heard_all_the_same(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    struct listener listener;
    listen_to(&listener, member, "unsaved");
    RUN_UNTIL(listener.joins == 1, 5000);
    char path[96];
    snprintf(path, sizeof(path), "%s/dump.rdb", server.dir); // a folder in the way
    assert_int_equal(mkdir(path, 0700), 0);
    redisReply *reply = redisCommand(server.control, "CONFIG SET save %s", "3600 100000");
    assert_int_equal(reply->type, REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    control(&server, "BGSAVE");
    RUN_UNTIL(strstr(control(&server, "INFO persistence")->str, "rdb_last_bgsave_status:err"),
              5000);
    control(&server, "CLIENT KILL TYPE pubsub");
    RUN_UNTIL(!is_ready(), 5000);
    RUN_UNTIL(is_ready(), 5000);
    struct publish_call call = {.channel = SLICE("unsaved"), .data = SLICE("1")};
    publish(member, &call);
    assert_int_equal(call.result, PUBLISH_UNAVAILABLE);
    control(&server, "PUBLISH freshet:{unsaved}:now hello");
    RUN_UNTIL(listener.ephemeral == 1, 5000);
    control(&server, "CONFIG SET stop-writes-on-bgsave-error no");
    publish(member, &call);
    assert_int_equal(call.result, PUBLISH_OK);
    cluster_unsubscribe(&listener.interest);
    detach(member);
}

static void a_cancelled_call_completes_once(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    calls_done = 0;
    struct history_call call = {.call.on_done = on_done,
                                .channel = SLICE("past"),
                                .start = HISTORY_OLDEST,
                                .limit = 10,
                                .bytes_max = 1000};
    cluster_history(member, &call);
    call_cancel(&call.call);
    RUN_UNTIL(calls_done == 1, 5000);
    assert_int_equal(call.call.status, UV_ECANCELED);
    history_call_release(&call);
    detach(member);
}

static void too_many_new_channels_a_second_are_refused(void **state) {
    (void)state;
    enum { MANY = 600 };
    static struct listener listeners[MANY];
    struct cluster_member *member = attach();
    for (int i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof(name), "new-%d", i);
        listen_to(&listeners[i], member, name);
    }
    unsigned joined = 0;
    unsigned refused = 0;
    RUN_UNTIL(({
                  joined = refused = 0;
                  for (int i = 0; i < MANY; i++) {
                      joined += listeners[i].joins;
                      refused += listeners[i].refused == E_OVERLOADED;
                  }
                  joined + refused == MANY;
              }),
              10000);
    assert_true(joined >= 200);
    assert_true(refused > 0);
    for (int i = 0; i < MANY; i++) {
        cluster_unsubscribe(&listeners[i].interest);
    }
    detach(member);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_published_is_heard_once_and_in_order),
        cmocka_unit_test(a_second_worker_is_handed_what_the_first_one_heard),
        cmocka_unit_test(a_killed_link_heals_and_its_hole_is_filled),
        cmocka_unit_test(an_emptied_redis_is_noticed_by_the_sweep),
        cmocka_unit_test(an_emptied_redis_is_noticed_at_once_by_the_next_publish),
        cmocka_unit_test(a_forged_version_moves_nobody),
        cmocka_unit_test(history_is_read_from_any_cursor),
        cmocka_unit_test(a_break_inside_the_log_is_told_where_it_is),
        cmocka_unit_test(a_library_flushed_away_is_loaded_again_by_the_next_publish),
        cmocka_unit_test(a_refused_publish_says_why),
        cmocka_unit_test(a_frozen_redis_leaves_a_publish_unknown_and_the_node_unready),
        cmocka_unit_test(a_redis_restarted_with_its_data_costs_nobody_a_reset),
        cmocka_unit_test(an_entry_that_is_no_message_harms_nobody),
        cmocka_unit_test(a_redis_that_cannot_save_is_heard_all_the_same),
        cmocka_unit_test(a_cancelled_call_completes_once),
        cmocka_unit_test(too_many_new_channels_a_second_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
