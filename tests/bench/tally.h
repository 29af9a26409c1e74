// The judge of a run: what each client has seen, and how late.
//
// Every payload holds n, the number of its publish on its channel (1, 2, 3 ...), and t, when it
// was sent. So loss, doubles and order are known without believing any position; positions are
// held to the continuity rule beside it.
#ifndef FRESHET_TESTS_BENCH_TALLY_H
#define FRESHET_TESTS_BENCH_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum transport {
    TRANSPORT_SSE,
    TRANSPORT_LONG_POLL,
    TRANSPORT_WS,
    TRANSPORT_POLL,
    TRANSPORT_STREAM,
    TRANSPORT_COUNT
};

struct position {
    uint64_t epoch;
    uint64_t version;
};

struct payload {
    uint64_t n;
    uint64_t t_ns;
};

// A message as a client was given it.
struct message {
    struct position id;
    struct position fork; // epoch 0: none
    bool shows_fork;      // an event stream of one channel carries the bare payload, and cannot
    struct payload payload;
};

// Log-linear, in microseconds: 32 steps to each doubling, so a value is off by 3 % at most.
enum { HISTOGRAM_STEPS = 32, HISTOGRAM_BUCKETS = HISTOGRAM_STEPS * 36 };

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t max_us;
};

// What one client has seen. `seen` has a bit for each of the 64 numbers below `next`.
struct progress {
    uint64_t next;
    uint64_t seen;
    uint64_t unique;
};

// What all clients of one transport have seen.
struct tally {
    struct histogram latency;
    uint64_t received; // each message counted once for each client
    uint64_t skipped;  // so far: a later one came and it did not
    uint64_t lost;     // known when the run is over
    uint64_t doubled;
    uint64_t late;   // came, but after a later one
    uint64_t broken; // positions that do not continue the one before
    uint64_t behind; // clients whose last position is not the head that Redis holds
    uint64_t resets;
    uint64_t disconnects;
    uint64_t reconnects; // cut off where that is allowed (--reconnects): no failure
    uint64_t refused;    // sent away before the start, and back later: no failure
    uint64_t http_errors;
    int last_status;
};

void progress_init(struct progress *progress);

// Counts one message; `before` is the client's position until now.
void tally_message(struct tally *tally, struct progress *progress, struct position before,
                   const struct message *message, uint64_t now_ns);

bool tally_is_clean(const struct tally *tally);
// Failures that are none of lost, doubled and resets.
uint64_t tally_other_faults(const struct tally *tally);
uint64_t histogram_percentile_us(const struct histogram *histogram, double percent);

bool position_equals(struct position one, struct position other);

// The continuity rule. Where forks are not shown (NULL) the first version of any later epoch will
// do: what was lost there, the numbers of the payloads tell.
bool position_follows(struct position before, struct position after, const struct position *fork);

// Reads `E-V` at text, which ends at end. Returns the bytes taken, 0 when there is none.
size_t position_parse(const char *text, const char *end, struct position *position_r);

extern const char *const transport_names[TRANSPORT_COUNT];

#endif
