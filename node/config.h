// All options, parsed. One table in config.c is the source of the parser, of --help and of the
// reference in the README.
#ifndef FRESHET_NODE_CONFIG_H
#define FRESHET_NODE_CONFIG_H

#include "cluster/base/bytes.h"
#include "cluster/base/log.h"
#include "cluster/base/slice.h"
#include "node/config_network.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// Strings that may be given several times.
struct config_list {
    char **items; // owned
    size_t count;
};

struct config {
    char *listen_host; // owned
    uint16_t listen_port;
    char *admin_host; // owned
    uint16_t admin_port;
    char *redis;  // owned
    char *prefix; // owned
    size_t workers;
    char *node_id;                        // owned; random unless given
    struct config_list anonymous;         // channel patterns, literal but for '*'
    struct config_list anonymous_publish; // the same
    struct config_list auth_keys;         // secrets: shown nowhere
    char *auth_cookie;                    // owned
    struct config_list origins;           // as browsers write them, or "*"
    enum log_level log_level;
    enum log_format log_format;
    uint64_t long_poll_wait_ms; // default of `wait` when only Prefer or wait= without number asks
    uint64_t heartbeat_ms;
    uint64_t ws_ping_ms;
    uint64_t ws_pong_ms;
    uint64_t stall_ms;
    uint64_t linger_ms;
    uint64_t header_timeout_ms;
    uint64_t keep_alive_ms;
    uint64_t drain_grace_ms;
    uint64_t drain_window_ms;
    uint64_t reset_spread_ms;
    uint64_t retry_ms;
    size_t head_bytes;
    size_t publish_bytes;
    size_t frame_bytes;
    size_t backlog_messages;
    size_t backlog_bytes;
    size_t backlog_total;
    size_t page_messages;
    size_t page_bytes;
    size_t channels_per_request;
    size_t channels_per_connection;
    size_t connections;
    size_t accept_rate;          // connections a second; 0: any
    size_t connections_per_ip;   // 0: any
    size_t connections_per_user; // 0: any
    struct network_list trusted_proxies;
};

enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION, CONFIG_CHECK };

enum { CONFIG_WHY_MAX = 384 };

// Reads defaults, then the file named by --config or FRESHET_CONFIG, then FRESHET_* of the
// environment, then the flags: the later wins, and a list given at one level replaces the whole of
// the level below. On UV_EINVAL `why_r` is one line for a person that names the option, where it
// came from and what would be right; nothing is to be released then. CONFIG_HELP and CONFIG_VERSION
// come with an empty config, whatever else was given.
int config_load(int argc, char *const *argv, struct config *config_r, enum config_action *action_r,
                char why_r[static CONFIG_WHY_MAX]);
void config_release(struct config *config);

void config_print_help(FILE *out);
void config_print(const struct config *config, FILE *out); // --check-config: what is in force

// The value of one option as it would be written, secrets masked. For the log.
void config_append(const struct config *config, const char *option, struct bytes *bytes);

// Whether a channel name matches one of the patterns: literal but for '*', which stands for any run
// of characters. Linear in the name for each '*'.
bool config_list_matches(const struct config_list *patterns, struct slice name);

#endif
