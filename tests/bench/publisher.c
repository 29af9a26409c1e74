// A RESP connection by hand: see publisher.h.
#include "tests/bench/publisher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/load.h"

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

static void on_written(uv_write_t *write, int status) {
    struct resp *resp = write->data;
    if (status == UV_ECANCELED) {
        return;
    }
    if (status < 0) {
        die("writing to Redis: %s", uv_strerror(status));
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
        die("writing to Redis: %s", uv_strerror(error));
    }
}

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
        die("Redis closed the connection: %s", uv_strerror((int)count));
    }
    resp->in.length += (size_t)count;
    size_t done = 0;
    struct resp_reply reply;
    for (size_t taken;
         (taken = take_reply(resp->in.bytes + done, resp->in.length - done, &reply)) != 0;
         done += taken) {
        resp->on_reply(resp, &reply);
    }
    resp->in.length -= done;
    if (done != 0 && resp->in.length != 0) {
        memmove(resp->in.bytes, resp->in.bytes + done, resp->in.length);
    }
}

static void on_connect(uv_connect_t *request, int status) {
    struct resp *resp = request->data;
    if (status == UV_ECANCELED) {
        return;
    }
    if (status < 0) {
        die("cannot connect to Redis: %s", uv_strerror(status));
    }
    resp->is_connected = true;
    uv_read_start((uv_stream_t *)&resp->tcp, on_alloc, on_read);
    resp_flush(resp);
}

void resp_open(struct resp *resp, uv_loop_t *loop, const struct sockaddr *address) {
    uv_tcp_init(loop, &resp->tcp);
    uv_tcp_nodelay(&resp->tcp, 1);
    resp->tcp.data = resp;
    resp->connect.data = resp;
    resp->write.data = resp;
    int error = uv_tcp_connect(&resp->connect, &resp->tcp, address, on_connect);
    if (error != 0) {
        die("cannot dial Redis: %s", uv_strerror(error));
    }
}

static void on_closed(uv_handle_t *handle) {
    struct resp *resp = handle->data;
    free(resp->in.bytes);
    free(resp->out.bytes);
    free(resp->flight.bytes);
}

void resp_close(struct resp *resp) {
    uv_close((uv_handle_t *)&resp->tcp, on_closed);
}
