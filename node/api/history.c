// GET /history: one page of what Redis keeps of a channel, by default from its oldest message.
//
// A channel that Redis knows nothing of, and the question for the head alone, are answered by a short
// subscription: joining opens the channel, so that the cursor in the answer is a position and whoever
// goes on from it misses nothing.
#include "node/api/api.h"

#include "cluster/base/mem.h"
#include "node/hub/hub.h"
#include "node/transport/encode.h"
#include "node/transport/open_request.h"
#include "node/transport/refusal.h"

#include <uv.h>

struct lookup {
    uint32_t magic;
    struct exchange *exchange;     // borrowed; NULL when the client is gone
    const struct service *service; // borrowed
    struct open_request open;      // owned
    struct history_call call;
    struct subscriber subscriber;
    bool is_subscribed;
};

#define LOOKUP_MAGIC 0x6c6f6f6bu

static void destroy(struct lookup *lookup) {
    if (lookup->is_subscribed) {
        subscriber_close(&lookup->subscriber);
    }
    history_call_release(&lookup->call);
    open_request_release(&lookup->open);
    lookup->magic = 0;
    mem_free(lookup);
}

// Where the client stands when it has read the answer.
static struct position cursor_of(const struct lookup *lookup) {
    const struct history_call *call = &lookup->call;
    if (lookup->is_subscribed) {
        return lookup->subscriber.began;
    }
    if (call->count > 0) {
        return call->messages[call->count - 1]->position;
    }
    return call->has_reset ? call->reset.to : call->position;
}

static void append_reset(struct bytes *body, const struct lookup *lookup) {
    const struct service *service = lookup->service;
    const struct reset *reset = &lookup->call.reset;
    metrics_add(&service->metrics->resets[reset->reason], 1);
    bytes_append(body, SLICE(",\"resets\":["));
    encode_reset(body, OBJECT_JSON, lookup->call.channel, reset, service->config->reset_spread_ms);
    bytes_append_char(body, ']');
}

static void answer(struct lookup *lookup) {
    const struct history_call *call = &lookup->call;
    struct bytes body = {0};
    bytes_append(&body, SLICE("{\"cursor\":\""));
    position_append(&body, cursor_of(lookup));
    bytes_append(&body, SLICE("\",\"messages\":["));
    for (size_t i = 0; i < call->count; i++) {
        struct frame *frame = encode_object(call->channel, call->messages[i]);
        bytes_append(&body, i == 0 ? SLICE("") : SLICE(","));
        bytes_append(&body, frame_payload(frame));
        frame_unref(&frame);
    }
    bytes_append_char(&body, ']');
    if (call->has_reset) {
        append_reset(&body, lookup);
    }
    bytes_append(&body, call->has_more ? SLICE(",\"more\":true}") : SLICE("}"));
    exchange_field(lookup->exchange, "Cache-Control", SLICE("no-store"));
    exchange_answer(lookup->exchange, 200, "application/json", bytes_slice(&body));
    bytes_release(&body);
    destroy(lookup);
}

static void refuse(struct lookup *lookup, int error) {
    refusal_answer_busy(lookup->exchange, lookup->service, error);
    destroy(lookup);
}

static void on_news(struct subscriber *subscriber) {
    struct lookup *lookup = CONTAINER_OF(subscriber, struct lookup, subscriber);
    CHECK_OBJ(lookup, LOOKUP_MAGIC);
    if (subscriber_is_started(subscriber)) {
        answer(lookup);
    }
}

static void on_refused(struct subscriber *subscriber, int error) {
    struct lookup *lookup = CONTAINER_OF(subscriber, struct lookup, subscriber);
    CHECK_OBJ(lookup, LOOKUP_MAGIC);
    lookup->is_subscribed = false;
    refuse(lookup, error);
}

// Asks Redis even where the worker knows the head: without Redis it is refused, not kept waiting.
static void find_head(struct lookup *lookup) {
    static const struct subscriber_ops ops = {on_news, on_refused};
    const struct subscriber_start start = {.kind = CURSOR_HEAD, .must_read = true};
    lookup->is_subscribed = true;
    subscriber_open(&lookup->subscriber, lookup->service->hub, lookup->call.channel, &start,
                    TRANSPORT_POLL, &ops);
    if (subscriber_is_started(&lookup->subscriber)) {
        answer(lookup);
    }
}

static void on_read(struct call *call) {
    struct lookup *lookup = CONTAINER_OF(call, struct lookup, call.call);
    CHECK_OBJ(lookup, LOOKUP_MAGIC);
    if (lookup->exchange == NULL) {
        destroy(lookup);
    } else if (call->status < 0) {
        refuse(lookup, call->status);
    } else if (position_is_none(cursor_of(lookup))) {
        find_head(lookup);
    } else {
        answer(lookup);
    }
}

static void on_gone(void *state) {
    struct lookup *lookup = state;
    CHECK_OBJ(lookup, LOOKUP_MAGIC);
    lookup->exchange = NULL;
    if (lookup->is_subscribed) {
        destroy(lookup);
    } else {
        call_cancel(&lookup->call.call); // on_read frees
    }
}

static void read_log(struct lookup *lookup) {
    struct history_call *call = &lookup->call;
    const struct config *config = lookup->service->config;
    const struct cursor_item *item = &lookup->open.channels[0].item;
    call->start = item->kind == CURSOR_SINCE ? HISTORY_SINCE
                  : lookup->open.rewind > 0  ? HISTORY_REWIND
                                             : HISTORY_OLDEST;
    call->since = item->position;
    call->rewind = lookup->open.rewind;
    call->limit = (size_t)lookup->open.limit;
    call->bytes_max = config->page_bytes;
    call->call.on_done = on_read;
    cluster_history(lookup->service->member, call);
}

void history_handle(struct exchange *exchange, void *context) {
    static const struct exchange_ops ops = {.on_gone = on_gone};
    const struct service *service = context;
    struct lookup *lookup = mem_alloc(sizeof(*lookup));
    lookup->magic = LOOKUP_MAGIC;
    lookup->exchange = exchange;
    lookup->service = service;
    if (!open_or_refuse(exchange, service, OPEN_HISTORY, &lookup->open)) {
        destroy(lookup);
        return;
    }
    if (lookup->open.count != 1) {
        static const struct open_problem problem = {400, "bad-request",
                                                    "history is of one channel at a time"};
        refusal_answer(exchange, service, &problem);
        destroy(lookup);
        return;
    }
    lookup->call.channel = lookup->open.channels[0].name;
    exchange_attach(exchange, &ops, lookup);
    // `since=` with nothing behind it is the head, as everywhere; without since it is the oldest.
    bool is_head = lookup->open.has_since && lookup->open.channels[0].item.kind == CURSOR_HEAD;
    if (is_head && lookup->open.rewind == 0) {
        find_head(lookup);
    } else {
        read_log(lookup);
    }
}
