// The run as messages: see report.h.
#include "tests/bench/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/load.h"
#include "tests/bench/publisher.h"

enum { UNDER_WAY_MAX = 10 };

static void print_rows(FILE *out, const struct snapshot *snapshot) {
    for (size_t i = 0; i < snapshot->row_count; i++) {
        const struct snapshot_row *row = &snapshot->rows[i];
        fprintf(out, "%s{\"name\":\"%s\",\"clients\":%" PRIu32 ",\"connected\":%" PRIu32,
                i == 0 ? "" : ",", row->name, row->clients, row->connected);
        fprintf(out, ",\"delivered\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"double\":%" PRIu64,
                row->delivered, row->lost, row->doubled);
        fprintf(out, ",\"resets\":%" PRIu64 ",\"reconnects\":%" PRIu64 ",\"other\":%" PRIu64,
                row->resets, row->reconnects, row->other);
        fprintf(out, ",\"p99_ms\":%.1f}", row->p99_ms);
    }
}

// Notes are printable ASCII, so these two are all that JSON wants escaped.
static void print_text(FILE *out, const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', out);
        }
        fputc(*text, out);
    }
}

static void print_notes(FILE *out, const struct notes *notes) {
    for (size_t i = 0; i < notes_kept(notes); i++) {
        const struct note *note = notes_at(notes, i);
        fprintf(out, "%s{\"second\":%" PRIu32 ",\"text\":\"", i == 0 ? "" : ",", note->second);
        print_text(out, note->text);
        fputs("\"}", out);
    }
}

static void print_snapshot(FILE *out, const struct snapshot *snapshot) {
    fprintf(out, "{\"second\":%" PRIu32 ",\"seconds\":%" PRIu32, snapshot->second,
            snapshot->seconds);
    fprintf(out, ",\"phase\":\"%s\",\"rate\":%" PRIu32 ",\"published\":%" PRIu64, snapshot->phase,
            snapshot->rate, snapshot->published);
    fputs(",\"transports\":[", out);
    print_rows(out, snapshot);
    fputs("],\"notes\":[", out);
    print_notes(out, snapshot->notes);
    if (snapshot->verdict == NULL) {
        fputs("],\"verdict\":null}", out);
    } else {
        fprintf(out, "],\"verdict\":\"%s\"}", snapshot->verdict);
    }
}

static void on_up(struct resp *resp) {
    struct report *report = resp->owner;
    report->under_way = 0;
}

static void on_reply(struct resp *resp, const struct resp_reply *reply) {
    struct report *report = resp->owner;
    report->under_way--;
    if (reply->kind == '-' && !report->is_refused) {
        report->is_refused = true;
        load_tell(report->load, "tally refused: %.*s", (int)reply->items[0].length,
                  reply->items[0].text);
    }
}

void report_open(struct report *report, struct load *load) {
    report->load = load;
    report->link.owner = report;
    report->link.on_up = on_up;
    report->link.on_reply = on_reply;
    report->link.does_redial = load->options.reconnects;
    resp_open(&report->link, load->loop, (const struct sockaddr *)&load->options.redis);
}

void report_close(struct report *report) {
    resp_close(&report->link);
}

void report_release(struct report *report) {
    resp_release(&report->link);
}

void report_send(struct report *report, const struct snapshot *snapshot) {
    if (!report->link.is_connected || report->under_way >= UNDER_WAY_MAX) {
        return;
    }
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL) {
        die("out of memory");
    }
    print_snapshot(out, snapshot);
    if (fclose(out) != 0) {
        die("out of memory");
    }
    struct keys keys;
    keys_of(&keys, report->load->options.prefix, report->load->options.tally_channel);
    struct resp_item words[] = {
        resp_word("FCALL"),   resp_word("freshet_publish"), resp_word("2"),
        resp_word(keys.hash), resp_word(keys.log),          {.text = text, .length = length},
        resp_word("EVENT"),   resp_word("tally"),           resp_word("HISTORY"),
        resp_word("60"),
    };
    resp_command(&report->link, sizeof(words) / sizeof(words[0]), words);
    resp_flush(&report->link);
    report->under_way++;
    free(text);
}

bool report_is_idle(const struct report *report) {
    return report->under_way == 0;
}
