// The table of options: the source of the parser, of --help and of the reference in the README.
#include "node/config_option.h"

#define KIB    UINT64_C(1024)
#define MIB    (UINT64_C(1024) * KIB)
#define GIB    (UINT64_C(1024) * MIB)
#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

#define GROUP(title)                                                                               \
    { .name = (title), .kind = OPTION_GROUP }
#define AT(member)   .offset = offsetof(struct config, member)
#define THEN(member) .second_offset = offsetof(struct config, member)
#define ADDRESS(text, default_, host, port, help_)                                                 \
    {                                                                                              \
        .name = (text), .kind = OPTION_ADDRESS, .fallback = (default_), .value = "ADDRESS",        \
        AT(host), THEN(port), .help = (help_)                                                      \
    }
#define NAME(text, default_, max_, member, help_)                                                  \
    {                                                                                              \
        .name = (text), .kind = OPTION_NAME, .fallback = (default_), .value = "NAME", .min = 1,    \
        .max = (max_), AT(member), .help = (help_)                                                 \
    }
#define LIST(text, kind_, value_, member, help_)                                                   \
    {                                                                                              \
        .name = (text), .kind = (kind_), .fallback = "(none)", .value = (value_), AT(member),      \
        .help = (help_)                                                                            \
    }
#define WORD(text, words, default_, member, help_)                                                 \
    {                                                                                              \
        .name = (text), .kind = OPTION_WORD, .fallback = (default_), .value = (words), AT(member), \
        .help = (help_)                                                                            \
    }
#define DURATION(text, default_, min_, max_, member, help_)                                        \
    {                                                                                              \
        .name = (text), .kind = OPTION_DURATION, .fallback = (default_), .value = "DURATION",      \
        .min = (min_), .max = (max_), AT(member), .help = (help_)                                  \
    }
#define SIZE(text, default_, min_, max_, member, help_)                                            \
    {                                                                                              \
        .name = (text), .kind = OPTION_SIZE, .fallback = (default_), .value = "SIZE",              \
        .min = (min_), .max = (max_), AT(member), .help = (help_)                                  \
    }
#define COUNT(text, default_, min_, max_, member, help_)                                           \
    {                                                                                              \
        .name = (text), .kind = OPTION_COUNT, .fallback = (default_), .value = "N", .min = (min_), \
        .max = (max_), AT(member), .help = (help_)                                                 \
    }
#define BOUND(text, default_, max_, least_bytes, most_bytes, messages, bytes, help_)               \
    {                                                                                              \
        .name = (text), .kind = OPTION_BOUND, .fallback = (default_), .value = "N,SIZE", .min = 1, \
        .max = (max_), .bytes_min = (least_bytes), .bytes_max = (most_bytes), AT(messages),        \
        THEN(bytes), .help = (help_)                                                               \
    }

