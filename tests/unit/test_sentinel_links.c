// What following a master asks of one connection: it is up with a server of the right role alone, and
// goes where its address says when that changes. And of a watch: that it finds a master, and no other.
#include "redis_fixture.h"

#include "cluster/base/error.h"
#include "cluster/redis_greeting.h"
#include "cluster/sentinel_watch.h"

static struct server first;
static struct server second;

static int servers_setup(void **state) {
    server_prepare(&first);
    server_run(&first, NULL, NULL);
    server_prepare(&second);
    server_run(&second, NULL, NULL);
    return loop_setup(state);
}

static int servers_teardown(void **state) {
    int error = loop_teardown(state);
    server_release(&first);
    server_release(&second);
    return error;
}

static void open_as(struct link *link, enum redis_link kind, const struct server *server,
                    enum redis_role role) {
    char port[8];
    if (server != NULL) {
        snprintf(port, sizeof(port), "%u", server->port);
        redis_address_set_server(&link->address, "127.0.0.1", port);
    }
    link->address.role = role;
    links_open++;
    struct redis_conn_events events = {on_link_up, on_link_down, on_link_push, link};
    assert_int_equal(
        redis_conn_open(&loop, kind, &link->address, "freshet-test", &events, &link->conn), 0);
}

static void move_to(struct link *link, const struct server *server) {
    char port[8];
    snprintf(port, sizeof(port), "%u", server->port);
    redis_address_set_server(&link->address, "127.0.0.1", port);
    redis_conn_redial(link->conn, "moved");
}

static void check_server(struct link *link, struct server *server) {
    char run_id[REDIS_RUN_ID_BYTES + 1];
    redisReply *reply = control(server, "INFO server");
    snprintf(run_id, sizeof(run_id), "%s", strstr(reply->str, "run_id:") + strlen("run_id:"));
    assert_string_equal(redis_conn_run_id(link->conn), run_id);
}

static void become_replica(struct server *server, const struct server *master) {
    control(server, "REPLICAOF 127.0.0.1 %u", master->port);
}

static void a_link_to_a_replica_never_is_up(void **state) {
    (void)state;
    static const char why[] = "this Redis is no master but a replica of 127.0.0.1";
    become_replica(&second, &first);
    struct link links[REDIS_LINKS] = {0};
    for (int kind = 0; kind < REDIS_LINKS; kind++) {
        open_as(&links[kind], (enum redis_link)kind, &second, REDIS_ROLE_MASTER);
        RUN_UNTIL(strcmp(redis_conn_trouble(links[kind].conn), why) == 0, 5000);
        assert_int_equal(links[kind].ups, 0);
    }
    control(&second, "REPLICAOF NO ONE");
    for (int kind = 0; kind < REDIS_LINKS; kind++) {
        RUN_UNTIL(links[kind].ups == 1, 5000); // no more than the longest backoff, 2 s
        assert_int_equal(links[kind].downs, 0);
        link_release(&links[kind]);
    }
}

static void where_any_role_will_do_a_replica_is_taken(void **state) {
    (void)state;
    become_replica(&second, &first);
    struct link link = {0};
    open_as(&link, REDIS_LINK_COMMAND, &second, REDIS_ROLE_ANY);
    RUN_UNTIL(link.ups == 1, 5000);
    link_release(&link);
}

static void a_redis_is_no_sentinel(void **state) {
    (void)state;
    struct link link = {0};
    open_as(&link, REDIS_LINK_COMMAND, &first, REDIS_ROLE_SENTINEL);
    RUN_UNTIL(strcmp(redis_conn_trouble(link.conn), "this is no Sentinel") == 0, 5000);
    assert_int_equal(link.ups, 0);
    link_release(&link);
}

static void who_may_not_ask_for_the_role_believes_what_is_configured(void **state) {
    (void)state;
    become_replica(&second, &first);
    control(&second, "ACL SETUSER default -role");
    struct link link = {0};
    open_as(&link, REDIS_LINK_COMMAND, &second, REDIS_ROLE_MASTER);
    RUN_UNTIL(link.ups == 1, 5000);
    link_release(&link);
}

