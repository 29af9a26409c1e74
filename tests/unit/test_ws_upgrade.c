// An exchange that leaves HTTP: what comes behind the request, what is not taken at once, and the
// ways in which it ends. Over real sockets, as in test_http.c.
#include "http_fixture.h"

// Takes three bytes at a time and says them back in brackets; `.` ends it, `!` aborts it.
struct upgraded {
    struct exchange *exchange;
    struct wheel_timer timer;
};

static void release_upgraded(struct upgraded *upgraded) {
    wheel_stop(&upgraded->timer);
    mem_free(upgraded);
}

static void on_upgraded_gone(void *state) {
    release_upgraded(state);
    atomic_fetch_add(&server.gone, 1);
}

static void on_resume(struct wheel_timer *timer) {
    exchange_resume(CONTAINER_OF(timer, struct upgraded, timer)->exchange);
}

static size_t on_bytes(void *state, struct slice bytes) {
    struct upgraded *upgraded = state;
    struct exchange *exchange = upgraded->exchange;
    size_t len = bytes.len < 3 ? bytes.len : 3;
    struct frame *frame = frame_create_with_head(SLICE("["), slice_make(bytes.data, len));
    exchange_write_frame(exchange, frame);
    exchange_write(exchange, SLICE("]"));
    frame_unref(&frame);
    char last = bytes.data[len - 1];
    if (last == '.') {
        release_upgraded(upgraded);
        exchange_finish(exchange, CLOSE_DONE);
    } else if (last == '!') {
        release_upgraded(upgraded);
        exchange_abort(exchange, CLOSE_PROTOCOL);
    } else if (len < bytes.len) {
        wheel_start(server.net->wheel, &upgraded->timer, 1, on_resume);
    }
    return len;
}

static struct upgraded *attach_upgraded(struct exchange *exchange) {
    static const struct exchange_ops ops = {.on_gone = on_upgraded_gone, .on_data = on_bytes};
    struct upgraded *upgraded = mem_alloc(sizeof(*upgraded));
    upgraded->exchange = exchange;
    exchange_attach(exchange, &ops, upgraded);
    return upgraded;
}

static void handle_upgrade(struct exchange *exchange, void *context) {
    (void)context;
    attach_upgraded(exchange);
    exchange_field(exchange, "X-Mine", SLICE("yes"));
    exchange_upgrade(exchange, "test");
    exchange_forget_request(exchange);
}

static void on_upgrade_later(struct wheel_timer *timer) {
    exchange_upgrade(CONTAINER_OF(timer, struct upgraded, timer)->exchange, "test");
}

static void handle_upgrade_later(struct exchange *exchange, void *context) {
    (void)context;
    wheel_start(server.net->wheel, &attach_upgraded(exchange)->timer, 60, on_upgrade_later);
}

static const struct route upgrade_routes[] = {
    {"/now", METHOD_BIT(HTTP_METHOD_GET), handle_upgrade},
    {"/later", METHOD_BIT(HTTP_METHOD_GET), handle_upgrade_later},
};

static const struct router upgrade_router = {.routes = upgrade_routes, .count = 2};

static int start(void **state) {
    (void)state;
    return start_server(&(struct fixture_options){.router = &upgrade_router});
}

#define REQUEST(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void the_answer_is_a_101(void **state) {
    (void)state;
    struct bytes bytes = {0};
    int fd = dial();
    say(fd, REQUEST("/now"));
    const char *head = hear(fd, &bytes, "\r\n\r\n");
    assert_starts(head, "HTTP/1.1 101 Switching Protocols\r\n");
    assert_non_null(strstr(head, "\r\nConnection: Upgrade\r\n"));
    assert_non_null(strstr(head, "\r\nUpgrade: test\r\n"));
    assert_non_null(strstr(head, "\r\nX-Mine: yes\r\n"));
    assert_null(strstr(head, "Content-Length"));
    assert_null(strstr(head, "Transfer-Encoding"));
    close(fd);
    bytes_release(&bytes);
    await_gone(1);
}

// However the bytes come, each is given once, in order, and what was not taken is given again.
static void assert_echo(const char *first, const char *second) {
    struct bytes bytes = {0};
    int fd = dial();
    say(fd, first);
    if (second != NULL) {
        hear(fd, &bytes, "\r\n\r\n");
        say(fd, second);
    }
    const char *all = hear(fd, &bytes, NULL);
    assert_non_null(all);
    assert_string_equal(strstr(all, "\r\n\r\n") + 4, "[abc][def][gh.]");
    close(fd);
    bytes_release(&bytes);
}

static void bytes_behind_the_request_are_given_once(void **state) {
    (void)state;
    assert_echo(REQUEST("/now") "abcdefgh.", NULL);
    assert_echo(REQUEST("/now"), "abcdefgh.");
    assert_echo(REQUEST("/now") "abc", "defgh.");
    assert_echo(REQUEST("/later") "abcdefgh.", NULL);
    assert_echo(REQUEST("/later"), "abcdefgh.");
}

static void the_end_of_the_client_is_told(void **state) {
    (void)state;
    int fd = dial();
    struct bytes bytes = {0};
    say(fd, REQUEST("/now") "abc");
    hear(fd, &bytes, "[abc]");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    await_gone(1);
    hear(fd, &bytes, NULL);
    close(fd);
    fd = dial();
    say(fd, REQUEST("/later") "abc");
    close(fd); // before the 101
    await_gone(2);
    bytes_release(&bytes);
}

static void an_abort_cuts(void **state) {
    (void)state;
    struct bytes bytes = {0};
    int fd = dial();
    say(fd, REQUEST("/now") "ab!");
    hear(fd, &bytes, NULL);
    close(fd);
    await(&server.metrics.closed[CLOSE_PROTOCOL], 1);
    bytes_release(&bytes);
}

static void a_drain_leaves_it_to_its_owner(void **state) {
    (void)state;
    struct bytes bytes = {0};
    int fd = dial();
    say(fd, REQUEST("/now") "abc");
    hear(fd, &bytes, "[abc]");
    uv_async_send(&server.shutdown);
    say(fd, "de.");
    assert_non_null(hear(fd, &bytes, NULL));
    assert_non_null(strstr(bytes.data, "[de.]"));
    close(fd);
    bytes_release(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_answer_is_a_101, start, stop_server),
        cmocka_unit_test_setup_teardown(bytes_behind_the_request_are_given_once, start,
                                        stop_server),
        cmocka_unit_test_setup_teardown(the_end_of_the_client_is_told, start, stop_server),
        cmocka_unit_test_setup_teardown(an_abort_cuts, start, stop_server),
        cmocka_unit_test_setup_teardown(a_drain_leaves_it_to_its_owner, start, stop_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
