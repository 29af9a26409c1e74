// The admin port's own views, /metrics and /channels, and POST /drain.
#include "node/api/api.h"

#include "cluster/base/json.h"
#include "cluster/base/mem.h"

#include <inttypes.h>
#include <uv.h>

enum { CHANNELS_DEFAULT = 1000, CHANNELS_MAX = 100000 };

void admin_metrics_handle(struct exchange *exchange, void *context) {
    const struct admin *admin = context;
    struct cluster_stats stats;
    struct cluster_state state;
    cluster_stats(admin->service.cluster, &stats);
    node_state(admin->service.cluster, &state);
    struct bytes body = {0};
    metrics_append(&body, admin->workers, admin->worker_count, &stats, &state);
    exchange_field(exchange, "Cache-Control", SLICE("no-store"));
    exchange_answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", bytes_slice(&body));
    bytes_release(&body);
}

// One GET /channels, from the question to the cluster thread until its answer.
struct listing {
    struct channels_call call;
    struct exchange *exchange; // borrowed; NULL when the client is gone
};

static void append_channel(struct bytes *body, const struct channel_info *channel) {
    bytes_append(body, SLICE("{\"channel\":"));
    json_append_string(body, channel->name);
    bytes_append(body, SLICE(",\"head\":\""));
    position_append(body, channel->head);
    bytes_append_format(body, "\",\"workers\":%zu,\"backlog\":%zu,\"live\":%s}", channel->members,
                        channel->backlog, channel->is_live ? "true" : "false");
}

static void answer_listing(struct exchange *exchange, const struct channels_call *call) {
    struct bytes body = {0};
    bytes_append_format(&body, "{\"total\":%zu,\"channels\":[", call->total);
    for (size_t i = 0; i < call->count; i++) {
        bytes_append(&body, i == 0 ? SLICE("\n") : SLICE(",\n"));
        append_channel(&body, &call->channels[i]);
    }
    bytes_append(&body, SLICE("]}\n"));
    exchange_field(exchange, "Cache-Control", SLICE("no-store"));
    exchange_answer(exchange, 200, "application/json", bytes_slice(&body));
    bytes_release(&body);
}

static void on_listed(struct call *call) {
    struct listing *listing = CONTAINER_OF(call, struct listing, call.call);
    if (listing->exchange != NULL && call->status == 0) {
        answer_listing(listing->exchange, &listing->call);
    } else if (listing->exchange != NULL) {
        exchange_problem(listing->exchange, 503, "unavailable", "the node is stopping");
    }
    channels_call_release(&listing->call);
    mem_free(listing);
}

static void on_gone(void *state) {
    struct listing *listing = state;
    listing->exchange = NULL; // on_listed frees
}

// `limit` of the query; negative: it is none, or broken.
static int read_limit(const struct request *request, uint64_t *limit_r) {
    struct slice query = request->query;
    struct bytes arena = {0};
    bytes_reserve(&arena, query.len);
    struct slice name;
    struct slice value;
    int more;
    int error = 0;
    *limit_r = CHANNELS_DEFAULT;
    while (error == 0 && (more = query_next(&query, &arena, &name, &value)) != 0) {
        if (more < 0) {
            error = more;
        } else if (slice_equal(name, SLICE("limit"))) {
            error = slice_to_u64(value, UINT64_MAX, limit_r);
        }
    }
    bytes_release(&arena);
    *limit_r = *limit_r < CHANNELS_MAX ? *limit_r : CHANNELS_MAX;
    return error;
}

void admin_channels_handle(struct exchange *exchange, void *context) {
    static const struct exchange_ops ops = {.on_gone = on_gone};
    const struct admin *admin = context;
    uint64_t limit;
    if (read_limit(exchange_request(exchange), &limit) < 0) {
        exchange_problem(exchange, 400, "bad-request", "limit must be a number");
        return;
    }
    struct listing *listing = mem_alloc(sizeof(*listing));
    listing->exchange = exchange;
    listing->call.limit = (size_t)limit;
    listing->call.call.on_done = on_listed;
    exchange_attach(exchange, &ops, listing);
    cluster_channels(admin->service.member, &listing->call);
}

// Answers before anything closes: the grace, if any, begins now. Asked again it says the same.
void admin_drain_handle(struct exchange *exchange, void *context) {
    const struct admin *admin = context;
    const struct config *config = admin->service.config;
    admin->ask_drain(admin->server);
    struct bytes body = {0};
    bytes_append_format(&body,
                        "{\"draining\":true,\"grace_ms\":%" PRIu64 ",\"window_ms\":%" PRIu64 "}\n",
                        config->drain_grace_ms, config->drain_window_ms);
    exchange_field(exchange, "Cache-Control", SLICE("no-store"));
    exchange_answer(exchange, 202, "application/json", bytes_slice(&body));
    bytes_release(&body);
}
