// The commands of `freshet`, each in a file of its own.
#ifndef FRESHET_CLUSTER_CLI_COMMANDS_H
#define FRESHET_CLUSTER_CLI_COMMANDS_H

#include "cluster/cli/options.h"

extern const struct command publish_command;
extern const struct command tail_command;
extern const struct command info_command;
extern const struct command token_command;
extern const struct command install_command;
extern const struct command check_command;

#endif
