// Telling how a run goes: view, lines of progress, notes, and the messages of --tally.
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/bench/run.h"

enum {
    WATCH_MS = 100, // notes are read
    WATCHES_A_SECOND = 1000 / WATCH_MS,
    LINES_S = 5, // from one table or line of progress to the next
};

static struct snapshot_row snapshot_row(const struct run *run, enum transport transport) {
    const struct load *load = &run->load;
    const struct tally *tally = &load->tallies[transport];
    return (struct snapshot_row){
        .name = transport_names[transport],
        .clients = load->options.clients[transport],
        .connected = load->connected[transport],
        .delivered = tally->received,
        .lost = run->phase >= REPORTING ? tally->lost : tally->skipped,
        .doubled = tally->doubled,
        .resets = tally->resets,
        .reconnects = tally->reconnects,
        .other = tally_other_faults(tally),
        .p99_ms = (double)histogram_percentile_us(&tally->latency, 99) / 1000.0,
    };
}

static struct snapshot snapshot_take(const struct run *run) {
    const struct options *options = &run->load.options;
    uint32_t second = (uint32_t)load_seconds(&run->load);
    struct snapshot snapshot = {
        .phase = phase_names[run->phase],
        .second = options->seconds != 0 && second > options->seconds ? options->seconds : second,
        .seconds = options->seconds,
        .rate = options->rate,
        .published = run->publisher.answered,
        .notes = &run->load.notes,
    };
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        if (options->clients[i] != 0) {
            snapshot.rows[snapshot.row_count++] = snapshot_row(run, (enum transport)i);
        }
    }
    if (run->phase >= REPORTING) {
        struct run_summary summary = run_summarise(run);
        snapshot.verdict = summary_is_clean(&summary) ? "CLEAN" : "FAILED";
    }
    return snapshot;
}

// Where no view shows them, each note is a line.
static void print_notes(struct run *run) {
    const struct notes *notes = &run->load.notes;
    size_t kept = notes_kept(notes), fresh = notes->count - run->notes_printed;
    for (size_t i = kept - (fresh < kept ? fresh : kept); i < kept; i++) {
        const struct note *note = notes_at(notes, i);
        fprintf(stderr, "%" PRIu32 " s: %s\n", note->second, note->text);
    }
    run->notes_printed = notes->count;
}

static void print_progress(const struct run *run) {
    const struct load *load = &run->load;
    uint64_t doubled = 0, resets = 0, disconnects = 0, reconnects = 0;
    char p99[TRANSPORT_COUNT * 32];
    size_t p99_bytes = 0;
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        const struct tally *tally = &load->tallies[i];
        doubled += tally->doubled;
        resets += tally->resets;
        disconnects += tally->disconnects;
        reconnects += tally->reconnects;
        p99_bytes +=
            (size_t)snprintf(p99 + p99_bytes, 32, "%s%.1f", i == 0 ? "" : " / ",
                             (double)histogram_percentile_us(&tally->latency, 99) / 1000.0);
    }
    fprintf(stderr,
            "%-10s %4.0f s  connected %" PRIu32 " started %" PRIu32 "  published %" PRIu64
            " (unanswered %" PRIu64 ")  received %" PRIu64 "  doubled %" PRIu64 " resets %" PRIu64
            " disconnects %" PRIu64 " reconnects %" PRIu64 "  p99 %s ms\n",
            phase_names[run->phase], run_seconds_in_phase(run), clients_connected(load),
            load->started, run->publisher.planned, run->publisher.planned - run->publisher.answered,
            clients_received(load), doubled, resets, disconnects, reconnects, p99);
}

static void tell_report(struct run *run) {
    if (run->load.options.tally_channel != NULL) {
        struct snapshot snapshot = snapshot_take(run);
        report_send(&run->report, &snapshot);
    }
}

static void tell_terminal(struct run *run, bool is_due) {
    if (run->view.mode == VIEW_LIVE || (run->view.mode == VIEW_LINES && is_due)) {
        struct snapshot snapshot = snapshot_take(run);
        view_draw(&run->view, &snapshot);
    } else if (run->view.mode == VIEW_NONE && is_due && run->phase < REPORTING) {
        print_progress(run);
    }
}

void watch_tell(struct run *run) {
    tell_terminal(run, true);
    tell_report(run);
}

static void on_watch(uv_timer_t *timer) {
    struct run *run = timer->data;
    if (run->load.options.notes) {
        notes_read(&run->load.notes, (uint32_t)load_seconds(&run->load), STDIN_FILENO);
    }
    if (run->view.mode == VIEW_NONE) {
        print_notes(run);
    }
    if (++run->watches % WATCHES_A_SECOND == 0 && run->phase < REPORTING) {
        tell_terminal(run, run->watches % (LINES_S * WATCHES_A_SECOND) == 0);
        tell_report(run);
    }
}

void watch_start(struct run *run) {
    view_init(&run->view, run->load.options.view);
    run->watch.data = run;
    uv_timer_init(run->load.loop, &run->watch);
    uv_timer_start(&run->watch, on_watch, WATCH_MS, WATCH_MS);
}

void watch_close(struct run *run) {
    uv_close((uv_handle_t *)&run->watch, NULL);
}
