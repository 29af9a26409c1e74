// A RESP connection by hand: see resp.h.
#include "tests/bench/resp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/options.h"

enum { DIAL_MS = 1000, REDIAL_MS = 250 };

static void dial(struct resp *resp);
static void on_timer(uv_timer_t *timer);

static void buffer_reserve(struct resp_buffer *buffer, size_t more) {
    size_t need = buffer->length + more;
    if (need <= buffer->capacity) {
        return;
    }
    size_t capacity = buffer->capacity == 0 ? 65536 : buffer->capacity;
    while (capacity < need) {
        capacity *= 2;
    }
    buffer->bytes = realloc(buffer->bytes, capacity);
    if (buffer->bytes == NULL) {
        die("out of memory");
    }
    buffer->capacity = capacity;
}

static void buffer_add(struct resp_buffer *buffer, const char *bytes, size_t length) {
    buffer_reserve(buffer, length);
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

struct resp_item resp_word(const char *text) {
    return (struct resp_item){.text = text, .length = strlen(text)};
}

void resp_command(struct resp *resp, size_t count, const struct resp_item *words) {
    char head[32];
    int length = snprintf(head, sizeof(head), "*%zu\r\n", count);
    buffer_add(&resp->out, head, (size_t)length);
    for (size_t i = 0; i < count; i++) {
        length = snprintf(head, sizeof(head), "$%zu\r\n", words[i].length);
        buffer_add(&resp->out, head, (size_t)length);
        buffer_add(&resp->out, words[i].text, words[i].length);
        buffer_add(&resp->out, "\r\n", 2);
    }
}

// --- a broken connection ---------------------------------------------------------------------

static void on_broken(uv_handle_t *handle) {
    struct resp *resp = handle->data;
    if (!resp->is_closed) {
        uv_timer_start(&resp->timer, on_timer, REDIAL_MS, 0);
    }
}

void resp_break(struct resp *resp, const char *why) {
    if (!resp->does_redial) {
        die("Redis: %s", why);
    }
    if (uv_is_closing((uv_handle_t *)&resp->tcp)) {
        return;
    }
    resp->is_connected = false;
    uv_timer_stop(&resp->timer);
    uv_close((uv_handle_t *)&resp->tcp, on_broken);
}

static void on_timer(uv_timer_t *timer) {
    struct resp *resp = timer->data;
    if (uv_is_closing((uv_handle_t *)&resp->tcp)) {
        dial(resp);
    } else {
        resp_break(resp, "cannot connect in time");
    }
}

// --- writing ---------------------------------------------------------------------------------

static void on_written(uv_write_t *write, int status) {
    struct resp *resp = write->data;
    if (status == UV_ECANCELED) {
        return;
    }
    if (status < 0) {
        resp_break(resp, uv_strerror(status));
        return;
    }
    resp->is_writing = false;
    resp_flush(resp);
}

void resp_flush(struct resp *resp) {
    if (!resp->is_connected || resp->is_writing || resp->out.length == 0) {
        return;
    }
    struct resp_buffer full = resp->out;
    resp->out = resp->flight;
    resp->out.length = 0;
    resp->flight = full;
    resp->is_writing = true;
    uv_buf_t buf = uv_buf_init(full.bytes, (unsigned)full.length);
    int error = uv_write(&resp->write, (uv_stream_t *)&resp->tcp, &buf, 1, on_written);
    if (error != 0) {
        resp_break(resp, uv_strerror(error));
    }
}

// --- reading ---------------------------------------------------------------------------------

// Reads the line at *at_r behind a type byte; false when it has not all come.
static bool take_line(const char **at_r, const char *end, struct resp_item *line_r) {
    const char *at = *at_r;
    const char *line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
    if (line_end == NULL) {
        return false;
    }
    *line_r = (struct resp_item){.text = at, .length = (size_t)(line_end - at)};
    *at_r = line_end + 2;
    return true;
}

static bool take_item(const char **at_r, const char *end, char *kind_r, struct resp_item *item_r) {
    if (*at_r == end) {
        return false;
    }
    *kind_r = *(*at_r)++;
    if (!take_line(at_r, end, item_r)) {
        return false;
    }
    if (*kind_r != '$') {
        return true;
    }
    long length = strtol(item_r->text, NULL, 10);
    *item_r = (struct resp_item){0};
    if (length < 0) {
        return true;
    }
    if (end - *at_r < length + 2) {
        return false;
    }
    *item_r = (struct resp_item){.text = *at_r, .length = (size_t)length};
    *at_r += length + 2;
    return true;
}

// Reads one reply: an item, or a flat array of few. Returns its bytes, 0 when more must come.
static size_t take_reply(const char *bytes, size_t length, struct resp_reply *reply_r) {
    const char *at = bytes;
    const char *end = bytes + length;
    *reply_r = (struct resp_reply){.item_count = 1};
    if (!take_item(&at, end, &reply_r->kind, &reply_r->items[0])) {
        return 0;
    }
    if (reply_r->kind != '*') {
        return (size_t)(at - bytes);
    }
    long count = strtol(reply_r->items[0].text, NULL, 10);
    if (count < 0 || count > RESP_ITEMS_MAX) {
        die("Redis answered with an array of %ld", count);
    }
    reply_r->item_count = (size_t)count;
    for (size_t i = 0; i < reply_r->item_count; i++) {
        char kind;
        if (!take_item(&at, end, &kind, &reply_r->items[i])) {
            return 0;
        }
    }
    return (size_t)(at - bytes);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    struct resp *resp = handle->data;
    buffer_reserve(&resp->in, 65536);
    *buf = uv_buf_init(resp->in.bytes + resp->in.length,
                       (unsigned)(resp->in.capacity - resp->in.length));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf) {
    (void)buf;
    struct resp *resp = stream->data;
    if (count < 0) {
        resp_break(resp, uv_strerror((int)count));
        return;
    }
    resp->in.length += (size_t)count;
    size_t done = 0;
    struct resp_reply reply;
    for (size_t taken;
         resp->is_connected &&
         (taken = take_reply(resp->in.bytes + done, resp->in.length - done, &reply)) != 0;
         done += taken) {
        resp->on_reply(resp, &reply);
    }
    resp->in.length -= done;
    if (done != 0 && resp->in.length != 0) {
        memmove(resp->in.bytes, resp->in.bytes + done, resp->in.length);
    }
}

// --- dialling --------------------------------------------------------------------------------

static void on_connect(uv_connect_t *request, int status) {
    struct resp *resp = request->data;
    if (status == UV_ECANCELED) {
        return;
    }
    if (status < 0) {
        resp_break(resp, uv_strerror(status));
        return;
    }
    uv_timer_stop(&resp->timer);
    resp->is_connected = true;
    uv_read_start((uv_stream_t *)&resp->tcp, on_alloc, on_read);
    if (resp->on_up != NULL) {
        resp->on_up(resp);
    }
    resp_flush(resp);
}

static void dial(struct resp *resp) {
    resp->in.length = resp->out.length = 0;
    resp->is_writing = false;
    uv_tcp_init(resp->loop, &resp->tcp);
    uv_tcp_nodelay(&resp->tcp, 1);
    int error = uv_tcp_connect(&resp->connect, &resp->tcp, resp->address, on_connect);
    if (error != 0) {
        resp_break(resp, uv_strerror(error));
    } else if (resp->does_redial) {
        uv_timer_start(&resp->timer, on_timer, DIAL_MS, 0);
    }
}

void resp_open(struct resp *resp, uv_loop_t *loop, const struct sockaddr *address) {
    resp->loop = loop;
    resp->address = address;
    resp->tcp.data = resp->connect.data = resp->write.data = resp->timer.data = resp;
    uv_timer_init(loop, &resp->timer);
    dial(resp);
}

void resp_close(struct resp *resp) {
    resp->is_closed = true;
    resp->is_connected = false;
    uv_close((uv_handle_t *)&resp->timer, NULL);
    if (!uv_is_closing((uv_handle_t *)&resp->tcp)) {
        uv_close((uv_handle_t *)&resp->tcp, NULL);
    }
}

void resp_release(struct resp *resp) {
    free(resp->in.bytes);
    free(resp->out.bytes);
    free(resp->flight.bytes);
}
