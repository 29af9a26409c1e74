// What the tests of redis_conn stand on: a real redis-server of their own, a loop that runs until
// something is true, a recorder for one connection, and a server that lies.
#ifndef FRESHET_TESTS_UNIT_REDIS_FIXTURE_H
#define FRESHET_TESTS_UNIT_REDIS_FIXTURE_H

#include "cluster/base/check.h"
#include "cluster/base/clock.h"
#include "cluster/redis_conn.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static uv_loop_t loop;
static unsigned links_open;
static uv_timer_t ticker; // so that RUN_UNTIL looks at its condition now and then

#define RUN_UNTIL(condition, ms)                                                                   \
    do {                                                                                           \
        uint64_t run_end_ms = clock_mono_ms() + (ms);                                              \
        while (!(condition)) {                                                                     \
            if (clock_mono_ms() > run_end_ms) {                                                    \
                fail_msg("waited %d ms in vain for: %s", (int)(ms), #condition);                   \
            }                                                                                      \
            uv_run(&loop, UV_RUN_ONCE);                                                            \
        }                                                                                          \
    } while (0)

static inline void on_tick(uv_timer_t *timer) {
    (void)timer;
}

static inline int loop_setup(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN); // as redis_conn.h asks
    uv_loop_init(&loop);
    uv_timer_init(&loop, &ticker);
    uv_timer_start(&ticker, on_tick, 5, 5);
    return 0;
}

// A test that failed half-way has left behind what calls owners that are gone from the stack: nothing
// after it could be believed.
static inline void give_up(void) {
    fflush(stdout);
    fprintf(stderr, "a test failed half-way; the rest is not run\n");
    _exit(1);
}

// Fails when a connection left a handle or a request behind.
static inline int loop_teardown(void **state) {
    (void)state;
    if (links_open > 0) {
        give_up();
    }
    uv_close((uv_handle_t *)&ticker, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

// Below the ephemeral range, so that no outgoing connection takes it while nobody listens.
static inline unsigned free_port(void) {
    for (;;) {
        unsigned port = 10000 + (unsigned)clock_random(22000);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int error = bind(fd, (struct sockaddr *)&address, sizeof(address));
        close(fd);
        if (error == 0) {
            return port;
        }
    }
}

// ---- a real redis-server

struct server {
    pid_t pid; // 0: not running
    unsigned port;
    char dir[64];
    char unix_path[80];
    char unix_url[96];
    char tcp_url[64];
    redisContext *control; // blocking, for what the test does to Redis
};

static inline redisReply *control(struct server *server, const char *format, ...) PRINTF_LIKE(2, 3);

// A command on the control link; fails the test on an error. The reply is freed by the next call.
static inline redisReply *control(struct server *server, const char *format, ...) {
    static redisReply *reply;
    va_list args;
    va_start(args, format);
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    reply = redisvCommand(server->control, format, args);
    va_end(args);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s: %s", format, reply->str);
    }
    return reply;
}

static inline void server_prepare(struct server *server) {
    *server = (struct server){.port = free_port()};
    snprintf(server->dir, sizeof(server->dir), "/tmp/freshet-unit-XXXXXX");
    assert_non_null(mkdtemp(server->dir));
    snprintf(server->unix_path, sizeof(server->unix_path), "%s/s", server->dir);
    snprintf(server->unix_url, sizeof(server->unix_url), "unix:%s", server->unix_path);
    snprintf(server->tcp_url, sizeof(server->tcp_url), "redis://127.0.0.1:%u", server->port);
}

static inline bool server_answers(struct server *server) {
    redisContext *context = redisConnectUnix(server->unix_path);
    if (context == NULL || context->err != 0) {
        redisFree(context);
        return false;
    }
    server->control = context;
    return true;
}

// Runs redis-server with two more arguments ("--name value"; NULL: none) and waits for its socket.
static inline void server_run(struct server *server, const char *name, const char *value) {
    char port[8];
    snprintf(port, sizeof(port), "%u", server->port);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); // nothing is left behind when a test aborts
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1",
               "--unixsocket", server->unix_path, "--dir", server->dir, "--logfile", "log",
               "--save", "", "--appendfsync", "no", "--enable-debug-command", "yes",
               "--loading-process-events-interval-bytes", "1024", name, value, (char *)NULL);
        _exit(127);
    }
    uint64_t end_ms = clock_mono_ms() + 10000;
    while (!server_answers(server)) {
        assert_true(clock_mono_ms() < end_ms);
        assert_int_equal(waitpid(server->pid, NULL, WNOHANG), 0);
        usleep(5000);
    }
}

