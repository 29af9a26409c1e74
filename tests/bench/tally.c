// The judge: see tally.h. No I/O but the two printers at the end.
#include "tests/bench/tally.h"

#include <inttypes.h>
#include <stddef.h>

const char *const transport_names[TRANSPORT_COUNT] = {"sse", "long_poll", "ws"};

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

bool position_follows(struct position before, struct position after) {
    if (after.epoch == before.epoch) {
        return after.version == before.version + 1;
    }
    return after.version == 1;
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

void tally_message(struct tally *tally, struct progress *progress, struct position before,
                   struct position id, struct payload payload, uint64_t now_ns) {
    if (!position_follows(before, id)) {
        tally->broken++;
    }

    if (payload.n >= progress->next) {
        uint64_t step = payload.n - progress->next + 1;
        progress->seen = (step < 64 ? progress->seen << step : 0) | 1;
        progress->next = payload.n + 1;
    } else {
        uint64_t back = progress->next - 1 - payload.n;
        uint64_t bit = back < 64 ? UINT64_C(1) << back : 0;
        if (bit == 0 || (progress->seen & bit) != 0) {
            tally->doubled++;
            return;
        }
        progress->seen |= bit;
        tally->late++;
    }
    progress->unique++;
    tally->received++;
    uint64_t ns = now_ns > payload.t_ns ? now_ns - payload.t_ns : 0;
    histogram_add(&tally->latency, ns / 1000);
}

bool tally_is_clean(const struct tally *tally) {
    return (tally->lost | tally->doubled | tally->late | tally->broken | tally->behind |
            tally->resets | tally->disconnects | tally->http_errors) == 0;
}

bool summary_is_clean(const struct run_summary *summary) {
    if (summary->publish_errors != 0 || summary->heads_wrong != 0) {
        return false;
    }
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        if (!tally_is_clean(&summary->tallies[i])) {
            return false;
        }
    }
    return true;
}

// Every column but the latencies, once: the table and the JSON print the same.
#define TALLY_COLUMNS(X)                                                                           \
    X(received)                                                                                    \
    X(lost)                                                                                        \
    X(doubled) X(late) X(broken) X(behind) X(resets) X(disconnects) X(refused) X(http_errors)

static const double percents[] = {50, 90, 99, 99.9};
enum { PERCENTS = sizeof(percents) / sizeof(percents[0]) };

static double ms_at(const struct tally *tally, int i) {
    return (double)histogram_percentile_us(&tally->latency, percents[i]) / 1000.0;
}

void summary_print_table(const struct run_summary *summary, FILE *out) {
    fprintf(out, "\n%-13s", "");
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        fprintf(out, "%12s", transport_names[i]);
    }
    fprintf(out, "\n%-13s", "clients");
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        fprintf(out, "%12" PRIu32, summary->clients[i]);
    }
#define PRINT_ROW(name)                                                                            \
    fprintf(out, "\n%-13s", #name);                                                                \
    for (int i = 0; i < TRANSPORT_COUNT; i++) {                                                    \
        fprintf(out, "%12" PRIu64, summary->tallies[i].name);                                      \
    }
    TALLY_COLUMNS(PRINT_ROW)
#undef PRINT_ROW
    for (int p = 0; p < PERCENTS; p++) {
        fprintf(out, "\np%-5g     ms", percents[p]);
        for (int i = 0; i < TRANSPORT_COUNT; i++) {
            fprintf(out, "%12.2f", ms_at(&summary->tallies[i], p));
        }
    }
    fprintf(out, "\n%-13s", "max        ms");
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        fprintf(out, "%12.2f", (double)summary->tallies[i].latency.max_us / 1000.0);
    }
    fprintf(out, "\n\n%" PRIu64 " published in %.1f s", summary->published, summary->seconds);
    fprintf(out, ", %" PRIu64 " publish errors", summary->publish_errors);
    fprintf(out, ", %" PRIu64 " heads not as published", summary->heads_wrong);
    fprintf(out, ", %" PRIu64 " pub/sub links killed\n", summary->pubsub_killed);
    fprintf(out, "generator: %.1f s of CPU, a publish at most %.1f ms late\n", summary->cpu_seconds,
            summary->publish_late_ms);
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        const struct tally *tally = &summary->tallies[i];
        if (tally->last_status == 0) {
            continue;
        }
        fprintf(out, "%s: last status that was no good: %d\n", transport_names[i],
                tally->last_status);
    }
    fprintf(out, "%s\n", summary_is_clean(summary) ? "CLEAN" : "FAILED");
}

void summary_print_json(const struct run_summary *summary, FILE *out) {
    fprintf(out, "{\"clean\":%s", summary_is_clean(summary) ? "true" : "false");
    fprintf(out, ",\"seconds\":%.3f,\"published\":%" PRIu64, summary->seconds, summary->published);
    fprintf(out, ",\"publish_errors\":%" PRIu64 ",\"heads_wrong\":%" PRIu64,
            summary->publish_errors, summary->heads_wrong);
    fprintf(out, ",\"pubsub_killed\":%" PRIu64, summary->pubsub_killed);
    fprintf(out, ",\"generator_cpu_seconds\":%.3f,\"publish_late_ms\":%.3f", summary->cpu_seconds,
            summary->publish_late_ms);
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        const struct tally *tally = &summary->tallies[i];
        fprintf(out, ",\"%s\":{\"clients\":%" PRIu32, transport_names[i], summary->clients[i]);
#define PRINT_FIELD(name) fprintf(out, ",\"" #name "\":%" PRIu64, tally->name);
        TALLY_COLUMNS(PRINT_FIELD)
#undef PRINT_FIELD
        for (int p = 0; p < PERCENTS; p++) {
            fprintf(out, ",\"p%g_ms\":%.3f", percents[p], ms_at(tally, p));
        }
        fprintf(out, ",\"max_ms\":%.3f}", (double)tally->latency.max_us / 1000.0);
    }
    fprintf(out, "}\n");
}
