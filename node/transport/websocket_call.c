// Commands that Redis is asked for. They outlive their client: what was begun completes, and is
// answered to nobody then.
#include "node/transport/websocket.h"

#include "cluster/base/error.h"
#include "cluster/base/mem.h"
#include "node/transport/encode.h"
#include "node/transport/refusal.h"

enum { PUBLISH_WEIGHT = 1, HISTORY_WEIGHT = WEBSOCKET_CALLS_MAX };

// What both have in common.
struct ws_call {
    struct list node;              // in websocket->calls
    struct websocket *websocket;   // borrowed; NULL when the client is gone
    const struct service *service; // borrowed
    struct ws_command command;     // owned
    unsigned weight;
    void (*leave)(struct ws_call *call);
};

static void begin(struct ws_call *call, struct websocket *websocket, struct ws_command *command,
                  unsigned weight, void (*leave)(struct ws_call *call)) {
    call->websocket = websocket;
    call->service = websocket->service;
    call->command = *command;
    command->memory = (struct bytes){0}; // it has moved
    call->weight = weight;
    call->leave = leave;
    websocket->calls_weight = (uint16_t)(websocket->calls_weight + weight);
    list_append(&websocket->calls, &call->node);
}

// Lets the client send more.
static void end(struct ws_call *call) {
    struct websocket *websocket = call->websocket;
    if (websocket != NULL) {
        list_remove(&call->node);
        websocket->calls_weight = (uint16_t)(websocket->calls_weight - call->weight);
        websocket_resume(websocket);
    }
    ws_command_release(&call->command);
}

void websocket_leave_calls(struct websocket *websocket) {
    for (struct list *node; (node = list_pop(&websocket->calls)) != NULL;) {
        struct ws_call *call = LIST_ENTRY(node, struct ws_call, node);
        call->websocket = NULL;
        call->leave(call);
    }
    websocket->calls_weight = 0;
}

static struct object begin_ok(struct bytes *bytes, const struct ws_call *call) {
    struct object object = object_begin(bytes, websocket_language(call->websocket));
    if (call->command.ref.len > 0) {
        object_raw(&object, "ref", call->command.ref);
    }
    object_text(&object, "type", SLICE("ok"));
    return object;
}

static void answer_error(struct ws_call *call, const char *code, const char *message,
                         bool is_worth_retry) {
    websocket_answer_error(call->websocket, call->command.ref, call->command.channel, code, message,
                           is_worth_retry);
}

// ---- publish ------------------------------------------------------------------------------------

struct ws_publish {
    struct ws_call base;
    struct publish_call call;
};

static void answer_conflict(struct ws_publish *publish) {
    struct websocket *websocket = publish->base.websocket;
    struct bytes bytes = {0};
    struct object object = object_begin(&bytes, websocket_language(websocket));
    if (publish->base.command.ref.len > 0) {
        object_raw(&object, "ref", publish->base.command.ref);
    }
    object_text(&object, "type", SLICE("error"));
    object_text(&object, "channel", publish->call.channel);
    object_text(&object, "code", SLICE("conflict"));
    object_text(&object, "message", SLICE("the channel's head is another one"));
    object_text(&object, "head", slice_of(publish->call.text));
    object_bool(&object, "retry", false);
    object_end(&object);
    websocket_send_object(websocket, &bytes);
}

static void answer_publish(struct ws_publish *publish) {
    struct ws_call *base = &publish->base;
    const struct publish_call *call = &publish->call;
    static const char *const refusal_codes[] = {
        [REFUSAL_NONE] = "bad-request", [REFUSAL_ARGUMENTS] = "bad-request",
        [REFUSAL_JSON] = "json",        [REFUSAL_RIGHTS] = "rights",
        [REFUSAL_REDIS] = "redis",
    };
    switch (call->result) {
    case PUBLISH_OK: {
        struct bytes bytes = {0};
        struct object object = begin_ok(&bytes, base);
        object_text(&object, "position", slice_of(call->text));
        object_end(&object);
        websocket_send_object(base->websocket, &bytes);
        break;
    }
    case PUBLISH_CONFLICT:
        answer_conflict(publish);
        break;
    case PUBLISH_REFUSED:
        answer_error(base, refusal_codes[call->refusal], call->text, false);
        break;
    case PUBLISH_UNAVAILABLE:
        metrics_add(&base->service->metrics->refused[REFUSE_UNAVAILABLE], 1);
        answer_error(base, "unavailable", "nothing was published, try again", true);
        break;
    case PUBLISH_UNKNOWN:
        answer_error(base, "unknown",
                     "sent, but Redis did not answer in time; repeat it with the same once", true);
        break;
    }
}

static void on_published(struct call *call) {
    struct ws_publish *publish = CONTAINER_OF(call, struct ws_publish, call.call);
    if (publish->base.websocket != NULL) {
        answer_publish(publish);
    }
    end(&publish->base);
    mem_free(publish);
}

static void leave_publish(struct ws_call *base) {
    (void)base; // it goes on
}

