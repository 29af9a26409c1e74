// See redis_conn.h. The bytes are redis_socket's, the handshake's words redis_greeting's; here is
// what holds them together: one state, one queue of waiting commands, one timer.
//
// Nothing is freed under a caller: a broken socket is closed and forgotten, a closed connection
// lives until the loop has closed its handles. So after each callback it is enough to ask for the
// state.
#include "cluster/redis_conn.h"

#include "cluster/base/backoff.h"
#include "cluster/base/bytes.h"
#include "cluster/base/check.h"
#include "cluster/base/error.h"
#include "cluster/base/log.h"
#include "cluster/base/mem.h"
#include "cluster/redis_greeting.h"
#include "cluster/redis_socket.h"
#include "cluster/resp.h"

#include <stdio.h>

enum {
    CONN_MAGIC = 0x5edc0441,
    TICK_MS = 100,
    DIAL_TICKS = 20,
    GREETING_TICKS = 20,
    ANSWER_TICKS = 30,
    STEADY_MS = 1000, // a link that stood so long starts the backoff anew
    BACKOFF_MIN_MS = 50,
    BACKOFF_MAX_MS = 500, // so that all is well a second after Redis is back
    COMMANDS_MAX = 1 << 16,
    OUTPUT_BYTES_MAX = 64 << 20,
};

//          begin_dial            on_connect          on_greeting_reply
//   WAITING ----------> DIALLING ----------> GREETING ----------> UP
//      ^                   |                    |                  |
//      '-------------------+----- break_link ---+------------------'
//
// redis_conn_close leads from any state to CLOSED.
enum state { WAITING, DIALLING, GREETING, UP, CLOSED };

struct redis_conn {
    uint32_t magic;
    enum state state;
    uint32_t ticks;        // of the timer, while something is waited for
    uint32_t state_ticks;  // ticks when the state began
    uint32_t answer_ticks; // ticks at the last answer
    uv_loop_t *loop;
    enum redis_link link;
    const struct redis_address *address; // borrowed
    const char *client_name;             // borrowed
    struct redis_conn_events events;
    struct redis_socket *socket; // owned; NULL while WAITING
    uv_timer_t timer;            // WAITING: once, for the next dial; else each TICK_MS
    uv_prepare_t flusher;        // active while there is output that nobody wrote
    unsigned handles;            // of these two, not yet closed
    struct bytes output;
    struct redis_queue queue;
    enum greeting_step greeting; // GREETING: the step whose answer comes next
    struct backoff backoff;
    unsigned failures; // dials that failed since the last link
    uint64_t up_since_ms;
    uint64_t greetings;
    uint64_t commands;
    char run_id[REDIS_RUN_ID_BYTES + 1];
    char refusal[RESP_PRINTABLE_MAX]; // the last error reply of this greeting
    char trouble[RESP_PRINTABLE_MAX];
    char server[REDIS_DESCRIPTION_MAX]; // for logs
};

static void set_state(struct redis_conn *conn, enum state next) {
    static const unsigned from[] = {
        [WAITING] = 1 << DIALLING | 1 << GREETING | 1 << UP,
        [DIALLING] = 1 << WAITING,
        [GREETING] = 1 << DIALLING,
        [UP] = 1 << GREETING,
        [CLOSED] = 1 << WAITING | 1 << DIALLING | 1 << GREETING | 1 << UP,
    };
    CHECK((from[next] >> conn->state & 1) != 0);
    conn->state = next;
    conn->state_ticks = conn->ticks;
}

// Completes all that waits. A handler may close the connection, which completes the rest.
static void complete_all(struct redis_conn *conn) {
    while (conn->queue.count > 0) {
        int status = conn->queue.sent > 0 ? E_UNKNOWN_OUTCOME : E_UNAVAILABLE;
        struct redis_reply_handler handler = redis_queue_pop(&conn->queue).handler;
        if (handler.on_reply != NULL) {
            handler.on_reply(handler.owner, status, NULL);
        }
    }
}

