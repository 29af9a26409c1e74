// freshet publish CH - --lines: each line of stdin is a message.
#ifndef FRESHET_CLUSTER_CLI_PUBLISH_LINES_H
#define FRESHET_CLUSTER_CLI_PUBLISH_LINES_H

#include "cluster/cli/publication.h"

// Returns the exit code.
int publish_lines(const struct tool *tool, struct publication *publication);

#endif
