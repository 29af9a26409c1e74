// freshet-load: many clients by every transport, and the publisher that knows what each of them
// must have seen.
//
//   OPENING --step_open--> RAMPING --step_ramp--> STARTING --step_start--> PUBLISHING
//   PUBLISHING --step_publish--> DRAINING --step_drain--> VERIFYING --step_verify--> REPORTING
//   REPORTING --step_report--> OVER
//
// Exit 0: every message once, in order, to everybody, and nobody cut off. 1: not so. 2: the run
// could not be made. It shares the machine with the node, so it says what it used itself.
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/bench/run.h"

enum {
    TICK_MS = 1,
    START_S_MAX = 60,  // for the last client to have its start, after the ramp
    DRAIN_QUIET_S = 5, // all are there and nothing came for so long: what is missing is lost
    DRAIN_S_MAX = 60,
    REPORT_S_MAX = 2,
};

const char *const phase_names[] = {"opening",  "ramping",   "starting",  "publishing",
                                   "draining", "verifying", "reporting", "over"};

static void set_phase(struct run *run, enum phase phase) {
    run->phase = phase;
    run->phase_ns = uv_hrtime();
}

double run_seconds_in_phase(const struct run *run) {
    return (double)(uv_hrtime() - run->phase_ns) / 1e9;
}

double load_seconds(const struct load *load) {
    return load->published_ns == 0 ? 0 : (double)(uv_hrtime() - load->published_ns) / 1e9;
}

void load_tell(struct load *load, const char *format, ...) {
    char text[NOTE_BYTES_MAX + 1];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    notes_add(&load->notes, (uint32_t)load_seconds(load), text);
}

// --- cutting the nodes' links ---------------------------------------------------------------

static void on_killer_reply(struct resp *resp, const struct resp_reply *reply) {
    struct run *run = resp->owner;
    if (reply->kind == ':') {
        run->killed += strtoull(reply->items[0].text, NULL, 10);
    }
}

static void kill_pubsub_when_due(struct run *run) {
    uint64_t every_ns = run->load.options.kill_pubsub * UINT64_C(1000000000);
    uint64_t now_ns = uv_hrtime();
    if (every_ns == 0 || now_ns < run->kill_at_ns || !run->killer.is_connected) {
        return;
    }
    run->kill_at_ns = now_ns + every_ns;
    struct resp_item words[] = {resp_word("CLIENT"), resp_word("KILL"), resp_word("TYPE"),
                                resp_word("pubsub")};
    resp_command(&run->killer, 4, words);
    resp_flush(&run->killer);
}

// --- the verdict ----------------------------------------------------------------------------

struct run_summary run_summarise(const struct run *run) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    struct run_summary summary = {
        .seconds = run->publish_seconds,
        .published = run->publisher.answered,
        .publish_errors = run->publisher.errors,
        .heads_wrong = run->publisher.heads_wrong,
        .pubsub_killed = run->killed,
        .publish_late_ms = (double)run->late_ns_max / 1e6,
        .cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
        .tallies = run->load.tallies,
    };
    memcpy(summary.clients, run->load.options.clients, sizeof(summary.clients));
    return summary;
}

// --- phases ---------------------------------------------------------------------------------

static void step_open(struct run *run) {
    if (publisher_is_ready(&run->publisher)) {
        set_phase(run, RAMPING);
    } else if (run_seconds_in_phase(run) > START_S_MAX) {
        die("Redis does not answer");
    }
}

static void step_ramp(struct run *run) {
    uint64_t due = (uint64_t)(run_seconds_in_phase(run) * run->load.options.ramp) + 1;
    while (run->opened < due && run->opened < run->load.client_count) {
        client_open(&run->load.clients[run->opened++]);
    }
    if (run->opened == run->load.client_count) {
        set_phase(run, STARTING);
    }
}

