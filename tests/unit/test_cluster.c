// The door, against a real Redis: what a worker hears of a channel and what its calls bring. What
// happens when Redis fails is in test_cluster_faults.c.
#include "cluster_fixture.h"

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

static void a_refused_publish_says_why(void **state) {
    (void)state;
    struct cluster_member *member = attach();
    publish_by_redis("news", "there is a head");
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
        CLUSTER_TEST(what_is_published_is_heard_once_and_in_order),
        CLUSTER_TEST(a_second_worker_is_handed_what_the_first_one_heard),
        CLUSTER_TEST(a_forged_version_moves_nobody),
        CLUSTER_TEST(history_is_read_from_any_cursor),
        CLUSTER_TEST(a_break_inside_the_log_is_told_where_it_is),
        CLUSTER_TEST(a_refused_publish_says_why),
        CLUSTER_TEST(an_entry_that_is_no_message_harms_nobody),
        CLUSTER_TEST(a_cancelled_call_completes_once),
        CLUSTER_TEST(too_many_new_channels_a_second_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
