// The one door between what faces clients (node/) and what speaks Redis (cluster/).
//
// cluster_open starts one thread that owns every Redis connection of this host. Each worker loop
// becomes a member; everything below a member is called on that loop's thread, and every callback
// runs there. Callers never see a reconnect, a slot or a script: while Redis is away their calls
// fail clearly, and their interests stay and heal by themselves.
#ifndef FRESHET_CLUSTER_CLUSTER_H
#define FRESHET_CLUSTER_CLUSTER_H

#include "cluster/base/bytes.h"
#include "cluster/base/mailbox.h"
#include "cluster/base/slice.h"
#include "cluster/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct cluster_options {
    struct slice redis_url;  // option `redis`
    struct slice prefix;     // option `prefix`, "freshet"
    struct slice node_id;    // names this node's links and echoes
    size_t backlog_messages; // recent messages kept per channel for handing over
    size_t backlog_bytes;    // and their bytes
    size_t backlog_total;    // bytes over all channels; the coldest shrink first
};

struct cluster;

// Whether redis_url is one. UV_EINVAL: not, with a text for a person in *why_r. Sans-I/O.
int cluster_check_url(struct slice redis_url, const char **why_r);

// Copies the options. Starts the thread; does not wait for Redis. UV_EINVAL for a bad URL, with a
// text for a person in *why_r.
int cluster_open(const struct cluster_options *options, struct cluster **cluster_r,
                 const char **why_r);

// After every member has detached. Joins the thread. NULLs *cluster.
void cluster_close(struct cluster **cluster);

// ---- State: any thread, at any time ----------------------------------------------------------

enum { CLUSTER_REASON_MAX = 192 };

// What in Redis harms a node that is ready all the same.
enum cluster_warning {
    CLUSTER_WARNING_EVICTION,
    CLUSTER_WARNING_MEMORY,
    CLUSTER_WARNING_DISK,
    CLUSTER_WARNINGS,
};

struct cluster_state {
    bool is_ready; // every link's echo is heard, reading is allowed, the functions are in place
    uint64_t unheard_ms; // since the last proof that messages reach this node; 0 when fresh
    char reason[CLUSTER_REASON_MAX];                     // why not ready, for people; "" when ready
    char warnings[CLUSTER_WARNINGS][CLUSTER_REASON_MAX]; // the same, "" when there is none
};

void cluster_state(const struct cluster *cluster, struct cluster_state *state_r);

// Its unheard_ms alone, cheap enough for every poll.
uint64_t cluster_unheard_ms(const struct cluster *cluster);

#define CLUSTER_LINKS     2
#define PUBLISH_RESULTS   5
#define ENVELOPE_REFUSALS 4

struct cluster_stats {
    uint64_t messages_received;
    uint64_t json_demoted;               // typed json, but not JSON: delivered as text
    uint64_t gaps;                       // holes noticed
    uint64_t gap_messages;               // and filled from history
    uint64_t publishes[PUBLISH_RESULTS]; // by enum publish_result
    uint64_t envelopes_refused[ENVELOPE_REFUSALS];
    uint64_t joins_refused; // over 200 new channels a second
    uint64_t history_reads;
    uint64_t overruns; // times a member fell behind and was handed the backlog anew
    uint64_t backlog_bytes;
    size_t subscriptions;
    double history_window_seconds; // smallest of the live channels; 0 when unknown
    uint64_t redis_switches;       // masters followed after the first; by Sentinel alone
    size_t sentinels;              // configured
    size_t sentinels_up;
    struct {
        const char *name;
        bool is_up;
        uint64_t reconnects;
        uint64_t commands;
        uint64_t echo_age_ms;
    } links[CLUSTER_LINKS];
};

void cluster_stats(const struct cluster *cluster, struct cluster_stats *stats_r);
const char *envelope_refusal_name(size_t reason);

// ---- Members -----------------------------------------------------------------------------------

struct cluster_member;

// On the worker's loop.
int cluster_attach(struct cluster *cluster, uv_loop_t *loop, struct cluster_member **member_r);

// After every interest was dropped and every call completed (cluster_member_is_idle). NULLs *member.
void cluster_detach(struct cluster_member **member);
bool cluster_member_is_idle(const struct cluster_member *member);

// ---- Interests: a member's wish to hear a channel ----------------------------------------------

// What a new interest is given: the channel's head and a run of recent messages that leads up to it
// without a hole. Whoever stands at `base` or at one of the messages can go on from there.
struct handover {
    struct position base;
    struct position head;
    struct message *const *messages; // borrowed during the callback; take references to keep
    size_t count;
};