// clang-format off
const struct option config_options[] = {
    GROUP("Where it listens"),
    ADDRESS("listen", "0.0.0.0:8080", listen_host, listen_port,
            "where clients connect: HOST:PORT, :PORT, PORT or [V6]:PORT"),
    ADDRESS("admin", "127.0.0.1:8081", admin_host, admin_port,
            "metrics and trusted publishing; not for the public"),
    COUNT("workers", "(cores)", 1, 256, workers, "event loops that serve clients"),
    NAME("node-id", "(random)", 64, node_id, "names this node to clients and in Redis"),

    GROUP("Redis"),
    {.name = "redis", .kind = OPTION_REDIS, .fallback = "redis://127.0.0.1:6379", .value = "URL",
     AT(redis), .help = "redis://host, redis+sentinel://host,host/NAME or unix:/path"},
    NAME("prefix", "freshet", 32, prefix, "what all keys and Redis channels begin with"),

    GROUP("Who may do what (closed by default)"),
    LIST("anonymous", OPTION_PATTERNS, "PATTERN...", anonymous,
         "channels that anybody may subscribe to; * is a wildcard"),
    LIST("anonymous-publish", OPTION_PATTERNS, "PATTERN...", anonymous_publish,
         "channels that anybody may publish to"),
    LIST("auth-key", OPTION_KEYS, "KEY|@FILE", auth_keys,
         "what tokens (JWT, HS256) are signed with; repeatable"),
    NAME("auth-cookie", "freshet", 64, auth_cookie, "the cookie that may hold a token"),
    LIST("origin", OPTION_ORIGINS, "ORIGIN...", origins,
         "whose pages may use this node; *: all, without cookies"),

    GROUP("Times"),
    DURATION("long-poll-wait", "25s", SECOND, MINUTE, long_poll_wait_ms,
             "how long a long poll waits when it does not say"),
    DURATION("heartbeat", "15s", SECOND / 10, 10 * MINUTE, heartbeat_ms,
             "the longest silence on SSE and stream"),
    DURATION("ws-ping", "25s", SECOND / 10, 10 * MINUTE, ws_ping_ms,
             "how often a WebSocket client is asked whether it lives"),
    DURATION("ws-pong", "10s", SECOND / 10, 10 * MINUTE, ws_pong_ms,
             "how long its answer may take"),
    DURATION("retry", "3s", SECOND / 10, HOUR, retry_ms,
             "when an SSE client comes back, give or take a third"),
    DURATION("stall", "30s", SECOND / 10, HOUR, stall_ms,
             "a client that takes no byte for this long is closed"),
    DURATION("linger", "30s", 0, HOUR, linger_ms,
             "how long a channel outlives its last subscriber"),
    DURATION("header-timeout", "10s", SECOND / 10, 5 * MINUTE, header_timeout_ms,
             "how long a request may take to arrive"),
    DURATION("keep-alive", "75s", SECOND / 10, HOUR, keep_alive_ms,
             "how long an idle connection stays open"),
    DURATION("reset-spread", "2s", 0, 10 * MINUTE, reset_spread_ms,
             "over how long clients spread a reload after a reset"),
    DURATION("drain-grace", "5s", 0, 10 * MINUTE, drain_grace_ms,
             "from unready to the first closed connection on a drain"),
    DURATION("drain-window", "30s", 0, HOUR, drain_window_ms,
             "over how long a drain spreads its clients"),

    GROUP("Limits"),
    SIZE("head-bytes", "16k", KIB, MIB, head_bytes, "of a request's line and header fields"),
    SIZE("publish-bytes", "8m", KIB, 64 * MIB, publish_bytes, "of a request's body"),
    SIZE("frame-bytes", "64k", KIB, 64 * MIB, frame_bytes, "of a message from a WebSocket client"),
    BOUND("backlog", "256,4m", 100000, KIB, GIB, backlog_messages, backlog_bytes,
          "recent messages kept for a channel: 256, 4m or 256,4m"),
    SIZE("backlog-total", "256m", MIB, 64 * GIB, backlog_total,
         "of all backlogs; the coldest channels shrink first"),
    BOUND("page", "1000,1m", 1000, KIB, MIB, page_messages, page_bytes,
          "read from history at once: 1000, 1m or 1000,1m"),
    COUNT("channels-per-request", "64", 1, 1000, channels_per_request, "in a URL"),
    COUNT("channels-per-connection", "1000", 1, 1000, channels_per_connection, "in a body"),
    COUNT("connections", "1000000", 1, 100000000, connections,
          "clients at once; never above the descriptor limit"),
    COUNT("connections-per-ip", "0", 0, 1000000, connections_per_ip,
          "of one address (IPv6: one /64) at once; 0: any"),
    COUNT("connections-per-user", "0", 0, 1000000, connections_per_user,
          "streams, held polls, WebSockets of one `sub`; 0: any"),
    COUNT("accept-rate", "0", 0, 1000000, accept_rate,
          "new connections a second, all workers together; 0: any"),
    LIST("trusted-proxy", OPTION_NETWORKS, "NETWORK...", trusted_proxies,
         "whose X-Forwarded-For is believed: 10.0.0.0/8 fd00::/8"),

    GROUP("Log and configuration"),
    WORD("log-level", "error|warning|info|debug", "info", log_level, "what is worth a line"),
    WORD("log-format", "text|json", "text", log_format, "on stderr, one line an event"),
    {.name = "config", .kind = OPTION_FILE, .fallback = "(none)", .value = "FILE",
     .help = "a file of `option = value` lines; # begins a comment line"},
};
// clang-format on

const size_t config_options_count = sizeof(config_options) / sizeof(config_options[0]);

const struct option *option_find(struct slice name) {
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *option = &config_options[i];
        if (option->kind != OPTION_GROUP && slice_equal(slice_of(option->name), name)) {
            return option;
        }
    }
    return NULL;
}
