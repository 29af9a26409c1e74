// freshet-node: reads the options and runs the server.
#include "cluster/base/log.h"
#include "node/config.h"
#include "node/server.h"
#include "node/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { EXIT_TROUBLE = 1, EXIT_USAGE = 2 };

// libuv's threads only look up names here, and a look-up of a name that nobody answers for takes one
// of them for 10 s. Sentinels that died with their DNS must not keep all others waiting.
#define LOOKUP_THREADS "32"

static int run(const struct config *config) {
    setenv("UV_THREADPOOL_SIZE", LOOKUP_THREADS, 0);
    log_setup(config->log_level, config->log_format);
    int error = server_run(config);
    return error == 0 ? 0 : error == UV_EINVAL ? EXIT_USAGE : EXIT_TROUBLE;
}

int main(int argc, char **argv) {
    struct config config;
    enum config_action action;
    char why[CONFIG_WHY_MAX];
    if (config_load(argc, argv, &config, &action, why) < 0) {
        fprintf(stderr, "freshet-node: %s\n", why);
        return EXIT_USAGE;
    }
    int status = 0;
    switch (action) {
    case CONFIG_HELP:
        config_print_help(stdout);
        break;
    case CONFIG_VERSION:
        puts("freshet-node " FRESHET_VERSION);
        break;
    case CONFIG_CHECK:
        config_print(&config, stdout);
        break;
    case CONFIG_RUN:
        status = run(&config);
        break;
    }
    config_release(&config);
    return status;
}