static void an_address_that_is_not_known_is_not_dialled_before_it_is(void **state) {
    (void)state;
    struct link link = {0};
    open_as(&link, REDIS_LINK_COMMAND, NULL, REDIS_ROLE_MASTER);
    uint64_t until_ms = clock_mono_ms() + 300; // several first steps of the backoff
    RUN_UNTIL(clock_mono_ms() > until_ms, 5000);
    assert_int_equal(link.ups, 0);
    assert_string_equal(redis_conn_trouble(link.conn), "");
    assert_int_equal(send_line(&link, "PING", NULL), E_UNAVAILABLE);
    move_to(&link, &first);
    RUN_UNTIL(link.ups == 1, 5000);
    check_server(&link, &first);
    link_release(&link);
}

static void a_link_that_was_never_dialled_can_be_closed(void **state) {
    (void)state;
    struct link link = {0};
    open_as(&link, REDIS_LINK_PUBSUB, NULL, REDIS_ROLE_MASTER);
    link_release(&link);
}

static void a_link_moves_and_tells_what_became_of_its_commands(void **state) {
    (void)state;
    struct link link = {0};
    open_as(&link, REDIS_LINK_COMMAND, &first, REDIS_ROLE_MASTER);
    RUN_UNTIL(link.ups == 1, 5000);
    struct outcome waiting = {0};
    assert_int_equal(send_line(&link, "BLPOP nothing 0", &waiting), 0);
    RUN_UNTIL(server_info(&first, "clients", "blocked_clients") == 1, 5000);
    struct outcome unsent = {0};
    assert_int_equal(send_line(&link, "PING", &unsent), 0);
    move_to(&link, &second);
    assert_int_equal(link.downs, 1);
    assert_int_equal(waiting.status, E_UNKNOWN_OUTCOME);
    assert_int_equal(unsent.status, E_UNAVAILABLE);
    RUN_UNTIL(link.ups == 2, 5000);
    check_server(&link, &second);
    assert_int_equal(redis_conn_stats(link.conn).reconnects, 1);
    link_release(&link);
}

static void a_link_in_vain_moves_at_once(void **state) {
    (void)state;
    struct server nobody = {.port = free_port()};
    struct link link = {0};
    open_as(&link, REDIS_LINK_COMMAND, &nobody, REDIS_ROLE_MASTER);
    // Until its backoff has grown to its full length.
    uint64_t until_ms = clock_mono_ms() + 3000;
    RUN_UNTIL(clock_mono_ms() > until_ms, 10000);
    move_to(&link, &first);
    uint64_t moved_ms = clock_mono_ms();
    RUN_UNTIL(link.ups == 1, 5000);
    assert_true(clock_mono_ms() - moved_ms < 800); // the backoff stood at 1 to 2 s
    link_release(&link);
}

static void close_in_on_down(struct link *link) {
    redis_conn_close(&link->conn);
}

// on_link_down of the fixture looks at the connection before it calls this.
static void a_link_may_be_closed_while_it_moves(void **state) {
    (void)state;
    struct link link = {.on_down = close_in_on_down};
    open_as(&link, REDIS_LINK_COMMAND, &first, REDIS_ROLE_MASTER);
    RUN_UNTIL(link.ups == 1, 5000);
    struct redis_conn *conn = link.conn;
    redis_conn_redial(conn, "moved");
    assert_null(link.conn);
    link_release(&link);
}

// ---- A watch ---------------------------------------------------------------------------------------

struct watched {
    struct sentinel_watch watch;
    struct redis_address like;
    unsigned proofs;
    bool goes_on; // else it ends with the proof, within its callback
};

static void on_proven(struct sentinel_watch *watch) {
    struct watched *watched = CONTAINER_OF(watch, struct watched, watch);
    watched->proofs++;
    if (!watched->goes_on) {
        sentinel_watch_set(watch, NULL);
    }
}

