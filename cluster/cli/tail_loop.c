// See tail_loop.h.
#include "cluster/cli/tail_loop.h"

#include "cluster/base/backoff.h"
#include "cluster/base/clock.h"
#include "cluster/cli/interrupt.h"
#include "cluster/cli/library.h"
#include "cluster/cli/master.h"
#include "cluster/envelope.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SWEEP_MS = 10000,    // a silent loss is found that late, and a deaf link
    REOPEN_MS = 1200000, // a quiet channel's counter is kept alive (CONTRACT.md, section 2)
    SWEEP_CHANNELS = 64, // asked at once
};

static bool is_full(const struct tail *tail) {
    return tail->is_limited && tail->left == 0;
}

static bool is_over(const struct tail *tail) {
    return interrupt_came() || is_full(tail);
}

// Also after an interrupt: the cursor is behind this message already.

static bool on_message(void *owner, const struct follower *follower, struct message *message) {
    struct tail *tail = owner;
    if (is_full(tail)) {
        return false;
    }
    tail_print_message(&tail->printer, follower->channel, message);
    tail->left -= tail->is_limited;
    return !is_over(tail);
}

static void on_reset(void *owner, const struct follower *follower, const struct reset *reset) {
    struct tail *tail = owner;
    if (!is_full(tail)) {
        tail_print_reset(&tail->printer, follower->channel, reset);
    }
}

// ---- What is heard -------------------------------------------------------------------------------

static struct message *decode(const redisReply *push) {
    enum envelope_refusal refusal;
    bool was_demoted;
    return envelope_decode(resp_text(push->element[2]), clock_wall_ms(), &refusal, &was_demoted);
}

static enum follow_result on_push(struct tail *tail, const redisReply *push) {
    struct follower *follower = map_get(&tail->by_now, resp_text(push->element[1]));
    struct message *message = follower != NULL ? decode(push) : NULL;
    if (message == NULL) {
        return FOLLOW_GOOD; // what nodes drop and count, too
    }
    enum follow_result result = FOLLOW_GOOD;
    // Until a channel is placed, a read will find what its log keeps.
    if (follower->is_placed || message_is_ephemeral(message)) {
        result = follow_hear(follower, message, &tail->events);
    }
    message_unref(&message);
    if (result == FOLLOW_BEHIND) {
        result = follow_read(follower, &tail->command, &tail->events, tail->why);
    }
    return result;
}

// Any reply of the pub/sub link; counts acknowledgements.
static enum follow_result on_reply(struct tail *tail, const redisReply *reply, size_t *acks) {
    enum resp_verb verb;
    switch (resp_push_of(reply, &verb)) {
    case PUSH_MESSAGE:
        return on_push(tail, reply);
    case PUSH_ACKNOWLEDGEMENT:
        (*acks)++;
        return FOLLOW_GOOD;
    case PUSH_NONE:
        break;
    }
    if (reply_is_error(reply) && !tail->awaits_pong) { // to SUBSCRIBE; any answer is a pong
        snprintf(tail->why, sizeof(tail->why), "%.*s", SLICE_ARGS(resp_text(reply)));
        return FOLLOW_REFUSED;
    }
    tail->awaits_pong = false;
    return FOLLOW_GOOD;
}

static enum follow_result hear_all(struct tail *tail) {
    size_t acks = 0;
    if (client_fill(&tail->pubsub) < 0) {
        return FOLLOW_LOST;
    }
    for (;;) {
        redisReply *reply;
        if (client_take(&tail->pubsub, &reply) < 0) {
            return FOLLOW_LOST;
        }
        if (reply == NULL || is_over(tail)) {
            reply_free(&reply);
            return FOLLOW_GOOD;
        }
        enum follow_result result = on_reply(tail, reply, &acks);
        reply_free(&reply);
        if (result == FOLLOW_LOST || result == FOLLOW_REFUSED) {
            return result;
        }
    }
}

// ---- Reads ---------------------------------------------------------------------------------------

// Compares every channel with Redis, many at once, and reads on where there is more.
static enum follow_result sweep(struct tail *tail) {
    for (size_t from = 0; from < tail->count && !is_over(tail); from += SWEEP_CHANNELS) {
        size_t count = tail->count - from < SWEEP_CHANNELS ? tail->count - from : SWEEP_CHANNELS;
        struct follower *batch = tail->followers + from;
        enum follow_result results[SWEEP_CHANNELS];
        for (size_t i = 0; i < count; i++) {
            follow_send(&batch[i], &tail->command);
        }
        for (size_t i = 0; i < count; i++) {
            results[i] = follow_take(&batch[i], &tail->command, &tail->events, tail->why);
            if (results[i] == FOLLOW_LOST || results[i] == FOLLOW_REFUSED) {
                return results[i];
            }
        }
        for (size_t i = 0; i < count && !is_over(tail); i++) {
            if (results[i] == FOLLOW_BEHIND) {
                results[i] = follow_read(&batch[i], &tail->command, &tail->events, tail->why);
            }
            if (results[i] != FOLLOW_GOOD && !is_over(tail)) {
                return results[i];
            }
        }
    }
    return FOLLOW_GOOD;
}

// Whether it may or not: a quiet channel lives an hour without it.
static enum follow_result reopen(struct tail *tail) {
    for (size_t i = 0; i < tail->count; i++) {
        const struct keys *keys = &tail->followers[i].keys;
        redisReply *reply;
        if (library_call(
                &tail->command,
                WORDS(SLICE("FCALL"), SLICE("freshet_open"), SLICE("2"), keys->hash, keys->log),
                &reply) < 0) {
            return FOLLOW_LOST;
        }
        reply_free(&reply);
    }
    return FOLLOW_GOOD;
}

