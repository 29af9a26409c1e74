// The verdict of a run: see summary.h.
#include "tests/bench/summary.h"

#include <inttypes.h>

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
    X(doubled)                                                                                     \
    X(late) X(broken) X(behind) X(resets) X(disconnects) X(reconnects) X(refused) X(http_errors)

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