static void step_start(struct run *run) {
    struct load *load = &run->load;
    if (load->started == load->client_count) {
        set_phase(run, PUBLISHING);
        load->published_ns = run->phase_ns;
        run->kill_at_ns = run->phase_ns + load->options.kill_pubsub * UINT64_C(1000000000);
    } else if (run_seconds_in_phase(run) > START_S_MAX) {
        int status = 0;
        for (int i = 0; i < TRANSPORT_COUNT && status == 0; i++) {
            status = load->tallies[i].last_status;
        }
        die("only %" PRIu32 " of %" PRIu32 " clients have their start (a bad status: %d)",
            load->started, load->client_count, status);
    }
}

static void step_publish(struct run *run) {
    const struct options *options = &run->load.options;
    struct publisher *publisher = &run->publisher;
    bool is_endless = options->seconds == 0;
    uint64_t total = is_endless ? UINT64_MAX : (uint64_t)options->rate * options->seconds;
    double elapsed = run_seconds_in_phase(run);
    uint64_t due = (uint64_t)(elapsed * options->rate) + 1;
    if (due > total) {
        due = total;
    }
    if (publisher->next < due) {
        double late = elapsed - (double)publisher->next / options->rate;
        if (late * 1e9 > (double)run->late_ns_max) {
            run->late_ns_max = (uint64_t)(late * 1e9);
        }
    }
    publisher_plan(publisher, due);
    kill_pubsub_when_due(run);
    bool is_over = !is_endless && due == total && elapsed >= options->seconds;
    if (!run->is_stopping && !is_over) {
        return;
    }
    run->publish_seconds = elapsed;
    set_phase(run, DRAINING);
    run->drain_moved_ns = run->phase_ns;
}

// Who is on the way back may still get what it misses; so may who polls in a moment.
static bool is_quiet(struct run *run) {
    uint64_t now_ns = uv_hrtime();
    const struct publisher *publisher = &run->publisher;
    uint64_t moves = clients_received(&run->load) + publisher->answered;
    bool all_are_there = publisher->answered == publisher->planned &&
                         clients_connected(&run->load) == run->load.client_count;
    if (moves != run->drain_moves || !all_are_there) {
        run->drain_moves = moves;
        run->drain_moved_ns = now_ns;
    }
    return now_ns - run->drain_moved_ns >
           DRAIN_QUIET_S * UINT64_C(1000000000) +
               run->load.options.poll_interval_ms * UINT64_C(1000000);
}

static void step_drain(struct run *run) {
    struct publisher *publisher = &run->publisher;
    publisher_plan(publisher, publisher->planned); // what waits for a Redis that is away
    bool is_complete =
        publisher->answered == publisher->planned && clients_missing(&run->load) == 0;
    if (!is_complete && !is_quiet(run) && run_seconds_in_phase(run) < DRAIN_S_MAX) {
        return;
    }
    if (publisher->answered != publisher->planned) {
        die("%" PRIu64 " publishes were never answered", publisher->planned - publisher->answered);
    }
    set_phase(run, VERIFYING);
    publisher_read_heads(publisher);
}

static void step_verify(struct run *run) {
    if (run->publisher.stage == PUBLISHER_RESTS) {
        clients_judge(&run->load);
        set_phase(run, REPORTING);
        watch_tell(run);
    } else if (run_seconds_in_phase(run) > START_S_MAX) {
        die("Redis does not answer");
    }
}

static void close_all(struct run *run) {
    run->load.is_over = true;
    for (uint32_t i = 0; i < run->load.client_count; i++) {
        client_close(&run->load.clients[i]);
    }
    publisher_close(&run->publisher);
    if (run->load.options.tally_channel != NULL) {
        report_close(&run->report);
    }
    if (run->load.options.kill_pubsub != 0) {
        resp_close(&run->killer);
    }
    watch_close(run);
    uv_close((uv_handle_t *)&run->tick, NULL);
    uv_close((uv_handle_t *)&run->interrupt, NULL);
    uv_close((uv_handle_t *)&run->terminate, NULL);
}