static inline void server_kill(struct server *server) {
    if (server->control != NULL) {
        redisFree(server->control);
        server->control = NULL;
    }
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
}

static inline void server_release(struct server *server) {
    static const char *const files[] = {"s", "log", "dump.rdb"};
    server_kill(server);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[96];
        snprintf(path, sizeof(path), "%s/%s", server->dir, files[i]);
        unlink(path);
    }
    rmdir(server->dir);
}

// One server for all tests of a program.
static struct server redis;

static inline int redis_start(void **state) {
    (void)state;
    server_prepare(&redis);
    server_run(&redis, NULL, NULL);
    return 0;
}

static inline int redis_stop(void **state) {
    (void)state;
    server_release(&redis);
    return 0;
}

// A number of INFO, e.g. "total_reads_processed".
static inline long long server_info(struct server *server, const char *section, const char *name) {
    redisReply *reply = control(server, "INFO %s", section);
    const char *at = strstr(reply->str, name);
    assert_non_null(at);
    return atoll(at + strlen(name) + 1);
}

// ---- one connection and what it said

struct link {
    struct redis_conn *conn;
    struct redis_address address;
    unsigned ups;
    unsigned downs;
    int down_error;
    unsigned pushes;
    char push[3][64]; // the last one; a number as its digits
    void (*on_up)(struct link *link);
    void (*on_down)(struct link *link);
    void (*on_push)(struct link *link);
};

static inline void on_link_up(void *owner) {
    struct link *link = owner;
    link->ups++;
    assert_true(link->conn == NULL || redis_conn_is_up(link->conn));
    if (link->on_up != NULL) {
        link->on_up(link);
    }
}

static inline void on_link_down(void *owner, int error) {
    struct link *link = owner;
    link->downs++;
    link->down_error = error;
    assert_false(redis_conn_is_up(link->conn));
    assert_int_equal(redis_conn_stats(link->conn).waiting, 0);
    if (link->on_down != NULL) {
        link->on_down(link);
    }
}

static inline void on_link_push(void *owner, const redisReply *reply) {
    struct link *link = owner;
    assert_int_equal(reply->elements, 3);
    link->pushes++;
    for (size_t i = 0; i < 3; i++) {
        const redisReply *item = reply->element[i];
        if (item->type == REDIS_REPLY_INTEGER) {
            snprintf(link->push[i], sizeof(link->push[i]), "%lld", item->integer);
        } else {
            snprintf(link->push[i], sizeof(link->push[i]), "%s", item->str);
        }
    }
    if (link->on_push != NULL) {
        link->on_push(link);
    }
}

static inline void link_open(struct link *link, enum redis_link kind, const char *url) {
    const char *why = "";
    if (redis_address_parse(slice_of(url), &link->address, &why) != 0) {
        fail_msg("%s: %s", url, why);
    }
    links_open++;
    struct redis_conn_events events = {on_link_up, on_link_down, on_link_push, link};
    assert_int_equal(
        redis_conn_open(&loop, kind, &link->address, "freshet-test", &events, &link->conn), 0);
}

static inline void link_open_up(struct link *link, enum redis_link kind, const char *url) {
    link_open(link, kind, url);
    RUN_UNTIL(link->ups == 1, 5000);
    assert_string_equal(redis_conn_trouble(link->conn), "");
}

static inline void link_release(struct link *link) {
    if (link->conn != NULL) {
        redis_conn_close(&link->conn);
    }
    links_open--;
    redis_address_release(&link->address);
}

// What became of one command.
struct outcome {
    unsigned calls;
    int status;
    int type;
    size_t elements;
    char text[128];
};

static inline void on_outcome(void *owner, int status, const redisReply *reply) {
    struct outcome *outcome = owner;
    outcome->calls++;
    outcome->status = status;
    assert_true((status == 0) == (reply != NULL));
    if (reply != NULL) {
        outcome->type = reply->type;
        outcome->elements = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
        const char *text = reply->str != NULL ? reply->str : "";
        snprintf(outcome->text, sizeof(outcome->text), "%s", text);
    }
}

// Sends `line`, its words separated by single spaces.
static inline int send_line(struct link *link, const char *line, struct outcome *outcome) {
    struct slice words[16];
    size_t count = 0;
    struct slice rest = slice_of(line);
    while (rest.data != NULL) {
        assert_true(count < 16);
        words[count++] = slice_cut(&rest, ' ');
    }
    struct redis_reply_handler handler = {outcome != NULL ? on_outcome : NULL, outcome};
    return redis_conn_command(link->conn, count, words, handler);
}

