// The table of options, for config.c and its companions alone: config_table.c holds it, config_value.c
// and config_auth.c read and write values, config_help.c prints.
#ifndef FRESHET_NODE_CONFIG_OPTION_H
#define FRESHET_NODE_CONFIG_OPTION_H

#include "cluster/base/bytes.h"
#include "node/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_GROUP,    // a heading of --help, no option
    OPTION_FILE,     // the configuration file itself: not stored
    OPTION_ADDRESS,  // char * and uint16_t
    OPTION_REDIS,    // char *, masked wherever it is shown
    OPTION_NAME,     // char *, [A-Za-z0-9._-]
    OPTION_PATTERNS, // struct config_list
    OPTION_KEYS,     // struct config_list, masked wherever it is shown
    OPTION_ORIGINS,  // struct config_list
    OPTION_NETWORKS, // struct network_list
    OPTION_WORD,     // an enum, in the order of `words`
    OPTION_DURATION, // uint64_t, in ms
    OPTION_SIZE,     // size_t, in bytes
    OPTION_COUNT,    // size_t
    OPTION_BOUND,    // two size_t: messages and bytes
};

struct option {
    const char *name;
    enum option_kind kind;
    const char *fallback; // the default, as one would write it; "(...)": worked out later
    const char *value;    // what --help calls the value; "a|b|c" for OPTION_WORD
    uint64_t min;         // least and greatest: ms, bytes, number, length of a name; messages of a
    uint64_t max;         // bound
    uint64_t bytes_min;   // of a bound
    uint64_t bytes_max;
    size_t offset;        // into struct config
    size_t second_offset; // of an address's port, of a bound's bytes
    const char *help;
};

extern const struct option config_options[];
extern const size_t config_options_count;

enum { CONFIG_OPTIONS_MAX = 64 };

const struct option *option_find(struct slice name); // NULL: there is none

enum { OPTION_WHY_MAX = 200 };

// Reads `text` into the option's fields; patterns are added to those that are there. On UV_EINVAL
// `why_r` says what is wrong with the value, without repeating a secret.
int option_read(const struct option *option, const char *text, struct config *config,
                char why_r[static OPTION_WHY_MAX]);

// Appends the value in force as option_read would read it, but for secrets.
void option_append(const struct option *option, const struct config *config, struct bytes *bytes);

void option_release(const struct option *option, struct config *config);

bool option_is_list(const struct option *option);
void option_list_add(struct config_list *list, struct slice item);

// What option_read does with keys (the key itself, or @FILE with one a line), origins and networks.
enum { AUTH_KEYS_MAX = 16, AUTH_KEY_BYTES_MIN = 32, AUTH_KEY_BYTES_MAX = 4096 };
int option_read_keys(const char *text, struct config_list *list, char why_r[static OPTION_WHY_MAX]);
int option_read_origins(const char *text, struct config_list *list,
                        char why_r[static OPTION_WHY_MAX]);
int option_read_networks(const char *text, struct network_list *list,
                         char why_r[static OPTION_WHY_MAX]);

// The name in the environment: FRESHET_X_Y.
enum { OPTION_ENVIRONMENT_MAX = 64 };
void option_environment(const struct option *option, char name_r[static OPTION_ENVIRONMENT_MAX]);

#endif
