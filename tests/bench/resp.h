// A RESP connection of the load generator: commands pipelined, replies in order.
//
// One flush gathers what was added since the last; replies are borrowed slices that die with the
// callback. A connection that breaks ends the program, unless it is one that redials: then what
// was not answered is forgotten, and `on_up` tells its owner when to begin anew.
#ifndef FRESHET_TESTS_BENCH_RESP_H
#define FRESHET_TESTS_BENCH_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum { RESP_ITEMS_MAX = 4 };

struct resp_item {
    const char *text; // NULL: nil
    size_t length;
};

struct resp_reply {
    char kind;         // + - : $ or *
    size_t item_count; // 1 but for an array
    struct resp_item items[RESP_ITEMS_MAX];
};

struct resp_buffer {
    char *bytes;
    size_t length, capacity;
};

struct resp {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    uv_timer_t timer; // until a dial has failed, or until the next one
    uv_loop_t *loop;
    const struct sockaddr *address; // borrowed
    struct resp_buffer in;
    struct resp_buffer out;    // being filled
    struct resp_buffer flight; // being written
    bool is_connected, is_writing, is_closed;
    bool does_redial;
    void *owner;                      // borrowed
    void (*on_up)(struct resp *resp); // connected, and nothing is under way; may be NULL
    void (*on_reply)(struct resp *resp, const struct resp_reply *reply);
};

void resp_open(struct resp *resp, uv_loop_t *loop, const struct sockaddr *address);
void resp_close(struct resp *resp);
void resp_release(struct resp *resp); // its buffers, when the loop has ended

// Gives the connection up, as if it had broken; may be called from on_reply.
void resp_break(struct resp *resp, const char *why);

// Adds one command; resp_flush sends what was added.
void resp_command(struct resp *resp, size_t count, const struct resp_item *words);
void resp_flush(struct resp *resp);

struct resp_item resp_word(const char *text);

#endif