static void log_failure(struct redis_conn *conn, bool was_up) {
    if (was_up) {
        log_warning("redis", "link lost link=%s server=%s why=%s", redis_link_name(conn->link),
                    conn->server, conn->trouble);
        return;
    }
    // The attempts 1, 10, 100 ...: an outage of an hour is a few lines.
    unsigned rest = ++conn->failures;
    while (rest % 10 == 0) {
        rest /= 10;
    }
    if (rest == 1) {
        log_warning("redis", "no link link=%s server=%s attempts=%u why=%s",
                    redis_link_name(conn->link), conn->server, conn->failures, conn->trouble);
    }
}

static void on_timer(uv_timer_t *timer);

static void break_link(struct redis_conn *conn, int error, const char *why) {
    bool was_up = conn->state == UP;
    snprintf(conn->trouble, sizeof(conn->trouble), "%s", why);
    set_state(conn, WAITING);
    redis_socket_close(&conn->socket);
    uv_prepare_stop(&conn->flusher);
    bytes_release(&conn->output);
    conn->run_id[0] = '\0';
    log_failure(conn, was_up);
    if (was_up && uv_now(conn->loop) - conn->up_since_ms >= STEADY_MS) {
        backoff_reset(&conn->backoff);
    }
    uv_timer_start(&conn->timer, on_timer, backoff_next_ms(&conn->backoff), 0);
    complete_all(conn);
    if (was_up && conn->state != CLOSED) {
        conn->events.on_down(conn->events.owner, error);
    }
}

static void flush(struct redis_conn *conn) {
    if (conn->output.len == 0) {
        return;
    }
    int error = redis_socket_write(conn->socket, &conn->output);
    if (error == 0) {
        conn->queue.sent = conn->queue.count;
    } else if (error != UV_EAGAIN && error != UV_EPIPE && error != UV_ECONNRESET) {
        break_link(conn, error, error_text(error));
    }
    // After EAGAIN on_writable comes. After the other two on_socket_break comes, behind what Redis
    // said before it hung up ("max number of clients reached"), which is still to be read.
}

// Prepare handles run after the callbacks of a loop turn and before the loop waits.
static void on_prepare(uv_prepare_t *flusher) {
    struct redis_conn *conn = flusher->data;
    CHECK_OBJ(conn, CONN_MAGIC);
    uv_prepare_stop(flusher);
    flush(conn);
}

static void send_command(struct redis_conn *conn, struct redis_waiting waiting, size_t count,
                         const struct slice *words) {
    waiting.since_tick = conn->ticks;
    resp_append_command(&conn->output, count, words);
    redis_queue_push(&conn->queue, waiting);
    uv_prepare_start(&conn->flusher, on_prepare);
    if (!uv_is_active((uv_handle_t *)&conn->timer)) {
        uv_timer_start(&conn->timer, on_timer, TICK_MS, TICK_MS);
    }
}

static void on_greeting_reply(void *owner, int status, const redisReply *reply);

static void greet(struct redis_conn *conn) {
    enum greeting_step step = greeting_next(GREETING_AUTH, conn->address);
    conn->greeting = step;
    conn->refusal[0] = '\0';
    for (; step < GREETING_STEPS; step = greeting_next(step + 1, conn->address)) {
        char database[16];
        struct slice words[GREETING_WORDS_MAX];
        size_t count = greeting_words(step, conn->address, conn->client_name, database, words);
        struct redis_waiting waiting = {{on_greeting_reply, conn}, 1, 0, VERB_OTHER};
        send_command(conn, waiting, count, words);
    }
}

static void on_greeted(struct redis_conn *conn) {
    set_state(conn, UP);
    conn->up_since_ms = uv_now(conn->loop);
    conn->greetings++;
    conn->trouble[0] = '\0';
    log_info("redis", "link is up link=%s server=%s run_id=%.8s failures=%u",
             redis_link_name(conn->link), conn->server, conn->run_id, conn->failures);
    conn->failures = 0;
    conn->events.on_up(conn->events.owner);
}

