// The view of a run: see view.h.
//
// A frame is made whole, then written at once over the one before it: each line clears what is
// left of the old one, so nothing flickers.
#include "tests/bench/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NUMBER_MAX = 32, NOTE_COLUMNS = 68 };

static const char bold[] = "\033[1m", red[] = "\033[31m", green[] = "\033[32m", plain[] = "\033[0m";
static const char end_of_line[] = "\033[K\n";

// A frame in the making.
struct frame {
    FILE *out;
    const struct view *view;
    int lines;
};

static void end_line(struct frame *frame) {
    fputs(frame->view->mode == VIEW_LIVE ? end_of_line : "\n", frame->out);
    frame->lines++;
}

static void set_color(const struct frame *frame, const char *color) {
    if (frame->view->has_color) {
        fputs(color, frame->out);
    }
}

// 1234567 as 1,234,567.
static const char *grouped(uint64_t value, char text_r[NUMBER_MAX]) {
    char digits[NUMBER_MAX];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, value);
    char *at = text_r;
    for (int i = 0; i < length; i++) {
        if (i != 0 && (length - i) % 3 == 0) {
            *at++ = ',';
        }
        *at++ = digits[i];
    }
    *at = '\0';
    return text_r;
}

// What must stay 0.
static void print_fault(const struct frame *frame, int width, uint64_t value) {
    char number[NUMBER_MAX];
    set_color(frame, value == 0 ? green : red);
    fprintf(frame->out, "%*s", width, grouped(value, number));
    set_color(frame, plain);
}

static void print_head(struct frame *frame, const struct snapshot *snapshot) {
    char published[NUMBER_MAX];
    bool is_clean = snapshot->verdict != NULL && strcmp(snapshot->verdict, "CLEAN") == 0;
    fprintf(frame->out, "second %" PRIu32, snapshot->second);
    if (snapshot->seconds != 0) {
        fprintf(frame->out, " of %" PRIu32, snapshot->seconds);
    }
    fprintf(frame->out, "   %" PRIu32 " messages/s", snapshot->rate);
    fprintf(frame->out, "   published %s   ", grouped(snapshot->published, published));
    if (snapshot->verdict != NULL) {
        set_color(frame, is_clean ? green : red);
    }
    fputs(snapshot->verdict != NULL ? snapshot->verdict : snapshot->phase, frame->out);
    set_color(frame, plain);
    end_line(frame);
    end_line(frame);
    set_color(frame, bold);
    fprintf(frame->out, "%-9s%12s%11s%7s%7s%7s%11s%7s%9s", "", "clients", "delivered", "lost",
            "double", "resets", "reconnects", "other", "p99 ms");
    set_color(frame, plain);
    end_line(frame);
}

static void print_row(struct frame *frame, const struct snapshot_row *row) {
    char number[NUMBER_MAX], clients[NUMBER_MAX];
    snprintf(clients, sizeof(clients), "%" PRIu32 "/%" PRIu32, row->connected, row->clients);
    fprintf(frame->out, "%-9s%12s%11s", row->name, clients, grouped(row->delivered, number));
    print_fault(frame, 7, row->lost);
    print_fault(frame, 7, row->doubled);
    print_fault(frame, 7, row->resets);
    fprintf(frame->out, "%11s", grouped(row->reconnects, number));
    print_fault(frame, 7, row->other);
    fprintf(frame->out, "%9.1f", row->p99_ms);
    end_line(frame);
}

static void print_notes(struct frame *frame, const struct notes *notes) {
    if (notes_kept(notes) == 0) {
        return;
    }
    end_line(frame);
    for (size_t i = 0; i < notes_kept(notes); i++) {
        const struct note *note = notes_at(notes, i);
        fprintf(frame->out, "%5" PRIu32 " s  %.*s", note->second, NOTE_COLUMNS, note->text);
        end_line(frame);
    }
}

void view_init(struct view *view, enum view_mode mode) {
    bool is_terminal = isatty(STDERR_FILENO) == 1;
    const char *no_color = getenv("NO_COLOR");
    view->mode = mode == VIEW_LIVE && !is_terminal ? VIEW_LINES : mode;
    view->has_color = is_terminal && (no_color == NULL || *no_color == '\0');
    view->lines = 0;
}

void view_draw(struct view *view, const struct snapshot *snapshot) {
    char *text = NULL;
    size_t length = 0;
    struct frame frame = {.out = open_memstream(&text, &length), .view = view};
    if (frame.out == NULL) {
        die("out of memory");
    }
    if (view->mode == VIEW_LIVE && view->lines != 0) {
        fprintf(frame.out, "\033[%dA", view->lines);
    }
    print_head(&frame, snapshot);
    for (size_t i = 0; i < snapshot->row_count; i++) {
        print_row(&frame, &snapshot->rows[i]);
    }
    print_notes(&frame, snapshot->notes);
    if (view->mode == VIEW_LINES) {
        end_line(&frame);
    }
    view->lines = frame.lines;
    if (fclose(frame.out) != 0) {
        die("out of memory");
    }
    fwrite(text, 1, length, stderr); // unbuffered: one write
    free(text);
}
