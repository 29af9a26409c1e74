// See links.h.
#include "cluster/links.h"

#include "cluster/core.h"

enum { LINK_WAITING_MAX = 60000 };

void link_send(struct redis_conn *conn, size_t count, const struct slice *words,
               link_handler *on_reply, void *owner) {
    struct redis_reply_handler handler = {.on_reply = on_reply, .owner = owner};
    CHECK(redis_conn_command(conn, count, words, handler) == 0);
}

bool link_has_room(const struct redis_conn *conn) {
    return redis_conn_is_up(conn) && redis_conn_stats(conn).waiting < LINK_WAITING_MAX;
}

// ---- What they say ---------------------------------------------------------------------------------

// Whatever the reason, the Sentinels may know it.
static void on_any_down(struct cluster *cluster, enum redis_link link) {
    echo_on_link_down(cluster, link);
    if (cluster->sentinels != NULL) {
        sentinels_ask(cluster->sentinels);
    }
}

static void on_command_up(void *owner) {
    struct cluster *cluster = owner;
    echo_on_link_up(cluster, REDIS_LINK_COMMAND);
    probe_on_link_up(cluster);
    functions_check(cluster);
}

static void on_command_down(void *owner, int error) {
    (void)error;
    struct cluster *cluster = owner;
    functions_on_link_down(cluster);
    probe_on_link_down(cluster);
    on_any_down(cluster, REDIS_LINK_COMMAND);
}

static void on_pubsub_up(void *owner) {
    struct cluster *cluster = owner;
    subscriptions_on_link_up(cluster);
    echo_on_link_up(cluster, REDIS_LINK_PUBSUB);
}

static void on_pubsub_down(void *owner, int error) {
    (void)error;
    struct cluster *cluster = owner;
    subscriptions_on_link_down(cluster);
    on_any_down(cluster, REDIS_LINK_PUBSUB);
}

static void on_push(void *owner, const redisReply *reply) {
    struct cluster *cluster = owner;
    const redisReply *kind = reply->element[0];
    struct slice name = slice_make(reply->element[1]->str, reply->element[1]->len);
    bool is_message = slice_equal(slice_make(kind->str, kind->len), SLICE("message"));
    bool is_ack = slice_equal(slice_make(kind->str, kind->len), SLICE("subscribe"));
    struct slice channel;
    if (echo_is_own(cluster, name)) {
        echo_on_push(cluster, is_message);
    } else if (!keys_parse_now(name, cluster->prefix, &channel)) {
        return;
    } else if (is_message) {
        subscriptions_on_payload(cluster, channel,
                                 slice_make(reply->element[2]->str, reply->element[2]->len));
    } else if (is_ack) {
        echo_on_progress(cluster);
        subscriptions_on_ack(cluster, channel);
    }
}

// ---- Which Redis they reach --------------------------------------------------------------------------

static void on_master(void *owner, const char *host, const char *port) {
    struct cluster *cluster = owner;
    redis_address_set_server(&cluster->topology.server, host, port);
    for (enum redis_link link = 0; link < REDIS_LINKS; link++) {
        redis_conn_redial(cluster->links[link], "Sentinel names another master");
    }
}

void links_open(struct cluster *cluster) {
    const struct redis_conn_events command = {
        .on_up = on_command_up, .on_down = on_command_down, .owner = cluster};
    const struct redis_conn_events pubsub = {
        .on_up = on_pubsub_up, .on_down = on_pubsub_down, .on_push = on_push, .owner = cluster};
    struct redis_address *server = &cluster->topology.server;
    server->role = REDIS_ROLE_MASTER;
    CHECK(redis_conn_open(&cluster->loop, REDIS_LINK_COMMAND, server, cluster->client_name,
                          &command, &cluster->links[REDIS_LINK_COMMAND]) == 0);
    CHECK(redis_conn_open(&cluster->loop, REDIS_LINK_PUBSUB, server, cluster->client_name, &pubsub,
                          &cluster->links[REDIS_LINK_PUBSUB]) == 0);
    if (cluster->topology.master_name != NULL) {
        sentinels_open(&cluster->loop, &cluster->topology, cluster->client_name, on_master, cluster,
                       &cluster->sentinels);
    }
}

// The Sentinels first: reads that wait for their word then go to the links, which end them.
void links_close(struct cluster *cluster) {
    sentinels_close(&cluster->sentinels);
    for (enum redis_link link = 0; link < REDIS_LINKS; link++) {
        redis_conn_close(&cluster->links[link]);
    }
}

void links_refuse(struct cluster *cluster, const char *why) {
    for (enum redis_link link = 0; link < REDIS_LINKS; link++) {
        redis_conn_cut(cluster->links[link], E_UNPROVEN, why);
    }
}

void links_tick(struct cluster *cluster, uint64_t now_ms) {
    if (cluster->sentinels != NULL) {
        bool is_proven = redis_conn_is_up(cluster->links[REDIS_LINK_COMMAND]);
        sentinels_tick(cluster->sentinels, now_ms, is_proven);
    }
}

void links_pump(struct cluster *cluster) {
    if (cluster->sentinels != NULL) {
        sentinels_pump(cluster->sentinels);
    }
}

// ---- What is told of them ------------------------------------------------------------------------

bool links_explain(const struct cluster *cluster, char *reason_r, size_t size) {
    if (cluster->sentinels != NULL && !sentinels_know_master(cluster->sentinels)) {
        sentinels_explain(cluster->sentinels, reason_r, size);
        return true;
    }
    for (enum redis_link link = 0; link < REDIS_LINKS; link++) {
        if (!redis_conn_is_up(cluster->links[link])) {
            snprintf(reason_r, size, "the %s link to Redis is down: %s", redis_link_name(link),
                     redis_conn_trouble(cluster->links[link]));
            return true;
        }
    }
    return false;
}

void links_take_stats(const struct cluster *cluster, uint64_t now_ms,
                      struct cluster_stats *stats_r) {
    for (enum redis_link link = 0; link < REDIS_LINKS; link++) {
        struct redis_conn_stats conn = redis_conn_stats(cluster->links[link]);
        uint64_t heard_ms = cluster->echo.heard_ms[link];
        stats_r->links[link].name = redis_link_name(link);
        stats_r->links[link].is_up = redis_conn_is_up(cluster->links[link]);
        stats_r->links[link].reconnects = conn.reconnects;
        stats_r->links[link].commands = conn.commands;
        stats_r->links[link].echo_age_ms = heard_ms == 0 ? now_ms : now_ms - heard_ms;
    }
    if (cluster->sentinels != NULL) {
        struct sentinels_stats sentinels = sentinels_stats(cluster->sentinels);
        stats_r->redis_switches = sentinels.switches;
        stats_r->sentinels = sentinels.configured;
        stats_r->sentinels_up = sentinels.up;
    }
}
