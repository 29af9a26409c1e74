// One channel followed from the command line: a cursor on its log, moved by what arrives live and
// by reads, with the continuity rule held as a node holds it.
#ifndef FRESHET_CLUSTER_CLI_FOLLOW_H
#define FRESHET_CLUSTER_CLI_FOLLOW_H

#include "cluster/cli/client.h"
#include "cluster/keys.h"
#include "cluster/message.h"

struct follower {
    struct slice channel;    // borrowed
    struct keys keys;        // points into itself: the struct must not be copied
    uint64_t rewind;         // begin so many messages before the head
    struct position at;      // none: before whatever is there
    struct position unknown; // a cursor that this Redis does not know, until its reset is told
    bool is_placed;          // set by the caller when it knows `at`
};

struct follow_events {
    // False: enough.
    bool (*on_message)(void *owner, const struct follower *follower, struct message *message);
    void (*on_reset)(void *owner, const struct follower *follower, const struct reset *reset);
    void *owner;
};

enum follow_result {
    FOLLOW_GOOD,    // at the head, or told that it is enough
    FOLLOW_BEHIND,  // the log has more: follow_read it
    FOLLOW_LOST,    // the connection is of no more use
    FOLLOW_REFUSED, // by Redis, for good: *why_r
};

enum { FOLLOW_WHY_MAX = 200 };

// Finds where to begin. After the acknowledgement of SUBSCRIBE, so that nothing falls in between.
enum follow_result follow_place(struct follower *follower, struct client *client,
                                char why_r[static FOLLOW_WHY_MAX]);

// What came live. FOLLOW_BEHIND when it is neither next nor a double: a read decides then.
enum follow_result follow_hear(struct follower *follower, struct message *message,
                               const struct follow_events *events);

// Asks for the next page, and takes it; FOLLOW_BEHIND when there is another one. Apart, so that
// many channels can be asked at once.
void follow_send(struct follower *follower, struct client *client);
enum follow_result follow_take(struct follower *follower, struct client *client,
                               const struct follow_events *events,
                               char why_r[static FOLLOW_WHY_MAX]);

// Both, until the head is reached.
enum follow_result follow_read(struct follower *follower, struct client *client,
                               const struct follow_events *events,
                               char why_r[static FOLLOW_WHY_MAX]);

#endif
