// The judge: see tally.h. No I/O.
#include "tests/bench/tally.h"

#include <stddef.h>

const char *const transport_names[TRANSPORT_COUNT] = {"sse", "long_poll", "ws", "poll", "stream"};

static size_t bucket_of(uint64_t us) {
    if (us < HISTOGRAM_STEPS) {
        return (size_t)us;
    }
    unsigned doubling = 63u - (unsigned)__builtin_clzll(us) - 5u;
    size_t bucket =
        (size_t)(doubling + 1) * HISTOGRAM_STEPS + (size_t)(us >> doubling) - HISTOGRAM_STEPS;
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

// The largest value that falls into the bucket.
static uint64_t bucket_top_us(size_t bucket) {
    if (bucket < HISTOGRAM_STEPS) {
        return bucket;
    }
    size_t doubling = bucket / HISTOGRAM_STEPS - 1;
    return ((uint64_t)(bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS + 1) << doubling) - 1;
}

static void histogram_add(struct histogram *histogram, uint64_t us) {
    histogram->buckets[bucket_of(us)]++;
    histogram->count++;
    if (us > histogram->max_us) {
        histogram->max_us = us;
    }
}

uint64_t histogram_percentile_us(const struct histogram *histogram, double percent) {
    uint64_t rank = (uint64_t)((double)histogram->count * percent / 100.0);
    uint64_t below = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        below += histogram->buckets[i];
        if (below <= rank) {
            continue;
        }
        uint64_t top = bucket_top_us(i);
        return top < histogram->max_us ? top : histogram->max_us;
    }
    return histogram->max_us;
}

bool position_equals(struct position one, struct position other) {
    return one.epoch == other.epoch && one.version == other.version;
}

bool position_follows(struct position before, struct position after, const struct position *fork) {
    if (after.epoch == before.epoch) {
        return after.version == before.version + 1;
    }
    return after.epoch > before.epoch && after.version == 1 &&
           (fork == NULL || position_equals(*fork, before));
}

size_t position_parse(const char *text, const char *end, struct position *position_r) {
    uint64_t parts[2] = {0, 0};
    const char *at = text;
    for (int i = 0; i < 2; i++) {
        const char *digits = at;
        while (at < end && *at >= '0' && *at <= '9') {
            parts[i] = parts[i] * 10 + (uint64_t)(*at++ - '0');
        }
        if (at == digits || at - digits > 19) {
            return 0;
        }
        if (i == 0 && (at == end || *at++ != '-')) {
            return 0;
        }
    }
    *position_r = (struct position){.epoch = parts[0], .version = parts[1]};
    return (size_t)(at - text);
}

void progress_init(struct progress *progress) {
    *progress = (struct progress){.next = 1};
}

// Marks the number as seen; false when it was seen before.
static bool progress_mark(struct progress *progress, struct tally *tally, uint64_t n) {
    if (n >= progress->next) {
        uint64_t step = n - progress->next + 1;
        progress->seen = (step < 64 ? progress->seen << step : 0) | 1;
        progress->next = n + 1;
        tally->skipped += step - 1;
        return true;
    }
    uint64_t back = progress->next - 1 - n;
    uint64_t bit = back < 64 ? UINT64_C(1) << back : 0;
    if (bit == 0 || (progress->seen & bit) != 0) {
        tally->doubled++;
        return false;
    }
    progress->seen |= bit;
    tally->late++;
    tally->skipped--;
    return true;
}

void tally_message(struct tally *tally, struct progress *progress, struct position before,
                   const struct message *message, uint64_t now_ns) {
    if (!position_follows(before, message->id, message->shows_fork ? &message->fork : NULL)) {
        tally->broken++;
    }
    if (!progress_mark(progress, tally, message->payload.n)) {
        return;
    }
    progress->unique++;
    tally->received++;
    uint64_t ns = now_ns > message->payload.t_ns ? now_ns - message->payload.t_ns : 0;
    histogram_add(&tally->latency, ns / 1000);
}

uint64_t tally_other_faults(const struct tally *tally) {
    return tally->late + tally->broken + tally->behind + tally->disconnects + tally->http_errors;
}

bool tally_is_clean(const struct tally *tally) {
    return (tally->lost | tally->doubled | tally->resets | tally_other_faults(tally)) == 0;
}
