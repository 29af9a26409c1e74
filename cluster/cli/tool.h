// What every command of `freshet` shares: where Redis is, how to print, how to end.
#ifndef FRESHET_CLUSTER_CLI_TOOL_H
#define FRESHET_CLUSTER_CLI_TOOL_H

#include "cluster/base/check.h"
#include "cluster/cli/client.h"
#include "cluster/topology.h"

#include <stdbool.h>

// Exit codes. `check` has its own meaning for the first three: fine, warnings, broken.
enum { END_FINE = 0, END_REFUSED = 1, END_USAGE = 2, END_NO_REDIS = 3 };

enum { CHANNELS_MAX = 1000 };

struct tool {
    const char *redis_url; // borrowed: option, environment or default
    const char *prefix_text;
    bool is_json;
    bool wants_help;
    struct topology topology; // owned
    struct slice prefix;
};

// One line on stderr, control characters made visible. Callers keep secrets out.
void complain(const char *format, ...) PRINTF_LIKE(1, 2);

// END_FINE with the client open, or END_NO_REDIS after a complaint.
int tool_connect(const struct tool *tool, struct client *client);

// Complains that master_open failed; returns END_NO_REDIS.
int tool_unreachable(const struct tool *tool, const struct client *client);

// Complains that Redis went away in the middle; returns END_NO_REDIS.
int tool_lost(const struct tool *tool, const struct client *client);

// Complains about an error reply; END_REFUSED, or END_NO_REDIS when this Redis serves nobody yet.
int tool_refused(const struct tool *tool, const char *what, struct slice error);

// Whether all are channel names; complains about the first that is none.
bool channels_are_valid(const char *const *names, size_t count);

#endif