static inline void check_answer(struct link *link, const char *line, const char *expected) {
    struct outcome outcome = {0};
    assert_int_equal(send_line(link, line, &outcome), 0);
    RUN_UNTIL(outcome.calls == 1, 5000);
    assert_int_equal(outcome.status, 0);
    assert_string_equal(outcome.text, expected);
}

// ---- a server that lies

enum { FAKE_ACCEPTS_MAX = 256 };

struct fake_client {
    uv_tcp_t tcp;
    uv_write_t write;
    struct fake *fake;
    struct fake_client *next;
    bool was_answered;
};

struct fake {
    uv_tcp_t listener;
    unsigned port;
    char url[64];
    const char *says; // at once, or after the greeting; not NULL
    bool answers_greeting;
    bool hangs_up; // after it spoke
    unsigned accepts;
    uint64_t accepted_ms[FAKE_ACCEPTS_MAX];
    struct fake_client *clients;
};

static inline void on_fake_closed(uv_handle_t *handle) {
    free(handle->data);
}

static inline void fake_hang_up(struct fake_client *client) {
    if (!uv_is_closing((uv_handle_t *)&client->tcp)) {
        uv_close((uv_handle_t *)&client->tcp, on_fake_closed);
    }
}

static inline void on_fake_written(uv_write_t *write, int status) {
    struct fake_client *client = write->data;
    if (status != UV_ECANCELED && client->fake->hangs_up) {
        struct fake_client **at = &client->fake->clients;
        while (*at != client) {
            at = &(*at)->next;
        }
        *at = client->next;
        fake_hang_up(client);
    }
}

static inline void fake_speak(struct fake_client *client) {
    static char greeting[] = "+OK\r\n$-1\r\n+PONG\r\n"; // to SETNAME, INFO and PING
    struct fake *fake = client->fake;
    uv_buf_t parts[2] = {
        uv_buf_init(greeting, fake->answers_greeting ? (unsigned)strlen(greeting) : 0),
        uv_buf_init((char *)(uintptr_t)fake->says, (unsigned)strlen(fake->says)),
    };
    client->was_answered = true;
    client->write.data = client;
    uv_write(&client->write, (uv_stream_t *)&client->tcp, parts, 2, on_fake_written);
}

// To whoever is connected.
static inline void fake_say(struct fake *fake, const char *text) {
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));
    for (struct fake_client *client = fake->clients; client != NULL; client = client->next) {
        assert_int_equal(uv_try_write((uv_stream_t *)&client->tcp, &buf, 1), strlen(text));
    }
}

static inline void on_fake_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    static char buffer[4096];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(buffer, sizeof(buffer));
}

// The greeting leaves in one write, so one read holds it.
static inline void on_fake_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct fake_client *client = stream->data;
    (void)buf;
    if (len > 0 && client->fake->answers_greeting && !client->was_answered) {
        fake_speak(client);
    }
}

static inline void on_fake_accept(uv_stream_t *listener, int status) {
    struct fake *fake = listener->data;
    assert_int_equal(status, 0);
    assert_true(fake->accepts < FAKE_ACCEPTS_MAX);
    fake->accepted_ms[fake->accepts++] = clock_mono_ms();
    struct fake_client *client = calloc(1, sizeof(*client));
    uv_tcp_init(&loop, &client->tcp);
    client->tcp.data = client;
    client->fake = fake;
    client->next = fake->clients;
    fake->clients = client;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&client->tcp), 0);
    uv_read_start((uv_stream_t *)&client->tcp, on_fake_alloc, on_fake_read);
    if (!fake->answers_greeting) {
        fake_speak(client);
    }
}

static inline void fake_open(struct fake *fake) {
    struct sockaddr_in address;
    int len = sizeof(address);
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(&loop, &fake->listener);
    fake->listener.data = fake;
    assert_int_equal(uv_tcp_bind(&fake->listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&fake->listener, 128, on_fake_accept), 0);
    assert_int_equal(uv_tcp_getsockname(&fake->listener, (struct sockaddr *)&address, &len), 0);
    fake->port = ntohs(address.sin_port);
    snprintf(fake->url, sizeof(fake->url), "redis://127.0.0.1:%u", fake->port);
}

static inline void fake_close(struct fake *fake) {
    uv_close((uv_handle_t *)&fake->listener, NULL);
    while (fake->clients != NULL) {
        struct fake_client *client = fake->clients;
        fake->clients = client->next;
        fake_hang_up(client);
    }
    uv_run(&loop, UV_RUN_NOWAIT); // the listener is the caller's memory
}

#endif
