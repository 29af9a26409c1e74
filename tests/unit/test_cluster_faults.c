// What a worker hears when Redis is cut off, stops, forgets, restarts or cannot save.
#include "cluster_fixture.h"

#include <sys/stat.h>

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

static void a_library_flushed_away_is_loaded_again_by_the_next_publish(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    control(&server, "FUNCTION FLUSH");
    struct publish_call call = {.channel = SLICE("news"), .data = SLICE("1")};
    publish(member, &call);
    assert_int_equal(call.result, PUBLISH_OK);
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
    assert_true(clock_mono_ms() - start_ms < 3000); // not only when the link is cut
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

static uint64_t pubsub_reconnects(void) {
    struct cluster_stats stats;
    cluster_stats(cluster, &stats);
    return stats.links[REDIS_LINK_PUBSUB].reconnects;
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
    RUN_UNTIL(pubsub_reconnects() == 1, 5000);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(a_killed_link_heals_and_its_hole_is_filled),
        CLUSTER_TEST(an_emptied_redis_is_noticed_by_the_sweep),
        CLUSTER_TEST(an_emptied_redis_is_noticed_at_once_by_the_next_publish),
        CLUSTER_TEST(a_library_flushed_away_is_loaded_again_by_the_next_publish),
        CLUSTER_TEST(a_frozen_redis_leaves_a_publish_unknown_and_the_node_unready),
        CLUSTER_TEST(a_redis_restarted_with_its_data_costs_nobody_a_reset),
        CLUSTER_TEST(a_redis_that_cannot_save_is_heard_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
