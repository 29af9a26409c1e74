// GET /metrics: the workers' counters summed, and those of the cluster thread (Prometheus text
// format 0.0.4). The names are a contract.
#include "node/metrics.h"

#include "node/version.h"

static const uint64_t lag_bounds_ms[LAG_BUCKETS - 1] = {1,   2,   5,    10,   20,   50,   100,
                                                        200, 500, 1000, 2000, 5000, 10000};

#define METRICS_TEXT(name, text) text,
static const char *const transport_names[] = {TRANSPORT_MAP(METRICS_TEXT)};
static const char *const frame_names[] = {FRAME_KIND_MAP(METRICS_TEXT)};
static const char *const close_names[] = {CLOSE_REASON_MAP(METRICS_TEXT)};
static const char *const refuse_names[] = {REFUSE_REASON_MAP(METRICS_TEXT)};
#undef METRICS_TEXT

static const char *publish_result_name(size_t result) {
    switch ((enum publish_result)result) {
    case PUBLISH_OK:
        return "ok";
    case PUBLISH_CONFLICT:
        return "conflict";
    case PUBLISH_REFUSED:
        return "refused";
    case PUBLISH_UNAVAILABLE:
        return "unavailable";
    case PUBLISH_UNKNOWN:
        return "unknown";
    }
    return "other";
}

static const char *reset_name(size_t reason) {
    return reset_reason_name((enum reset_reason)reason);
}

// All that the text is made from.
struct scrape {
    struct bytes *bytes;
    const struct metrics *const *workers;
    size_t count;
};