static void on_greeting_reply(void *owner, int status, const redisReply *reply) {
    struct redis_conn *conn = owner;
    CHECK_OBJ(conn, CONN_MAGIC);
    if (status != 0) {
        return; // break_link or redis_conn_close, which say all there is to say
    }
    enum greeting_step step = conn->greeting;
    conn->greeting = greeting_next(step + 1, conn->address);
    bool is_accepted = greeting_accepts(step, conn->address, reply);
    if (reply->type == REDIS_REPLY_ERROR || !is_accepted) {
        greeting_trouble(step, conn->address, reply, conn->refusal);
    }
    if (!is_accepted) {
        break_link(conn, E_REDIS, conn->refusal);
        return;
    }
    if (step == GREETING_INFO) {
        greeting_run_id(reply, conn->run_id);
    }
    if (conn->greeting == GREETING_STEPS) {
        on_greeted(conn);
    }
}

static void break_by_error(struct redis_conn *conn, const redisReply *reply) {
    char why[RESP_PRINTABLE_MAX];
    resp_printable(resp_text(reply), why);
    break_link(conn, E_REDIS, why);
}

// The answer to the oldest command, which is over with it.
static void take_answer(struct redis_conn *conn, const redisReply *reply) {
    bool is_error = reply->type == REDIS_REPLY_ERROR;
    const struct redis_waiting *oldest = redis_queue_oldest(&conn->queue);
    conn->answer_ticks = conn->ticks;
    if (conn->queue.sent == 0) {
        if (is_error) {
            break_by_error(conn, reply); // said unasked: why it hangs up
        } else {
            break_link(conn, E_PROTOCOL, "an answer to nothing");
        }
        return;
    }
    if (oldest->verb != VERB_OTHER && !is_error) {
        break_link(conn, E_PROTOCOL, "no acknowledgement where one was due");
        return;
    }
    if (oldest->verb != VERB_OTHER && oldest->handler.on_reply == NULL) {
        break_by_error(conn, reply);
        return;
    }
    struct redis_reply_handler handler = redis_queue_pop(&conn->queue).handler;
    if (handler.on_reply != NULL) {
        handler.on_reply(handler.owner, 0, reply);
    }
}

// "subscribe" and its like: one of the answers to the oldest command, which must be of that kind.
static void take_acknowledgement(struct redis_conn *conn, enum resp_verb verb,
                                 const redisReply *reply) {
    struct redis_waiting *oldest = redis_queue_oldest(&conn->queue);
    bool is_answer = conn->queue.sent > 0 && oldest->verb == verb;
    if (!is_answer && verb != VERB_SUNSUBSCRIBE) { // a slot that moves away sends these unasked
        break_link(conn, E_PROTOCOL, "an acknowledgement of nothing");
        return;
    }
    conn->answer_ticks = conn->ticks;
    conn->events.on_push(conn->events.owner, reply);
    if (!is_answer || conn->state != UP) {
        return; // when the link was cut in on_push, the command was completed with it
    }
    oldest = redis_queue_oldest(&conn->queue); // on_push may have moved the ring
    if (--oldest->answers_left == 0) {
        struct redis_reply_handler handler = redis_queue_pop(&conn->queue).handler;
        if (handler.on_reply != NULL) {
            handler.on_reply(handler.owner, 0, reply);
        }
    }
}

static void on_socket_connect(void *owner) {
    struct redis_conn *conn = owner;
    CHECK_OBJ(conn, CONN_MAGIC);
    set_state(conn, GREETING);
    greet(conn);
    // At once: whoever refuses connections (maxclients, protected mode) says so unasked.
    flush(conn);
}