static enum follow_result on_time(struct tail *tail, uint64_t now_ms) {
    if (now_ms >= tail->reopen_at_ms) {
        tail->reopen_at_ms = now_ms + REOPEN_MS;
        enum follow_result result = reopen(tail);
        if (result != FOLLOW_GOOD) {
            return result;
        }
    }
    if (now_ms < tail->sweep_at_ms) {
        return FOLLOW_GOOD;
    }
    tail->sweep_at_ms = now_ms + SWEEP_MS;
    if (tail->awaits_pong) {
        snprintf(tail->pubsub.trouble, sizeof(tail->pubsub.trouble), "it does not answer");
        return FOLLOW_LOST;
    }
    client_send(&tail->pubsub, WORDS(SLICE("PING")));
    if (client_flush(&tail->pubsub) < 0) {
        return FOLLOW_LOST;
    }
    tail->awaits_pong = true;
    return sweep(tail);
}

// ---- Connections ---------------------------------------------------------------------------------

static void disconnect(struct tail *tail) {
    client_close(&tail->pubsub);
    client_close(&tail->command);
}

static int connect_both(struct tail *tail) {
    int error = master_open(&tail->pubsub, &tail->tool->topology);
    if (error == 0) {
        error = master_open(&tail->command, &tail->tool->topology);
        if (error < 0) {
            memcpy(tail->pubsub.trouble, tail->command.trouble, CLIENT_TROUBLE_MAX);
            client_close(&tail->pubsub);
        }
    }
    return error;
}

static enum follow_result subscribe(struct tail *tail) {
    for (size_t i = 0; i < tail->count; i++) {
        client_send(&tail->pubsub, WORDS(SLICE("SUBSCRIBE"), tail->followers[i].keys.now));
    }
    size_t acks = 0;
    while (acks < tail->count) {
        redisReply *reply;
        if (client_receive(&tail->pubsub, &reply) < 0) {
            return FOLLOW_LOST;
        }
        enum follow_result result = on_reply(tail, reply, &acks);
        reply_free(&reply);
        if (result == FOLLOW_LOST || result == FOLLOW_REFUSED) {
            return result;
        }
    }
    return FOLLOW_GOOD;
}

static enum follow_result begin(struct tail *tail) {
    tail->awaits_pong = false;
    tail->sweep_at_ms = clock_mono_ms() + SWEEP_MS;
    tail->reopen_at_ms = clock_mono_ms() + REOPEN_MS;
    enum follow_result result = subscribe(tail);
    for (size_t i = 0; i < tail->count && result == FOLLOW_GOOD; i++) {
        result = follow_place(&tail->followers[i], &tail->command, tail->why);
    }
    return result == FOLLOW_GOOD ? sweep(tail) : result;
}

// Until a connection breaks, or it is over. Whoever reads our output may leave before we write.
static enum follow_result follow_live(struct tail *tail) {
    enum follow_result result = begin(tail);
    while (result == FOLLOW_GOOD && !is_over(tail)) {
        tail_printer_flush(&tail->printer);
        uint64_t now_ms = clock_mono_ms();
        uint64_t next_ms =
            tail->sweep_at_ms < tail->reopen_at_ms ? tail->sweep_at_ms : tail->reopen_at_ms;
        struct pollfd wanted[] = {{.fd = client_fd(&tail->pubsub), .events = POLLIN},
                                  {.fd = interrupt_fd(), .events = POLLIN},
                                  {.fd = STDOUT_FILENO}};
        int ready = poll(wanted, 3, next_ms > now_ms ? (int)(next_ms - now_ms) : 0);
        if (ready > 0 && (wanted[2].revents & (POLLERR | POLLHUP)) != 0) {
            exit(END_FINE);
        }
        if (ready > 0 && wanted[0].revents != 0) {
            result = hear_all(tail);
        }
        if (result == FOLLOW_GOOD && !is_over(tail)) {
            result = on_time(tail, clock_mono_ms());
        }
    }
    tail_printer_flush(&tail->printer);
    return result;
}

static const char *trouble(const struct tail *tail) {
    return tail->pubsub.trouble[0] != '\0' ? tail->pubsub.trouble : tail->command.trouble;
}

static int follow(struct tail *tail) {
    struct backoff backoff = {.min_ms = 50, .max_ms = 2000};
    bool was_up = false;
    bool is_told = false;
    while (!is_over(tail)) {
        int error = connect_both(tail);
        enum follow_result result = error == 0 ? follow_live(tail) : FOLLOW_LOST;
        if (is_over(tail)) {
            break;
        }
        if (result == FOLLOW_REFUSED) {
            return tool_refused(tail->tool, "tail", slice_of(tail->why));
        }
        if (error == 0) {
            was_up = true;
            is_told = false;
            backoff_reset(&backoff);
        } else if (!was_up) {
            return tool_unreachable(tail->tool, &tail->pubsub);
        }
        if (!is_told) {
            complain("lost Redis: %s; trying again", trouble(tail));
            is_told = true;
        }
        disconnect(tail);
        interrupt_sleep(backoff_next_ms(&backoff));
    }
    return END_FINE;
}

int tail_loop(struct tail *tail) {
    tail->events = (struct follow_events){on_message, on_reset, tail};
    int status = follow(tail);
    disconnect(tail);
    return status;
}
