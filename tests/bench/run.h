// One run of the load generator, as its phases (load.c) and those who tell of it (watch.c) know it.
#ifndef FRESHET_TESTS_BENCH_RUN_H
#define FRESHET_TESTS_BENCH_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "tests/bench/load.h"
#include "tests/bench/publisher.h"
#include "tests/bench/report.h"
#include "tests/bench/resp.h"
#include "tests/bench/summary.h"
#include "tests/bench/view.h"

// From REPORTING on the clients are judged.
enum phase { OPENING, RAMPING, STARTING, PUBLISHING, DRAINING, VERIFYING, REPORTING, OVER };
extern const char *const phase_names[];

struct run {
    struct load load;
    enum phase phase;
    uint64_t phase_ns; // when it began
    struct publisher publisher;
    struct report report;
    struct resp killer;
    struct view view;
    uint64_t opened; // clients dialled
    uint64_t killed; // pub/sub links
    uint64_t kill_at_ns;
    uint64_t late_ns_max;
    uint64_t drain_moves, drain_moved_ns;
    double publish_seconds;
    bool is_stopping; // a signal came: publish no more
    uint64_t watches;
    size_t notes_printed;
    uv_timer_t tick;
    uv_timer_t watch;
    uv_signal_t interrupt, terminate;
};

// load.c
double run_seconds_in_phase(const struct run *run);
struct run_summary run_summarise(const struct run *run);

// watch.c: reads notes, and tells each second how it goes
void watch_start(struct run *run);
void watch_close(struct run *run);
void watch_tell(struct run *run); // now, and for the last time once the clients are judged

#endif