static void on_socket_reply(void *owner, const redisReply *reply) {
    struct redis_conn *conn = owner;
    CHECK_OBJ(conn, CONN_MAGIC);
    enum resp_verb verb = VERB_OTHER;
    bool may_be_push = conn->link == REDIS_LINK_PUBSUB && conn->state == UP;
    enum resp_push push = may_be_push ? resp_push_of(reply, &verb) : PUSH_NONE;
    if (push == PUSH_MESSAGE) {
        conn->events.on_push(conn->events.owner, reply);
    } else if (push == PUSH_ACKNOWLEDGEMENT) {
        take_acknowledgement(conn, verb, reply);
    } else {
        take_answer(conn, reply);
    }
}

static void on_socket_writable(void *owner) {
    struct redis_conn *conn = owner;
    CHECK_OBJ(conn, CONN_MAGIC);
    flush(conn);
}

static void on_socket_break(void *owner, int error, const char *why) {
    struct redis_conn *conn = owner;
    CHECK_OBJ(conn, CONN_MAGIC);
    bool is_explained = conn->state == GREETING && conn->refusal[0] != '\0';
    break_link(conn, error, is_explained ? conn->refusal : why);
}

static void begin_dial(struct redis_conn *conn) {
    struct redis_socket_events events = {on_socket_connect, on_socket_reply, on_socket_writable,
                                         on_socket_break, conn};
    if (!redis_address_is_known(conn->address)) {
        return; // until redis_conn_redial
    }
    redis_address_describe(conn->address, conn->server, sizeof(conn->server));
    set_state(conn, DIALLING);
    uv_timer_start(&conn->timer, on_timer, TICK_MS, TICK_MS);
    int error =
        redis_socket_open(conn->loop, conn->address, conn->failures, &events, &conn->socket);
    if (error != 0) {
        break_link(conn, error, error_text(error));
    }
}

// How long the oldest command has been the one that Redis must answer next.
static uint32_t ticks_unanswered(const struct redis_conn *conn,
                                 const struct redis_waiting *oldest) {
    uint32_t since_command = conn->ticks - oldest->since_tick;
    uint32_t since_answer = conn->ticks - conn->answer_ticks;
    return since_command < since_answer ? since_command : since_answer;
}

// Deadlines count ticks, not the clock: when this process stood still (a paused machine, a
// debugger) the answers lie in the socket, and the loop gets its turn to read them before the next
// tick.
static void on_timer(uv_timer_t *timer) {
    struct redis_conn *conn = timer->data;
    CHECK_OBJ(conn, CONN_MAGIC);
    uint32_t in_state = ++conn->ticks - conn->state_ticks;
    const struct redis_waiting *oldest = redis_queue_oldest(&conn->queue);
    if (conn->state == WAITING) {
        begin_dial(conn);
    } else if (conn->state == DIALLING && in_state > DIAL_TICKS) {
        break_link(conn, UV_ETIMEDOUT, "no connection in 2 s");
    } else if (conn->state == GREETING && in_state > GREETING_TICKS) {
        break_link(conn, UV_ETIMEDOUT, "connected, but no answer to the handshake in 2 s");
    } else if (conn->state == UP && oldest == NULL) {
        uv_timer_stop(timer);
    } else if (conn->state == UP && ticks_unanswered(conn, oldest) > ANSWER_TICKS) {
        break_link(conn, UV_ETIMEDOUT, "no answer in 3 s");
    }
}

static void on_handle_closed(uv_handle_t *handle) {
    struct redis_conn *conn = handle->data;
    CHECK_OBJ(conn, CONN_MAGIC);
    if (--conn->handles == 0) {
        redis_queue_release(&conn->queue);
        bytes_release(&conn->output);
        conn->magic = 0;
        mem_free(conn);
    }
}

const char *redis_link_name(enum redis_link link) {
    return link == REDIS_LINK_PUBSUB ? "pubsub" : "command";
}

