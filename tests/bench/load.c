// freshet-load: thousands of SSE, long-poll and WebSocket clients, and the publisher that knows what each
// of them must have seen.
//
//   OPENING --on_open_reply--> RAMPING --step_ramp--> STARTING --step_start--> PUBLISHING
//   PUBLISHING --step_publish--> DRAINING --step_drain--> VERIFYING --on_head_reply--> OVER
//
// Exit 0: every message once, in order, to everybody, and nobody cut off. 1: not so. 2: the run
// could not be made. It shares the machine with the node, so it says what it used itself.
#include "tests/bench/load.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/bench/publisher.h"

enum {
    TICK_MS = 1,
    PROGRESS_MS = 5000,
    START_S_MAX = 60,  // for the last client to have its start, after the ramp
    DRAIN_QUIET_S = 5, // nothing came for so long: what is missing is lost
    DRAIN_S_MAX = 60,
};

enum phase { OPENING, RAMPING, STARTING, PUBLISHING, DRAINING, VERIFYING, OVER };
static const char *const phase_names[] = {"opening",  "ramping",   "starting", "publishing",
                                          "draining", "verifying", "over"};

struct run {
    struct load load;
    enum phase phase;
    uint64_t phase_ns; // when it began
    struct resp publisher;
    struct resp killer;
    uint64_t replies; // in this phase: the k-th belongs to the k-th command
    uint64_t opened;  // clients dialled
    uint64_t sent, answered, publish_errors, heads_wrong, killed;
    uint64_t late_ns_max;
    uint64_t kill_at_ns;
    uint64_t drain_received, drain_moved_ns;
    double publish_seconds;
    char payload[PAYLOAD_PAD_MAX + 64];
    uv_timer_t tick;
    uv_timer_t progress;
};

static void set_phase(struct run *run, enum phase phase) {
    run->phase = phase;
    run->phase_ns = uv_hrtime();
    run->replies = 0;
}

static double seconds_in_phase(const struct run *run) {
    return (double)(uv_hrtime() - run->phase_ns) / 1e9;
}

// --- talking to Redis -----------------------------------------------------------------------

// freshet:{CH} and freshet:{CH}:log behind a function's name, or behind nothing.
struct keys {
    char hash[CHANNEL_NAME_MAX + 64];
    char log[CHANNEL_NAME_MAX + 64];
};

static void keys_of(const struct run *run, const struct channel *channel, struct keys *keys_r) {
    const char *prefix = run->load.options.prefix;
    snprintf(keys_r->hash, sizeof(keys_r->hash), "%s:{%s}", prefix, channel->name);
    snprintf(keys_r->log, sizeof(keys_r->log), "%s:{%s}:log", prefix, channel->name);
}

// A node opens at most 200 new channels a second; opened here, they cost the ramp nothing.
static void send_opens(struct run *run) {
    for (uint32_t i = 0; i < run->load.options.channels; i++) {
        struct keys keys;
        keys_of(run, &run->load.channels[i], &keys);
        struct resp_item words[] = {resp_word("FCALL"), resp_word("freshet_open"), resp_word("2"),
                                    resp_word(keys.hash), resp_word(keys.log)};
        resp_command(&run->publisher, 5, words);
    }
    resp_flush(&run->publisher);
}

static bool item_position(const struct resp_reply *reply, struct position *position_r) {
    const struct resp_item *item = &reply->items[0];
    if (reply->kind != '$' && reply->kind != '+') {
        return false;
    }
    return item->text != NULL &&
           position_parse(item->text, item->text + item->length, position_r) == item->length;
}

static void on_open_reply(struct run *run, const struct resp_reply *reply) {
    struct channel *channel = &run->load.channels[run->replies++];
    if (!item_position(reply, &channel->last)) {
        die("Redis refuses freshet_open, is a node running on it? %.*s",
            (int)reply->items[0].length, reply->items[0].text);
    }
    if (run->replies == run->load.options.channels) {
        set_phase(run, RAMPING);
    }
}

static void send_publish(struct run *run) {
    struct channel *channel = &run->load.channels[run->sent % run->load.options.channels];
    struct keys keys;
    keys_of(run, channel, &keys);
    channel->sent++;
    run->sent++;
    int length = snprintf(run->payload, sizeof(run->payload),
                          "{\"n\":%" PRIu64 ",\"t\":%" PRIu64 ",\"pad\":\"%0*d\"}", channel->sent,
                          uv_hrtime(), (int)run->load.options.size, 0);
    struct resp_item words[] = {
        resp_word("FCALL"),  resp_word("freshet_publish"),
        resp_word("2"),      resp_word(keys.hash),
        resp_word(keys.log), {.text = run->payload, .length = (size_t)length},
    };
    resp_command(&run->publisher, 6, words);
}

