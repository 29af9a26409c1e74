// What `publish` is asked to publish: its options, checked before anything is sent, and the words
// of FCALL freshet_publish that they make.
#ifndef FRESHET_CLUSTER_CLI_PUBLICATION_H
#define FRESHET_CLUSTER_CLI_PUBLICATION_H

#include "cluster/base/bytes.h"
#include "cluster/cli/options.h"
#include "cluster/keys.h"
#include "cluster/message.h"

struct publish_options {
    struct words words; // CH DATA
    const char *type;
    const char *event;
    const char *once;
    const char *if_head;
    uint64_t for_s;
    uint64_t history;
    uint64_t ttl_s;
    bool has_lines;
};

enum { PUBLICATION_WORDS_MAX = 20, ONCE_KEY_MAX = KEY_BYTES_MAX + ONCE_BYTES_MAX + 32 };

struct publication {
    const struct publish_options *options; // borrowed
    enum message_type type;
    struct keys keys;
    char history_text[24];
    char ttl_text[24];
    char for_text[24];
    // Of the message at hand.
    char once_text[ONCE_BYTES_MAX + 24];
    struct bytes once_key;
    struct slice words[PUBLICATION_WORDS_MAX];
    size_t count;
};

// END_FINE, or END_USAGE after a complaint.
int publication_init(struct publication *publication, const struct tool *tool,
                     const struct publish_options *options);
void publication_release(struct publication *publication);

// NULL, or why this data cannot be published.
const char *publication_objection(const struct publication *publication, struct slice data);

// Sets words and count for this data, which they borrow. `line` numbers the lines of --lines from
// 1, each of which has a once key of its own; 0 without.
void publication_write(struct publication *publication, struct slice data, uint64_t line);

#endif
