// One node: the cluster thread, the workers, the admin port and the signals.
#ifndef FRESHET_NODE_SERVER_H
#define FRESHET_NODE_SERVER_H

#include "node/config.h"

// Runs until SIGTERM or SIGINT. Whatever fails is said on the log in one line. 0: stopped as asked.
// UV_EINVAL: an option names what cannot be. Any other error: it could not start.
int server_run(const struct config *config);

#endif