static void on_publish_reply(struct run *run, const struct resp_reply *reply) {
    struct channel *channel = &run->load.channels[run->replies++ % run->load.options.channels];
    struct position position;
    run->answered++;
    if (!item_position(reply, &position)) {
        if (run->publish_errors++ == 0) {
            fprintf(stderr, "publish refused: %.*s\n", (int)reply->items[0].length,
                    reply->items[0].text);
        }
        return;
    }
    if (!position_follows(channel->last, position)) {
        run->publish_errors++;
    }
    channel->last = position;
    channel->answered++;
}

static void send_head_reads(struct run *run) {
    for (uint32_t i = 0; i < run->load.options.channels; i++) {
        struct keys keys;
        keys_of(run, &run->load.channels[i], &keys);
        struct resp_item words[] = {resp_word("HMGET"), resp_word(keys.hash), resp_word("epoch"),
                                    resp_word("version")};
        resp_command(&run->publisher, 4, words);
    }
    resp_flush(&run->publisher);
}

static uint64_t item_number(const struct resp_item *item) {
    return item->text == NULL ? 0 : strtoull(item->text, NULL, 10);
}

// The heads Redis holds now are the truth that the clients are measured by.
static void on_head_reply(struct run *run, const struct resp_reply *reply) {
    struct channel *channel = &run->load.channels[run->replies++];
    struct position head = {0, 0};
    if (reply->kind == '*' && reply->item_count == 2) {
        head.epoch = item_number(&reply->items[0]);
        head.version = item_number(&reply->items[1]);
    }
    if (head.epoch != channel->last.epoch || head.version != channel->last.version) {
        run->heads_wrong++;
        channel->last = head;
    }
    if (run->replies == run->load.options.channels) {
        set_phase(run, OVER);
    }
}

static void on_publisher_reply(struct resp *resp, const struct resp_reply *reply) {
    struct run *run = resp->owner;
    if (run->phase == OPENING) {
        on_open_reply(run, reply);
    } else if (run->phase == VERIFYING) {
        on_head_reply(run, reply);
    } else {
        on_publish_reply(run, reply);
    }
}

static void on_killer_reply(struct resp *resp, const struct resp_reply *reply) {
    struct run *run = resp->owner;
    if (reply->kind == ':') {
        run->killed += item_number(&reply->items[0]);
    }
}

static void kill_pubsub_when_due(struct run *run) {
    uint64_t every_ns = run->load.options.kill_pubsub * UINT64_C(1000000000);
    uint64_t now_ns = uv_hrtime();
    if (every_ns == 0 || now_ns < run->kill_at_ns) {
        return;
    }
    run->kill_at_ns = now_ns + every_ns;
    struct resp_item words[] = {resp_word("CLIENT"), resp_word("KILL"), resp_word("TYPE"),
                                resp_word("pubsub")};
    resp_command(&run->killer, 4, words);
    resp_flush(&run->killer);
}

// --- phases ---------------------------------------------------------------------------------

static void step_ramp(struct run *run) {
    uint64_t due = (uint64_t)(seconds_in_phase(run) * run->load.options.ramp) + 1;
    while (run->opened < due && run->opened < run->load.client_count) {
        client_open(&run->load.clients[run->opened++]);
    }
    if (run->opened == run->load.client_count) {
        set_phase(run, STARTING);
    }
}

static void step_start(struct run *run) {
    const struct load *load = &run->load;
    if (load->started == load->client_count) {
        set_phase(run, PUBLISHING);
        run->kill_at_ns = run->phase_ns + load->options.kill_pubsub * UINT64_C(1000000000);
    } else if (seconds_in_phase(run) > START_S_MAX) {
        die("only %" PRIu32 " of %" PRIu32 " clients have their start (last statuses: %d, %d, %d)",
            load->started, load->client_count, load->tallies[TRANSPORT_SSE].last_status,
            load->tallies[TRANSPORT_LONG_POLL].last_status,
            load->tallies[TRANSPORT_WS].last_status);
    }
}

static void step_publish(struct run *run) {
    const struct options *options = &run->load.options;
    uint64_t total = (uint64_t)options->rate * options->seconds;
    double elapsed = seconds_in_phase(run);
    uint64_t due = (uint64_t)(elapsed * options->rate) + 1;
    if (due > total) {
        due = total;
    }
    if (run->sent < due) {
        double late = elapsed - (double)run->sent / options->rate;
        if (late * 1e9 > (double)run->late_ns_max) {
            run->late_ns_max = (uint64_t)(late * 1e9);
        }
    }
    while (run->sent < due) {
        send_publish(run);
    }
    resp_flush(&run->publisher);
    kill_pubsub_when_due(run);
    if (run->sent < total || elapsed < options->seconds) {
        return;
    }
    run->publish_seconds = elapsed;
    run->drain_moved_ns = uv_hrtime();
    run->phase = DRAINING; // replies of publishes are still coming: their count goes on
    run->phase_ns = run->drain_moved_ns;
}

