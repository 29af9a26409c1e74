// The channels of a WebSocket: each a subscriber that is pulled as far as the socket takes. One
// that the socket was too full for waits in line, so that a busy one does not starve the others.
#include "node/transport/websocket.h"

#include "cluster/base/error.h"
#include "cluster/base/mem.h"
#include "node/transport/encode.h"
#include "node/transport/refusal.h"

// So many are found by looking at each; only then is a map worth its memory.
enum { FEW_CHANNELS = 8 };

// ---- The set ------------------------------------------------------------------------------------

static struct slice name_of(const struct ws_channel *channel) {
    return slice_make(channel->name, channel->name_len);
}

struct ws_channel *websocket_find_channel(struct websocket *websocket, struct slice name) {
    if (websocket->by_name.count > 0) {
        return map_get(&websocket->by_name, name);
    }
    LIST_FOREACH(node, &websocket->channels) {
        struct ws_channel *channel = LIST_ENTRY(node, struct ws_channel, node);
        if (slice_equal(name_of(channel), name)) {
            return channel;
        }
    }
    return NULL;
}

static void index_channel(struct websocket *websocket, struct ws_channel *channel) {
    if (websocket->by_name.count == 0 && websocket->channel_count <= FEW_CHANNELS) {
        return;
    }
    if (websocket->by_name.count > 0) {
        map_put(&websocket->by_name, name_of(channel), channel);
        return;
    }
    LIST_FOREACH(node, &websocket->channels) {
        struct ws_channel *each = LIST_ENTRY(node, struct ws_channel, node);
        map_put(&websocket->by_name, name_of(each), each);
    }
}

void websocket_remove_channel(struct ws_channel *channel) {
    struct websocket *websocket = channel->websocket;
    if (websocket->by_name.count > 0) {
        map_remove(&websocket->by_name, name_of(channel));
    }
    subscriber_close(&channel->subscriber);
    list_remove(&channel->node);
    list_remove(&channel->lag_node);
    bytes_release(&channel->ref);
    websocket->channel_count--;
    mem_free(channel);
}

void websocket_remove_channels(struct websocket *websocket) {
    map_release(&websocket->by_name);
    LIST_FOREACH(node, &websocket->channels) {
        websocket_remove_channel(LIST_ENTRY(node, struct ws_channel, node));
    }
}

// ---- Giving out ---------------------------------------------------------------------------------

static void send_ok(struct ws_channel *channel) {
    struct websocket *websocket = channel->websocket;
    struct bytes bytes = {0};
    encode_ok(&bytes, websocket_language(websocket), bytes_slice(&channel->ref), name_of(channel),
              channel->subscriber.began);
    websocket_send_object(websocket, &bytes);
    bytes_release(&channel->ref);
}

static struct frame *encode_object_frame(enum object_language language, struct slice channel,
                                         const struct message *message) {
    struct bytes bytes = {0};
    encode_message(&bytes, language, channel, message);
    struct frame *frame =
        ws_frame_create(language == OBJECT_JSON ? WS_TEXT : WS_BINARY, bytes_slice(&bytes));
    bytes_release(&bytes);
    return frame;
}

static struct frame *encode_json(struct slice channel, const struct message *message) {
    return encode_object_frame(OBJECT_JSON, channel, message);
}

static struct frame *encode_msgpack(struct slice channel, const struct message *message) {
    return encode_object_frame(OBJECT_MSGPACK, channel, message);
}

static struct frame *encode_raw(struct slice channel, const struct message *message) {
    (void)channel; // there is only one
    return ws_frame_create(message->type == MESSAGE_BINARY ? WS_BINARY : WS_TEXT, message->data);
}

static void send_message(struct ws_channel *channel, struct entry *entry) {
    static const struct {
        enum frame_kind kind;
        struct frame *(*encode)(struct slice channel, const struct message *message);
    } forms[] = {
        [WS_RAW] = {FRAME_WS_RAW, encode_raw},
        [WS_JSON] = {FRAME_WS_JSON, encode_json},
        [WS_MSGPACK] = {FRAME_WS_MSGPACK, encode_msgpack},
    };
    struct websocket *websocket = channel->websocket;
    const struct service *service = websocket->service;
    struct frame *frame = entry_frame(service->hub, entry, forms[websocket->protocol].kind,
                                      name_of(channel), forms[websocket->protocol].encode);
    exchange_write_frame(websocket->exchange, frame);
    metrics_delivery(service->metrics, TRANSPORT_WS, entry->message->time_ms,
                     hub_wall_ms(service->hub));
}

