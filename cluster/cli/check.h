// freshet check: what it finds, and the parts that look.
#ifndef FRESHET_CLUSTER_CLI_CHECK_H
#define FRESHET_CLUSTER_CLI_CHECK_H

#include "cluster/base/check.h"
#include "cluster/cli/client.h"
#include "cluster/cli/options.h"
#include "cluster/cli/tool.h"

#include <stdint.h>

enum finding { FINDING_FINE, FINDING_WARNING, FINDING_BROKEN, FINDINGS };

struct checkup {
    const struct tool *tool;
    struct client client;
    redisReply *info;   // owned; INFO, or an error
    redisReply *config; // owned; CONFIG GET, or an error
    size_t counts[FINDINGS];
};

// Prints one finding. `fix` is what to do about it, a command where one helps; NULL: nothing.
void checkup_tell(struct checkup *checkup, enum finding finding, const char *subject,
                  const char *fix, const char *format, ...) PRINTF_LIKE(5, 6);

// INFO as text (none without the right to it), and a setting's value (none when unknown).
struct slice checkup_info(const struct checkup *checkup, const char *name);
uint64_t checkup_info_number(const struct checkup *checkup, const char *name);
struct slice checkup_setting(const struct checkup *checkup, const char *name);

// Each looks at its part. Errors as client_receive: Redis is gone.
int check_settings(struct checkup *checkup);
int check_health(struct checkup *checkup);
int check_rights(struct checkup *checkup);
int check_channel(struct checkup *checkup, const char *channel);

// Whether all are URLs of admin ports; complains about the first that is none.
bool nodes_are_valid(const struct words *nodes);

// Asks each of these nodes whether it is ready, and where it stands in these channels.
int check_nodes(struct checkup *checkup, const struct words *nodes, const struct words *channels);

#endif