static void describe(const struct scrape *scrape, const char *name, const char *type,
                     const char *help) {
    bytes_append_format(scrape->bytes, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void append_plain(const struct scrape *scrape, const char *name, const char *type,
                         const char *help, long long value) {
    describe(scrape, name, type, help);
    bytes_append_format(scrape->bytes, "%s %lld\n", name, value);
}

static void append_labelled(const struct scrape *scrape, const char *name, const char *label,
                            const char *text, long long value) {
    bytes_append_format(scrape->bytes, "%s{%s=\"%s\"} %lld\n", name, label, text, value);
}

// The sum over the workers of the counter that lies at `offset`.
static long long sum(const struct scrape *scrape, size_t offset) {
    long long total = 0;
    for (size_t i = 0; i < scrape->count; i++) {
        const char *base = (const char *)scrape->workers[i];
        total += atomic_load_explicit((const atomic_llong *)(const void *)(base + offset),
                                      memory_order_relaxed);
    }
    return total;
}

// One series for each element of an array of counters.
static void append_array(const struct scrape *scrape, const char *name, const char *type,
                         const char *help, const char *label, const char *const *names,
                         size_t count, size_t offset) {
    describe(scrape, name, type, help);
    for (size_t i = 0; i < count; i++) {
        append_labelled(scrape, name, label, names[i],
                        sum(scrape, offset + i * sizeof(atomic_llong)));
    }
}

#define SUM(name, type, help, member)                                                              \
    append_plain(scrape, name, type, help, sum(scrape, offsetof(struct metrics, member)))
#define ARRAY(name, type, help, label, names, member)                                              \
    append_array(scrape, name, type, help, label, names, sizeof(names) / sizeof((names)[0]),       \
                 offsetof(struct metrics, member))

static void append_clients(const struct scrape *scrape) {
    ARRAY("freshet_connections", "gauge", "Connections that are being served, by transport.",
          "transport", transport_names, connections);
    SUM("freshet_sockets", "gauge", "Client sockets that are open, idle ones included.",
        connections_open);
    SUM("freshet_counted_ips", "gauge", "Client addresses that hold something of their share.",
        held_by_ips);
    SUM("freshet_counted_users", "gauge", "Users that hold something of their share.",
        held_by_users);
    ARRAY("freshet_subscribers", "gauge", "Interests of clients in channels, by transport.",
          "transport", transport_names, subscribers);
    SUM("freshet_slow_subscribers", "gauge", "Subscribers behind the backlog.", slow_subscribers);
    SUM("freshet_accepted_total", "counter", "Connections accepted.", accepted);
    SUM("freshet_requests_total", "counter", "HTTP requests read.", requests);
    ARRAY("freshet_closed_total", "counter", "Connections closed, by reason.", "reason",
          close_names, closed);
    ARRAY("freshet_refused_total", "counter", "Connections and requests turned away, by reason.",
          "reason", refuse_names, refused);
}

static void append_deliveries(const struct scrape *scrape) {
    ARRAY("freshet_deliveries_total", "counter", "Messages written to clients, by transport.",
          "transport", transport_names, deliveries);
    ARRAY("freshet_frames_encoded_total", "counter",
          "Encodings made: one for each message, kind and worker that needed it.", "kind",
          frame_names, frames_encoded);
    SUM("freshet_ephemeral_dropped_total", "counter",
        "Ephemeral messages not given to a subscriber whose socket was full.", ephemeral_dropped);
    describe(scrape, "freshet_resets_total", "counter", "Resets told to clients, by reason.");
    for (size_t i = 0; i < RESET_REASONS; i++) {
        append_labelled(scrape, "freshet_resets_total", "reason", reset_name(i),
                        sum(scrape, offsetof(struct metrics, resets) + i * sizeof(atomic_llong)));
    }
}

static void append_seconds(const struct scrape *scrape, uint64_t ms) {
    bytes_append_format(scrape->bytes, "%.3f\n", (double)ms / 1000);
}

static void append_lag(const struct scrape *scrape) {
    static const char name[] = "freshet_delivery_lag_seconds";
    describe(scrape, name, "histogram", "From publishing (Redis's clock) to the socket.");
    // The count is that of the last bucket, so that a scrape in between never shows two truths.
    long long below = 0;
    for (size_t i = 0; i < LAG_BUCKETS; i++) {
        below += sum(scrape, offsetof(struct metrics, lag_buckets) + i * sizeof(atomic_llong));
        if (i < LAG_BUCKETS - 1) {
            bytes_append_format(scrape->bytes, "%s_bucket{le=\"%g\"} %lld\n", name,
                                (double)lag_bounds_ms[i] / 1000, below);
        } else {
            bytes_append_format(scrape->bytes, "%s_bucket{le=\"+Inf\"} %lld\n", name, below);
        }
    }
    bytes_append_format(scrape->bytes, "%s_sum ", name);
    append_seconds(scrape, (uint64_t)sum(scrape, offsetof(struct metrics, lag_sum_ms)));
    bytes_append_format(scrape->bytes, "%s_count %lld\n", name, below);
}

#define STAT(name, type, help, member)                                                             \
    append_plain(scrape, name, type, help, (long long)stats->member)

static void append_messages(const struct scrape *scrape, const struct cluster_stats *stats) {
    STAT("freshet_channels", "gauge", "Channels this node is subscribed to in Redis.",
         subscriptions);
    SUM("freshet_worker_channels", "gauge", "The same, counted once for each worker that reads it.",
        channels);
    append_plain(scrape, "freshet_backlog_bytes", "gauge",
                 "Bytes of recent messages held, those shared between workers counted for each.",
                 (long long)stats->backlog_bytes +
                     sum(scrape, offsetof(struct metrics, backlog_bytes)));
    STAT("freshet_messages_received_total", "counter", "Messages heard from Redis.",
         messages_received);
    STAT("freshet_json_demoted_total", "counter",
         "Messages typed json that are not JSON, delivered as text.", json_demoted);
    STAT("freshet_gaps_total", "counter", "Holes noticed in what Redis sent.", gaps);
    STAT("freshet_gap_messages_total", "counter", "Messages fetched to fill holes.", gap_messages);
    STAT("freshet_joins_refused_total", "counter",
         "New channels refused because too many came in one second.", joins_refused);
    STAT("freshet_history_reads_total", "counter", "Reads of channels' logs.", history_reads);
    STAT("freshet_overruns_total", "counter",
         "Times a worker fell behind and was given the backlog anew.", overruns);
    describe(scrape, "freshet_history_window_seconds", "gauge",
             "The shortest outage that history covers, over the live channels; 0: unknown.");
    bytes_append_format(scrape->bytes, "freshet_history_window_seconds %.3f\n",
                        stats->history_window_seconds);
    describe(scrape, "freshet_publishes_total", "counter", "Publishes by this node, by result.");
    for (size_t i = 0; i < PUBLISH_RESULTS; i++) {
        append_labelled(scrape, "freshet_publishes_total", "result", publish_result_name(i),
                        (long long)stats->publishes[i]);
    }
    describe(scrape, "freshet_envelopes_refused_total", "counter",
             "What came from Redis and was no message, by reason.");
    for (size_t i = 0; i < ENVELOPE_REFUSALS; i++) {
        append_labelled(scrape, "freshet_envelopes_refused_total", "reason",
                        envelope_refusal_name(i), (long long)stats->envelopes_refused[i]);
    }
}

static void append_links(const struct scrape *scrape, const struct cluster_stats *stats) {
    describe(scrape, "freshet_redis_up", "gauge", "Whether the link to Redis is up.");
    for (size_t i = 0; i < CLUSTER_LINKS; i++) {
        append_labelled(scrape, "freshet_redis_up", "link", stats->links[i].name,
                        stats->links[i].is_up);
    }
    describe(scrape, "freshet_redis_reconnects_total", "counter", "Times the link came back.");
    for (size_t i = 0; i < CLUSTER_LINKS; i++) {
        append_labelled(scrape, "freshet_redis_reconnects_total", "link", stats->links[i].name,
                        (long long)stats->links[i].reconnects);
    }
    describe(scrape, "freshet_echo_age_seconds", "gauge",
             "Since this node last heard itself through the link.");
    for (size_t i = 0; i < CLUSTER_LINKS; i++) {
        bytes_append_format(scrape->bytes, "freshet_echo_age_seconds{link=\"%s\"} ",
                            stats->links[i].name);
        append_seconds(scrape, stats->links[i].echo_age_ms);
    }
    uint64_t commands = 0;
    for (size_t i = 0; i < CLUSTER_LINKS; i++) {
        commands += stats->links[i].commands;
    }
    append_plain(scrape, "freshet_redis_commands_total", "counter", "Commands sent to Redis.",
                 (long long)commands);
    append_plain(scrape, "freshet_redis_switches_total", "counter",
                 "Times this node followed Sentinel to another master.",
                 (long long)stats->redis_switches);
    append_plain(scrape, "freshet_sentinels", "gauge", "Sentinels that option redis names.",
                 (long long)stats->sentinels);
    append_plain(scrape, "freshet_sentinels_up", "gauge", "Those of them that can be asked.",
                 (long long)stats->sentinels_up);
}

void metrics_delivery(struct metrics *metrics, enum transport_kind transport, int64_t time_ms,
                      int64_t now_ms) {
    // Two machines' clocks: what seems to come from the future was quick.
    uint64_t lag_ms = now_ms > time_ms ? (uint64_t)(now_ms - time_ms) : 0;
    size_t bucket = 0;
    while (bucket < LAG_BUCKETS - 1 && lag_ms > lag_bounds_ms[bucket]) {
        bucket++;
    }
    metrics_add(&metrics->deliveries[transport], 1);
    metrics_add(&metrics->lag_buckets[bucket], 1);
    metrics_add(&metrics->lag_sum_ms, (long long)lag_ms);
}

void metrics_append(struct bytes *bytes, const struct metrics *const *workers, size_t count,
                    const struct cluster_stats *stats, const struct cluster_state *state) {
    const struct scrape scrape = {bytes, workers, count};
    describe(&scrape, "freshet_build_info", "gauge", "What this node is; always 1.");
    append_labelled(&scrape, "freshet_build_info", "version", FRESHET_VERSION, 1);
    append_plain(&scrape, "freshet_ready", "gauge",
                 "Whether this node hears its own echo through Redis.", state->is_ready);
    append_clients(&scrape);
    append_messages(&scrape, stats);
    append_deliveries(&scrape);
    append_lag(&scrape);
    append_links(&scrape, stats);
}