// A raw reader has no other way to hear of it than the end. False: that was it.
static bool send_reset(struct ws_channel *channel, const struct reset *reset) {
    struct websocket *websocket = channel->websocket;
    const struct service *service = websocket->service;
    metrics_add(&service->metrics->resets[reset->reason], 1);
    if (websocket->protocol == WS_RAW) {
        char text[POSITION_TEXT_MAX];
        size_t len = position_format(reset->to, text);
        websocket_close(websocket, WS_CLOSE_RESET, slice_make(text, len), CLOSE_RESET);
        return false;
    }
    struct bytes bytes = {0};
    encode_reset(&bytes, websocket_language(websocket), name_of(channel), reset,
                 service->config->reset_spread_ms);
    websocket_send_object(websocket, &bytes);
    return true;
}

// Gives out what the channel has, as far as the socket takes. False: the websocket closes.
static bool pull(struct ws_channel *channel) {
    struct websocket *websocket = channel->websocket;
    struct delivery delivery;
    while (!exchange_is_blocked(websocket->exchange)) {
        switch (subscriber_next(&channel->subscriber, &delivery)) {
        case NEXT_MESSAGE:
            send_message(channel, delivery.entry);
            break;
        case NEXT_RESET:
            if (!send_reset(channel, &delivery.reset)) {
                return false;
            }
            break;
        case NEXT_NOTHING:
            return true;
        }
    }
    if (!list_is_linked(&channel->lag_node)) {
        list_append(&websocket->lagging, &channel->lag_node);
    }
    return true;
}

void websocket_pull_lagging(struct websocket *websocket) {
    bool is_going_on = true;
    while (is_going_on && !exchange_is_blocked(websocket->exchange) &&
           !list_is_empty(&websocket->lagging)) {
        struct list *node = list_pop(&websocket->lagging);
        is_going_on = pull(LIST_ENTRY(node, struct ws_channel, lag_node));
    }
}

// The start is known: says so, before anything that follows it.
static void advance(struct ws_channel *channel) {
    struct websocket *websocket = channel->websocket;
    if (!subscriber_is_started(&channel->subscriber)) {
        return;
    }
    if (!channel->is_told) {
        channel->is_told = true;
        if (websocket->protocol == WS_RAW) {
            websocket_begin_raw(websocket, channel->subscriber.began);
        } else {
            send_ok(channel);
        }
    }
    pull(channel);
}

static void on_news(struct subscriber *subscriber) {
    struct ws_channel *channel = CONTAINER_OF(subscriber, struct ws_channel, subscriber);
    CHECK_OBJ(channel->websocket, WEBSOCKET_MAGIC);
    advance(channel);
}

static void on_refused(struct subscriber *subscriber, int error) {
    struct ws_channel *channel = CONTAINER_OF(subscriber, struct ws_channel, subscriber);
    struct websocket *websocket = channel->websocket;
    CHECK_OBJ(websocket, WEBSOCKET_MAGIC);
    if (websocket->state == WEBSOCKET_STARTING) {
        websocket_refuse_raw(websocket, error);
        return;
    }
    websocket_answer_error(websocket, bytes_slice(&channel->ref), name_of(channel),
                           refusal_count(websocket->service, error), error_text(error), true);
    websocket_remove_channel(channel);
}

static const struct subscriber_ops subscriber_ops = {
    .on_news = on_news,
    .on_refused = on_refused,
};

void websocket_add_channel(struct websocket *websocket, struct slice name, struct slice ref,
                           const struct subscriber_start *start) {
    struct ws_channel *channel = mem_alloc(sizeof(*channel) + name.len);
    channel->websocket = websocket;
    channel->name_len = (uint8_t)name.len;
    memcpy(channel->name, name.data, name.len);
    bytes_append(&channel->ref, ref);
    list_init(&channel->lag_node);
    list_append(&websocket->channels, &channel->node);
    websocket->channel_count++;
    index_channel(websocket, channel);
    subscriber_open(&channel->subscriber, websocket->service->hub, name, start, TRANSPORT_WS,
                    &subscriber_ops);
    advance(channel);
}