void websocket_publish(struct websocket *websocket, struct ws_command *command) {
    struct ws_publish *publish = mem_alloc(sizeof(*publish));
    begin(&publish->base, websocket, command, PUBLISH_WEIGHT, leave_publish);
    publish->call = (struct publish_call){
        .call.on_done = on_published,
        .channel = command->channel,
        .data = command->data,
        .type = command->data_type,
        .event = command->event,
        .once = command->once,
        .if_head = command->if_head,
    };
    cluster_publish(websocket->service->member, &publish->call); // completes later
}

// ---- history ------------------------------------------------------------------------------------
//
// As GET /history (node/api/history.c): a channel that Redis knows nothing of, and the question for
// the head alone, are answered by a short subscription, so that the cursor is always a position.

struct ws_history {
    struct ws_call base;
    struct history_call call;
    struct subscriber subscriber;
    bool is_subscribed;
};

static void destroy_history(struct ws_history *history) {
    if (history->is_subscribed) {
        subscriber_close(&history->subscriber);
    }
    history_call_release(&history->call);
    end(&history->base);
    mem_free(history);
}

static struct position cursor_of(const struct ws_history *history) {
    const struct history_call *call = &history->call;
    if (history->is_subscribed) {
        return history->subscriber.began;
    }
    if (call->count > 0) {
        return call->messages[call->count - 1]->position;
    }
    return call->has_reset ? call->reset.to : call->position;
}

static void append_resets(struct object *object, const struct ws_history *history) {
    const struct service *service = history->base.service;
    const struct reset *reset = &history->call.reset;
    metrics_add(&service->metrics->resets[reset->reason], 1);
    object_array(object, "resets", 1);
    object_element(object, 0);
    encode_reset(object->bytes, websocket_language(history->base.websocket), history->call.channel,
                 reset, service->config->reset_spread_ms);
    object_array_end(object);
}

static void answer_history(struct ws_history *history) {
    const struct history_call *call = &history->call;
    struct websocket *websocket = history->base.websocket;
    struct bytes bytes = {0};
    struct object object = begin_ok(&bytes, &history->base);
    object_text(&object, "channel", call->channel);
    object_position(&object, "cursor", cursor_of(history));
    object_array(&object, "messages", call->count);
    for (size_t i = 0; i < call->count; i++) {
        object_element(&object, i);
        encode_message(&bytes, websocket_language(websocket), call->channel, call->messages[i]);
    }
    object_array_end(&object);
    if (call->has_reset) {
        append_resets(&object, history);
    }
    if (call->has_more) {
        object_bool(&object, "more", true);
    }
    object_end(&object);
    websocket_send_object(websocket, &bytes);
    destroy_history(history);
}

static void refuse_history(struct ws_history *history, int error) {
    answer_error(&history->base, refusal_count(history->base.service, error), error_text(error),
                 true);
    destroy_history(history);
}

static void on_news(struct subscriber *subscriber) {
    struct ws_history *history = CONTAINER_OF(subscriber, struct ws_history, subscriber);
    if (subscriber_is_started(subscriber)) {
        answer_history(history);
    }
}

static void on_refused(struct subscriber *subscriber, int error) {
    struct ws_history *history = CONTAINER_OF(subscriber, struct ws_history, subscriber);
    history->is_subscribed = false;
    refuse_history(history, error);
}

static void find_head(struct ws_history *history) {
    static const struct subscriber_ops ops = {on_news, on_refused};
    const struct subscriber_start start = {.kind = CURSOR_HEAD, .must_read = true};
    history->is_subscribed = true;
    subscriber_open(&history->subscriber, history->base.service->hub, history->call.channel, &start,
                    TRANSPORT_WS, &ops);
    if (subscriber_is_started(&history->subscriber)) {
        answer_history(history);
    }
}

static void on_read(struct call *call) {
    struct ws_history *history = CONTAINER_OF(call, struct ws_history, call.call);
    if (history->base.websocket == NULL) {
        destroy_history(history);
    } else if (call->status < 0) {
        refuse_history(history, call->status);
    } else if (position_is_none(cursor_of(history))) {
        find_head(history);
    } else {
        answer_history(history);
    }
}

static void leave_history(struct ws_call *base) {
    struct ws_history *history = CONTAINER_OF(base, struct ws_history, base);
    if (history->is_subscribed) {
        destroy_history(history);
    } else {
        call_cancel(&history->call.call); // on_read frees
    }
}

static size_t limit_of(const struct ws_command *command, const struct config *config) {
    if (!command->has_limit || command->limit > config->page_messages) {
        return config->page_messages;
    }
    return (size_t)command->limit;
}

void websocket_history(struct websocket *websocket, struct ws_command *command) {
    const struct config *config = websocket->service->config;
    struct ws_history *history = mem_alloc(sizeof(*history));
    begin(&history->base, websocket, command, HISTORY_WEIGHT, leave_history);
    struct history_call *call = &history->call;
    call->channel = command->channel;
    call->start = command->since.kind == CURSOR_SINCE ? HISTORY_SINCE : HISTORY_OLDEST;
    call->since = command->since.position;
    call->limit = limit_of(command, config);
    call->bytes_max = config->page_bytes;
    call->call.on_done = on_read;
    if (command->has_since && command->since.kind == CURSOR_HEAD) {
        find_head(history);
    } else {
        cluster_history(websocket->service->member, call);
    }
}