static void step_report(struct run *run) {
    if (report_is_idle(&run->report) || run_seconds_in_phase(run) > REPORT_S_MAX) {
        set_phase(run, OVER);
        close_all(run);
    }
}

static void on_tick(uv_timer_t *timer) {
    static void (*const steps[])(struct run *) = {
        [OPENING] = step_open,       [RAMPING] = step_ramp,   [STARTING] = step_start,
        [PUBLISHING] = step_publish, [DRAINING] = step_drain, [VERIFYING] = step_verify,
        [REPORTING] = step_report,
    };
    struct run *run = timer->data;
    steps[run->phase](run); // never OVER: there the timer is closed
}

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    struct run *run = handle->data;
    if (run->is_stopping || run->phase < PUBLISHING) {
        die("stopped while %s", phase_names[run->phase]);
    }
    run->is_stopping = true;
    load_tell(&run->load, "stopping: a second signal ends it without a verdict");
}

// --- main -----------------------------------------------------------------------------------

static void make_world(struct load *load) {
    load->loop = uv_default_loop();
    load->client_count = options_clients(&load->options);
    if (load->client_count == 0) {
        die("no clients: see --help");
    }
    load->channels = calloc(load->options.channels, sizeof(*load->channels));
    load->clients = calloc(load->client_count, sizeof(*load->clients));
    if (load->channels == NULL || load->clients == NULL) {
        die("out of memory");
    }
    // New names for each run, so that every channel starts at its first version.
    for (uint32_t i = 0; i < load->options.channels; i++) {
        snprintf(load->channels[i].name, CHANNEL_NAME_MAX, "load-%d-%" PRIx64 "-%" PRIu32,
                 (int)getpid(), uv_hrtime() >> 20, i);
    }
    for (uint32_t i = 0; i < load->client_count; i++) {
        client_init(&load->clients[i], load, i);
    }
}

static void open_links(struct run *run) {
    struct load *load = &run->load;
    publisher_open(&run->publisher, load);
    if (load->options.tally_channel != NULL) {
        report_open(&run->report, load);
    }
    if (load->options.kill_pubsub != 0) {
        run->killer.owner = run;
        run->killer.on_reply = on_killer_reply;
        run->killer.does_redial = load->options.reconnects;
        resp_open(&run->killer, load->loop, (const struct sockaddr *)&load->options.redis);
    }
}

static void start_handles(struct run *run) {
    uv_loop_t *loop = run->load.loop;
    uv_timer_init(loop, &run->tick);
    uv_signal_init(loop, &run->interrupt);
    uv_signal_init(loop, &run->terminate);
    run->tick.data = run->interrupt.data = run->terminate.data = run;
    uv_timer_start(&run->tick, on_tick, TICK_MS, TICK_MS);
    uv_signal_start(&run->interrupt, on_signal, SIGINT);
    uv_signal_start(&run->terminate, on_signal, SIGTERM);
    signal(SIGPIPE, SIG_IGN); // a node that dies is no reason to die with it
}

int main(int argc, char **argv) {
    static struct run run; // zeroed; too large for the stack
    const struct options *options = &run.load.options;
    options_parse(&run.load.options, argc, argv);
    make_world(&run.load);
    set_phase(&run, OPENING);
    open_links(&run);
    start_handles(&run);
    watch_start(&run);
    uv_run(run.load.loop, UV_RUN_DEFAULT);

    struct run_summary summary = run_summarise(&run);
    summary_print_table(&summary, options->json ? stderr : stdout);
    if (options->json) {
        summary_print_json(&summary, stdout);
    }
    publisher_release(&run.publisher);
    report_release(&run.report);
    resp_release(&run.killer);
    free(run.load.channels);
    free(run.load.clients);
    return summary_is_clean(&summary) ? 0 : 1;
}