struct interest_events {
    // The channel is live: all that follows comes by on_message and on_reset, in order and without a
    // hole. Comes again when this worker fell so far behind that messages were left out: the new
    // handover may overlap or lie beyond what it holds.
    void (*on_joined)(void *owner, const struct handover *handover);
    // Next message by the continuity rule, or an ephemeral one. Borrowed: take a reference to keep.
    void (*on_message)(void *owner, struct message *message);
    // The channel's head moved from reset->from to reset->to, with a break in between.
    void (*on_reset)(void *owner, const struct reset *reset);
    // Could not join: E_OVERLOADED (too many new channels), or what Redis said: E_RIGHTS,
    // E_WRONG_TYPE, E_FULL. The interest is over; drop it.
    void (*on_refused)(void *owner, int error);
};

struct interest;

// `channel` must be a valid name and is copied. on_joined follows, as soon as Redis allows; never
// from within the call. `events` and `owner` are borrowed until cluster_unsubscribe.
struct interest *cluster_subscribe(struct cluster_member *member, struct slice channel,
                                   const struct interest_events *events, void *owner);

// No callback comes after it. NULLs *interest.
void cluster_unsubscribe(struct interest **interest);

// ---- Calls: embedded in the caller, completed exactly once, never from within the call -----------

// The shared part. The caller keeps the whole call alive until on_done. A cancelled call completes
// too, with UV_ECANCELED unless its result was already on its way.
struct call {
    struct letter letter;          // the library's
    struct cluster_member *member; // the library's
    struct call *next;             // the library's
    bool is_cancelled;             // the library's
    int status;                    // 0 or an error, set before on_done
    void (*on_done)(struct call *call);
};

void call_cancel(struct call *call);

enum history_start { HISTORY_SINCE, HISTORY_OLDEST, HISTORY_REWIND };

// Reads a channel's log in Redis from a cursor, and decides about continuity (CONTRACT.md,
// section 1). Equal reads that wait share one answer. Status: E_UNAVAILABLE, E_UNPROVEN,
// E_OVERLOADED.
struct history_call {
    struct call call;
    // Set by the caller. The channel's name must live until on_done.
    struct slice channel;
    enum history_start start;
    struct position since; // HISTORY_SINCE
    uint64_t rewind;       // HISTORY_REWIND: the last so many
    size_t limit;          // messages at most; 0: only `has_more` says whether there are any
    size_t bytes_max;      // of data; at least one message is returned all the same
    // The answer, valid until history_call_release.
    struct position position; // where it began: `since`, or the place before the first message
    bool has_reset;
    struct reset reset;        // continuity is broken at `since`; the messages follow reset.to
    struct message **messages; // owned array of references
    size_t count;
    bool has_more;        // the log goes on behind the last message
    struct position head; // of the channel at that moment; none: Redis knows nothing of it
};

void cluster_history(struct cluster_member *member, struct history_call *call);
void history_call_release(struct history_call *call); // drops the messages

enum publish_result {
    PUBLISH_OK,
    PUBLISH_CONFLICT,    // `if` named another head: `text` holds the head or "none"
    PUBLISH_REFUSED,     // enum publish_refusal says whose fault it is, `text` what it is
    PUBLISH_UNAVAILABLE, // nothing was written, and it may pass: try again
    PUBLISH_UNKNOWN,     // sent, no answer within 1 s: repeat with the same `once`
};

enum publish_refusal {
    REFUSAL_NONE,
    REFUSAL_ARGUMENTS,
    REFUSAL_JSON,
    REFUSAL_RIGHTS,
    REFUSAL_REDIS, // not the caller's fault: a key of another type, no library, a full disk
};

// FCALL freshet_publish. Always completes within about 1 s.
struct publish_call {
    struct call call; // status is 0 whatever the result
    // Set by the caller; all slices live until on_done. Empty: not given.
    struct slice channel;
    struct slice data;
    enum message_type type;
    struct slice event;
    struct slice once;
    struct slice if_head; // a position or "none"
    uint64_t history;     // 0: not given
    uint64_t ttl_s;       // 0: not given
    // The answer.
    enum publish_result result;
    enum publish_refusal refusal;
    char text[160]; // printable ASCII; the position on PUBLISH_OK
};

void cluster_publish(struct cluster_member *member, struct publish_call *call);

// The channels this host holds, for the admin port.
struct channel_info {
    struct slice name; // valid until channels_call_release
    struct position head;
    size_t members; // workers interested
    size_t backlog;
    bool is_live;
};

struct channels_call {
    struct call call;
    size_t limit;                  // at most so many
    struct channel_info *channels; // owned
    size_t count;
    size_t total;
    struct bytes names; // owned
};

void cluster_channels(struct cluster_member *member, struct channels_call *call);
void channels_call_release(struct channels_call *call);

#endif