static struct sentinel_word word_of(const struct server *server) {
    struct sentinel_word word = {.is_said = true, .host = "127.0.0.1"};
    snprintf(word.port, sizeof(word.port), "%u", server->port);
    return word;
}

static void a_watch_finds_who_is_a_master_at_last(void **state) {
    (void)state;
    become_replica(&second, &first);
    struct watched watched = {0};
    struct sentinel_word word = word_of(&second);
    sentinel_watch_init(&watched.watch, &loop, &watched.like, "freshet-test", on_proven);
    sentinel_watch_set(&watched.watch, &word);
    uint64_t until_ms = clock_mono_ms() + 1000; // several dials
    RUN_UNTIL(clock_mono_ms() > until_ms, 5000);
    assert_int_equal(watched.proofs, 0);
    control(&second, "REPLICAOF NO ONE");
    RUN_UNTIL(watched.proofs == 1, 5000);
    assert_null(watched.watch.conn);
    sentinel_watch_set(&watched.watch, &word); // again
    RUN_UNTIL(watched.proofs == 2, 5000);
    sentinel_watch_release(&watched.watch);
}

static void a_watch_goes_over_to_another_server(void **state) {
    (void)state;
    struct server nobody = {.port = free_port()};
    struct watched watched = {.goes_on = true};
    struct sentinel_word words[] = {word_of(&nobody), word_of(&first)};
    sentinel_watch_init(&watched.watch, &loop, &watched.like, "freshet-test", on_proven);
    sentinel_watch_set(&watched.watch, &words[0]);
    RUN_UNTIL(redis_conn_trouble(watched.watch.conn)[0] != '\0', 5000); // refused
    sentinel_watch_set(&watched.watch, &words[1]);
    RUN_UNTIL(watched.proofs == 1, 5000);
    struct redis_conn *conn = watched.watch.conn;
    sentinel_watch_set(&watched.watch, &words[1]); // nothing new
    assert_ptr_equal(watched.watch.conn, conn);
    assert_true(redis_conn_is_up(conn));
    sentinel_watch_release(&watched.watch); // with a link that stands
}

static void a_watch_of_nobody_can_be_ended(void **state) {
    (void)state;
    struct watched watched = {0};
    sentinel_watch_init(&watched.watch, &loop, &watched.like, "freshet-test", on_proven);
    sentinel_watch_set(&watched.watch, NULL);
    sentinel_watch_release(&watched.watch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_link_to_a_replica_never_is_up, servers_setup,
                                        servers_teardown),
        cmocka_unit_test_setup_teardown(where_any_role_will_do_a_replica_is_taken, servers_setup,
                                        servers_teardown),
        cmocka_unit_test_setup_teardown(a_redis_is_no_sentinel, servers_setup, servers_teardown),
        cmocka_unit_test_setup_teardown(who_may_not_ask_for_the_role_believes_what_is_configured,
                                        servers_setup, servers_teardown),
        cmocka_unit_test_setup_teardown(an_address_that_is_not_known_is_not_dialled_before_it_is,
                                        servers_setup, servers_teardown),
        cmocka_unit_test_setup_teardown(a_link_that_was_never_dialled_can_be_closed, servers_setup,
                                        servers_teardown),
        cmocka_unit_test_setup_teardown(a_link_moves_and_tells_what_became_of_its_commands,
                                        servers_setup, servers_teardown),
        cmocka_unit_test_setup_teardown(a_link_in_vain_moves_at_once, servers_setup,
                                        servers_teardown),
        cmocka_unit_test_setup_teardown(a_link_may_be_closed_while_it_moves, servers_setup,
                                        servers_teardown),
        cmocka_unit_test_setup_teardown(a_watch_finds_who_is_a_master_at_last, servers_setup,
                                        servers_teardown),
        cmocka_unit_test_setup_teardown(a_watch_goes_over_to_another_server, servers_setup,
                                        servers_teardown),
        cmocka_unit_test_setup_teardown(a_watch_of_nobody_can_be_ended, servers_setup,
                                        servers_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