static void step_drain(struct run *run) {
    uint64_t now_ns = uv_hrtime();
    uint64_t moved = clients_received(&run->load) + run->answered;
    if (moved != run->drain_received) {
        run->drain_received = moved;
        run->drain_moved_ns = now_ns;
    }
    bool is_quiet = now_ns - run->drain_moved_ns > DRAIN_QUIET_S * UINT64_C(1000000000);
    bool is_complete = run->answered == run->sent && clients_missing(&run->load) == 0;
    if (!is_complete && !is_quiet && seconds_in_phase(run) < DRAIN_S_MAX) {
        return;
    }
    if (run->answered != run->sent) {
        die("%" PRIu64 " publishes were never answered", run->sent - run->answered);
    }
    set_phase(run, VERIFYING);
    send_head_reads(run);
}

static void close_all(struct run *run) {
    run->load.is_over = true;
    for (uint32_t i = 0; i < run->load.client_count; i++) {
        client_close(&run->load.clients[i]);
    }
    resp_close(&run->publisher);
    if (run->load.options.kill_pubsub != 0) {
        resp_close(&run->killer);
    }
    uv_close((uv_handle_t *)&run->tick, NULL);
    uv_close((uv_handle_t *)&run->progress, NULL);
}

static void on_tick(uv_timer_t *timer) {
    struct run *run = timer->data;
    client_retry_due(&run->load, uv_hrtime());
    switch (run->phase) {
    case OPENING:
    case VERIFYING:
        if (seconds_in_phase(run) > START_S_MAX) {
            die("Redis does not answer");
        }
        break;
    case RAMPING:
        step_ramp(run);
        break;
    case STARTING:
        step_start(run);
        break;
    case PUBLISHING:
        step_publish(run);
        break;
    case DRAINING:
        step_drain(run);
        break;
    case OVER:
        clients_judge(&run->load);
        close_all(run);
        break;
    }
}

static void on_progress(uv_timer_t *timer) {
    const struct run *run = timer->data;
    const struct load *load = &run->load;
    uint64_t doubled = 0, resets = 0, disconnects = 0;
    char p99[TRANSPORT_COUNT * 32];
    size_t p99_bytes = 0;
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        const struct tally *tally = &load->tallies[i];
        doubled += tally->doubled;
        resets += tally->resets;
        disconnects += tally->disconnects;
        p99_bytes +=
            (size_t)snprintf(p99 + p99_bytes, 32, "%s%.1f", i == 0 ? "" : " / ",
                             (double)histogram_percentile_us(&tally->latency, 99) / 1000.0);
    }
    fprintf(stderr,
            "%-10s %4.0f s  connected %" PRIu32 " started %" PRIu32 "  published %" PRIu64
            " (unanswered %" PRIu64 ")  received %" PRIu64 "  doubled %" PRIu64 " resets %" PRIu64
            " disconnects %" PRIu64 "  p99 %s ms\n",
            phase_names[run->phase], seconds_in_phase(run), load->connected, load->started,
            run->sent, run->sent - run->answered, clients_received(load), doubled, resets,
            disconnects, p99);
}

// --- main -----------------------------------------------------------------------------------

static void make_world(struct run *run) {
    struct load *load = &run->load;
    load->loop = uv_default_loop();
    load->client_count = options_clients(&load->options);
    if (load->client_count == 0) {
        die("no clients: see --sse, --long-poll and --ws");
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

static struct run_summary summarise(const struct run *run) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    struct run_summary summary = {
        .seconds = run->publish_seconds,
        .published = run->sent,
        .publish_errors = run->publish_errors,
        .heads_wrong = run->heads_wrong,
        .pubsub_killed = run->killed,
        .publish_late_ms = (double)run->late_ns_max / 1e6,
        .cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
        .tallies = run->load.tallies,
    };
    memcpy(summary.clients, run->load.options.clients, sizeof(summary.clients));
    return summary;
}

int main(int argc, char **argv) {
    static struct run run; // zeroed; too large for the stack
    struct options *options = &run.load.options;
    options_parse(options, argc, argv);
    make_world(&run);

    uv_loop_t *loop = run.load.loop;
    run.publisher.owner = run.killer.owner = &run;
    run.publisher.on_reply = on_publisher_reply;
    run.killer.on_reply = on_killer_reply;
    resp_open(&run.publisher, loop, (const struct sockaddr *)&options->redis);
    if (options->kill_pubsub != 0) {
        resp_open(&run.killer, loop, (const struct sockaddr *)&options->redis);
    }
    set_phase(&run, OPENING);
    send_opens(&run);
    uv_timer_init(loop, &run.tick);
    uv_timer_init(loop, &run.progress);
    run.tick.data = run.progress.data = &run;
    uv_timer_start(&run.tick, on_tick, TICK_MS, TICK_MS);
    uv_timer_start(&run.progress, on_progress, PROGRESS_MS, PROGRESS_MS);
    uv_run(loop, UV_RUN_DEFAULT);

    struct run_summary summary = summarise(&run);
    summary_print_table(&summary, options->json ? stderr : stdout);
    if (options->json) {
        summary_print_json(&summary, stdout);
    }
    free(run.load.channels);
    free(run.load.clients);
    return summary_is_clean(&summary) ? 0 : 1;
}
