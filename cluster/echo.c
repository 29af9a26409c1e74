// Hearing oneself.
#include "cluster/echo.h"

#include "cluster/base/clock.h"
#include "cluster/core.h"
#include "cluster/redis_greeting.h"

void echo_init(struct cluster *cluster) {
    int len =
        snprintf(cluster->echo.channel, sizeof(cluster->echo.channel), "%.*s:echo:%.*s:pubsub",
                 SLICE_ARGS(cluster->prefix), SLICE_ARGS(cluster->node_id));
    CHECK(len > 0 && (size_t)len < sizeof(cluster->echo.channel));
}

bool echo_is_own(const struct cluster *cluster, struct slice channel) {
    return slice_equal(channel, slice_of(cluster->echo.channel));
}

static struct redis_conn *command(struct cluster *cluster) {
    return cluster->links[REDIS_LINK_COMMAND];
}

// Two links that reach different processes would let a read prove what the other never hears.
static void compare_processes(struct cluster *cluster) {
    const char *one = redis_conn_run_id(cluster->links[REDIS_LINK_COMMAND]);
    const char *other = redis_conn_run_id(cluster->links[REDIS_LINK_PUBSUB]);
    if (one[0] != '\0' && other[0] != '\0' && strcmp(one, other) != 0) {
        redis_conn_cut(cluster->links[REDIS_LINK_PUBSUB], E_UNPROVEN,
                       "the links reach different Redis processes");
    }
}

void echo_on_link_up(struct cluster *cluster, enum redis_link link) {
    cluster->echo.counting_ms[link] = uv_now(&cluster->loop);
    cluster->echo.next_ms = 0; // say something at once
    if (link == REDIS_LINK_COMMAND && cluster->echo.counting_ms[REDIS_LINK_PUBSUB] != 0) {
        // Nobody spoke while this link was down: the other one's silence counts from now.
        cluster->echo.counting_ms[REDIS_LINK_PUBSUB] = uv_now(&cluster->loop);
    }
    if (link == REDIS_LINK_PUBSUB) {
        link_send(cluster->links[link], 2,
                  (struct slice[]){SLICE("SUBSCRIBE"), slice_of(cluster->echo.channel)}, NULL,
                  NULL);
    }
    compare_processes(cluster);
}

void echo_on_link_down(struct cluster *cluster, enum redis_link link) {
    cluster->echo.counting_ms[link] = 0;
}

void echo_on_progress(struct cluster *cluster) {
    cluster->echo.counting_ms[REDIS_LINK_PUBSUB] = uv_now(&cluster->loop);
}

void echo_on_push(struct cluster *cluster, bool is_message) {
    uint64_t now_ms = uv_now(&cluster->loop);
    cluster->echo.counting_ms[REDIS_LINK_PUBSUB] = now_ms;
    if (!is_message) {
        cluster->echo.next_ms = 0;
        return;
    }
    cluster->echo.heard_ms[REDIS_LINK_PUBSUB] = now_ms;
    echo_update_heard(cluster);
}

void echo_update_heard(struct cluster *cluster) {
    uint64_t heard_ms = cluster->echo.heard_ms[REDIS_LINK_PUBSUB];
    if (cluster->subscriptions.unproven == 0 && heard_ms > atomic_load(&cluster->heard_ms)) {
        atomic_store(&cluster->heard_ms, heard_ms);
    }
}

static void on_role(void *owner, int status, const redisReply *reply) {
    struct cluster *cluster = owner;
    if (status != 0) {
        return;
    }
    uint64_t now_ms = uv_now(&cluster->loop);
    cluster->echo.heard_ms[REDIS_LINK_COMMAND] = now_ms;
    cluster->echo.counting_ms[REDIS_LINK_COMMAND] = now_ms;
    // Without the right to ask, what the operator configured is believed.
    if (reply->type != REDIS_REPLY_ERROR && !greeting_is_role(reply, "master")) {
        links_refuse(cluster, "this Redis is no master any more");
    }
}

static void send_echo(struct cluster *cluster) {
    link_send(command(cluster), 3,
              (struct slice[]){SLICE("PUBLISH"), slice_of(cluster->echo.channel), SLICE("echo")},
              NULL, NULL);
    link_send(command(cluster), 1, (struct slice[]){SLICE("ROLE")}, on_role, cluster);
    functions_check(cluster);
}

static bool is_silent(const struct echo *echo, enum redis_link link, uint64_t now_ms) {
    return echo->counting_ms[link] != 0 && now_ms - echo->counting_ms[link] > ECHO_DEAF_MS;
}

void echo_tick(struct cluster *cluster, uint64_t now_ms) {
    struct echo *echo = &cluster->echo;
    if (now_ms >= echo->next_ms && link_has_room(command(cluster))) {
        echo->next_ms = now_ms + ECHO_PERIOD_MS - clock_random(ECHO_PERIOD_MS / 10);
        send_echo(cluster);
    }
    for (enum redis_link link = 0; link < REDIS_LINKS; link++) {
        // Nothing can be heard on one link while the other cannot speak.
        bool can_speak = redis_conn_is_up(command(cluster));
        if (is_silent(echo, link, now_ms) && (link == REDIS_LINK_COMMAND || can_speak)) {
            redis_conn_cut(cluster->links[link], UV_ETIMEDOUT, "its echo was not heard for 3 s");
        }
    }
}

bool echo_is_fresh(const struct cluster *cluster, uint64_t now_ms) {
    for (enum redis_link link = 0; link < REDIS_LINKS; link++) {
        if (cluster->echo.heard_ms[link] == 0 ||
            now_ms - cluster->echo.heard_ms[link] > ECHO_DEAF_MS) {
            return false;
        }
    }
    return true;
}