int redis_conn_open(uv_loop_t *loop, enum redis_link link, const struct redis_address *address,
                    const char *client_name, const struct redis_conn_events *events,
                    struct redis_conn **conn_r) {
    CHECK(events->on_up != NULL && events->on_down != NULL);
    CHECK(events->on_push != NULL || link != REDIS_LINK_PUBSUB);
    struct redis_conn *conn = mem_alloc(sizeof(*conn));
    conn->magic = CONN_MAGIC;
    conn->state = WAITING;
    conn->loop = loop;
    conn->link = link;
    conn->address = address;
    conn->client_name = client_name;
    conn->events = *events;
    conn->backoff = (struct backoff){.min_ms = BACKOFF_MIN_MS, .max_ms = BACKOFF_MAX_MS};
    int error = uv_timer_init(loop, &conn->timer);
    CHECK(error == 0); // neither of them can fail
    error = uv_prepare_init(loop, &conn->flusher);
    CHECK(error == 0);
    conn->handles = 2;
    conn->timer.data = conn;
    conn->flusher.data = conn;
    begin_dial(conn);
    *conn_r = conn;
    return 0;
}

void redis_conn_close(struct redis_conn **conn_at) {
    struct redis_conn *conn = *conn_at;
    CHECK_OBJ(conn, CONN_MAGIC);
    *conn_at = NULL;
    set_state(conn, CLOSED);
    redis_socket_close(&conn->socket);
    uv_close((uv_handle_t *)&conn->timer, on_handle_closed);
    uv_close((uv_handle_t *)&conn->flusher, on_handle_closed);
    complete_all(conn);
}

int redis_conn_command(struct redis_conn *conn, size_t count, const struct slice *words,
                       struct redis_reply_handler handler) {
    CHECK_OBJ(conn, CONN_MAGIC);
    CHECK(count > 0);
    struct redis_waiting waiting = {handler, 1, 0, VERB_OTHER};
    if (conn->link == REDIS_LINK_PUBSUB) {
        waiting.verb = resp_verb_of(words[0]);
        CHECK(waiting.verb != VERB_OTHER ? count > 1 : slice_equal_nocase(words[0], SLICE("PING")));
        waiting.answers_left = waiting.verb != VERB_OTHER ? (uint32_t)(count - 1) : 1;
    }
    if (conn->state != UP) {
        return E_UNAVAILABLE;
    }
    size_t unwritten = conn->output.len + redis_socket_unwritten(conn->socket);
    if (conn->queue.count >= COMMANDS_MAX ||
        unwritten + resp_command_bytes_max(count, words) > OUTPUT_BYTES_MAX) {
        return E_OVERLOADED;
    }
    send_command(conn, waiting, count, words);
    conn->commands++;
    return 0;
}

void redis_conn_cut(struct redis_conn *conn, int error, const char *why) {
    CHECK_OBJ(conn, CONN_MAGIC);
    if (conn->state != WAITING && conn->state != CLOSED) {
        backoff_reset(&conn->backoff);
        break_link(conn, error, why);
    }
}

void redis_conn_redial(struct redis_conn *conn, const char *why) {
    redis_conn_cut(conn, E_UNAVAILABLE, why);
    if (conn->state == WAITING) { // a handler may have closed it
        backoff_reset(&conn->backoff);
        conn->failures = 0;
        uv_timer_start(&conn->timer, on_timer, 0, 0);
    }
}

bool redis_conn_is_up(const struct redis_conn *conn) {
    return conn->state == UP;
}

const char *redis_conn_run_id(const struct redis_conn *conn) {
    return conn->run_id;
}

struct redis_conn_stats redis_conn_stats(const struct redis_conn *conn) {
    return (struct redis_conn_stats){
        .reconnects = conn->greetings > 1 ? conn->greetings - 1 : 0,
        .commands = conn->commands,
        .waiting = conn->state == UP ? conn->queue.count : 0,
    };
}

const char *redis_conn_trouble(const struct redis_conn *conn) {
    return conn->trouble;
}
