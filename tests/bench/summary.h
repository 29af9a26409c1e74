// The verdict of a run, as a table and as JSON.
#ifndef FRESHET_TESTS_BENCH_SUMMARY_H
#define FRESHET_TESTS_BENCH_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/bench/tally.h"

struct run_summary {
    double seconds;
    uint32_t clients[TRANSPORT_COUNT];
    uint64_t published, publish_errors, heads_wrong, pubsub_killed;
    double publish_late_ms; // how late the generator itself was, at worst
    double cpu_seconds;     // of the generator
    const struct tally *tallies;
};

bool summary_is_clean(const struct run_summary *summary);
void summary_print_table(const struct run_summary *summary, FILE *out);
void summary_print_json(const struct run_summary *summary, FILE *out);

#endif
