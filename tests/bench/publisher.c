// The publisher: see publisher.h.
//
//   OPENS --on_open_reply--> PUBLISHES --publisher_read_heads--> READS --on_head_reply--> RESTS
//
// Every new connection is asked PING first: a Redis that has come back refuses commands until its
// data is loaded, and one publish refused among others that were not would change their order.
#include "tests/bench/publisher.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/load.h"

enum { IN_FLIGHT_MAX = 65536 };

static uint32_t channel_count(const struct publisher *publisher) {
    return publisher->load->options.channels;
}

void keys_of(struct keys *keys_r, const char *prefix, const char *channel) {
    snprintf(keys_r->hash, sizeof(keys_r->hash), "%s:{%s}", prefix, channel);
    snprintf(keys_r->log, sizeof(keys_r->log), "%s:{%s}:log", prefix, channel);
}

static void channel_keys(const struct publisher *publisher, const struct channel *channel,
                         struct keys *keys_r) {
    keys_of(keys_r, publisher->load->options.prefix, channel->name);
}

bool reply_position(const struct resp_reply *reply, struct position *position_r) {
    const struct resp_item *item = &reply->items[0];
    if ((reply->kind != '$' && reply->kind != '+') || item->text == NULL) {
        return false;
    }
    return position_parse(item->text, item->text + item->length, position_r) == item->length;
}

// --- opening --------------------------------------------------------------------------------

// A node opens at most 200 new channels a second; opened here, they cost the ramp nothing.
static void send_opens(struct publisher *publisher) {
    for (uint32_t i = 0; i < channel_count(publisher); i++) {
        struct keys keys;
        channel_keys(publisher, &publisher->load->channels[i], &keys);
        struct resp_item words[] = {resp_word("FCALL"), resp_word("freshet_open"), resp_word("2"),
                                    resp_word(keys.hash), resp_word(keys.log)};
        resp_command(&publisher->link, 5, words);
    }
}

static void on_open_reply(struct publisher *publisher, const struct resp_reply *reply) {
    struct channel *channel = &publisher->load->channels[publisher->replies++];
    if (!reply_position(reply, &channel->last)) {
        die("Redis refuses freshet_open, is a node running on it? %.*s",
            (int)reply->items[0].length, reply->items[0].text);
    }
    if (publisher->replies == channel_count(publisher)) {
        publisher->stage = PUBLISHER_PUBLISHES;
    }
}

// --- publishing -----------------------------------------------------------------------------

static void send_publish(struct publisher *publisher, uint64_t k) {
    const struct options *options = &publisher->load->options;
    const struct channel *channel = &publisher->load->channels[k % options->channels];
    uint64_t n = k / options->channels + 1;
    struct keys keys;
    char number[24], once[sizeof(keys.hash) + 32];
    channel_keys(publisher, channel, &keys);
    snprintf(number, sizeof(number), "%" PRIu64, n);
    snprintf(once, sizeof(once), "%s:once:%s", keys.hash, number);
    int length = snprintf(publisher->payload, sizeof(publisher->payload),
                          "{\"n\":%s,\"t\":%" PRIu64 ",\"pad\":\"%0*d\"}", number, uv_hrtime(),
                          (int)options->size, 0);
    struct resp_item payload = {.text = publisher->payload, .length = (size_t)length};
    struct resp_item call = resp_word("FCALL"), name = resp_word("freshet_publish");
    struct resp_item hash = resp_word(keys.hash), log = resp_word(keys.log);
    if (options->reconnects) {
        struct resp_item words[] = {call,
                                    name,
                                    resp_word("3"),
                                    hash,
                                    log,
                                    resp_word(once),
                                    payload,
                                    resp_word("ONCE"),
                                    resp_word(number)};
        resp_command(&publisher->link, 9, words);
    } else {
        struct resp_item words[] = {call, name, resp_word("2"), hash, log, payload};
        resp_command(&publisher->link, 6, words);
    }
}

// What Redis says while it starts, fails over or is short of something: it was not published.
static bool is_passing(const struct resp_reply *reply) {
    static const char *const codes[] = {"LOADING ",    "OOM ",         "READONLY ",
                                        "NOREPLICAS ", "MASTERDOWN ",  "MISCONF ",
                                        "BUSY ",       "CLUSTERDOWN ", "TRYAGAIN "};
    const struct resp_item *item = &reply->items[0];
    for (size_t i = 0; reply->kind == '-' && i < sizeof(codes) / sizeof(codes[0]); i++) {
        size_t length = strlen(codes[i]);
        if (item->length >= length && memcmp(item->text, codes[i], length) == 0) {
            return true;
        }
    }
    return false;
}

static void on_publish_reply(struct publisher *publisher, const struct resp_reply *reply) {
    struct load *load = publisher->load;
    struct channel *channel = &load->channels[publisher->answered++ % load->options.channels];
    struct position position;
    if (!reply_position(reply, &position)) {
        if (publisher->errors++ == 0) {
            load_tell(load, "publish refused: %.*s", (int)reply->items[0].length,
                      reply->items[0].text);
        }
        return;
    }
    if (!position_follows(channel->last, position, NULL)) {
        publisher->errors++;
    }
    channel->last = position;
    channel->answered++;
}

// --- the heads ------------------------------------------------------------------------------

static void send_head_reads(struct publisher *publisher) {
    for (uint32_t i = 0; i < channel_count(publisher); i++) {
        struct keys keys;
        channel_keys(publisher, &publisher->load->channels[i], &keys);
        struct resp_item words[] = {resp_word("HMGET"), resp_word(keys.hash), resp_word("epoch"),
                                    resp_word("version")};
        resp_command(&publisher->link, 4, words);
    }
}

static uint64_t item_number(const struct resp_item *item) {
    return item->text == NULL ? 0 : strtoull(item->text, NULL, 10);
}

// The heads Redis holds now are the truth that the clients are measured by.
static void on_head_reply(struct publisher *publisher, const struct resp_reply *reply) {
    struct channel *channel = &publisher->load->channels[publisher->replies++];
    struct position head = {0, 0};
    if (reply->kind == '*' && reply->item_count == 2) {
        head.epoch = item_number(&reply->items[0]);
        head.version = item_number(&reply->items[1]);
    }
    if (!position_equals(head, channel->last)) {
        publisher->heads_wrong++;
        channel->last = head;
    }
    if (publisher->replies == channel_count(publisher)) {
        publisher->stage = PUBLISHER_RESTS;
    }
}

// --- the connection -------------------------------------------------------------------------

static void on_up(struct resp *resp) {
    struct publisher *publisher = resp->owner;
    struct resp_item word = resp_word("PING");
    publisher->is_proven = false;
    resp_command(resp, 1, &word);
}

static void on_proven(struct publisher *publisher) {
    publisher->is_proven = true;
    publisher->replies = 0;
    publisher->next = publisher->answered;
    if (publisher->stage == PUBLISHER_OPENS) {
        send_opens(publisher);
    } else if (publisher->stage == PUBLISHER_READS) {
        send_head_reads(publisher);
    }
    resp_flush(&publisher->link);
}

static void on_reply(struct resp *resp, const struct resp_reply *reply) {
    struct publisher *publisher = resp->owner;
    if (resp->does_redial && is_passing(reply)) {
        resp_break(resp, "not yet");
    } else if (!publisher->is_proven) {
        if (reply->kind != '+') {
            die("Redis refuses PING: %.*s", (int)reply->items[0].length, reply->items[0].text);
        }
        on_proven(publisher);
    } else if (publisher->stage == PUBLISHER_OPENS) {
        on_open_reply(publisher, reply);
    } else if (publisher->stage == PUBLISHER_READS) {
        on_head_reply(publisher, reply);
    } else {
        on_publish_reply(publisher, reply);
    }
}

void publisher_open(struct publisher *publisher, struct load *load) {
    publisher->load = load;
    publisher->link.owner = publisher;
    publisher->link.on_up = on_up;
    publisher->link.on_reply = on_reply;
    publisher->link.does_redial = load->options.reconnects;
    resp_open(&publisher->link, load->loop, (const struct sockaddr *)&load->options.redis);
}

void publisher_close(struct publisher *publisher) {
    resp_close(&publisher->link);
}

void publisher_release(struct publisher *publisher) {
    resp_release(&publisher->link);
}

bool publisher_is_ready(const struct publisher *publisher) {
    return publisher->stage != PUBLISHER_OPENS;
}

static bool can_send(const struct publisher *publisher) {
    return publisher->link.is_connected && publisher->is_proven &&
           publisher->next < publisher->planned &&
           publisher->next - publisher->answered < IN_FLIGHT_MAX;
}

void publisher_plan(struct publisher *publisher, uint64_t planned) {
    publisher->planned = planned;
    while (can_send(publisher)) {
        send_publish(publisher, publisher->next++);
    }
    resp_flush(&publisher->link);
}

void publisher_read_heads(struct publisher *publisher) {
    publisher->stage = PUBLISHER_READS;
    publisher->replies = 0;
    if (publisher->link.is_connected && publisher->is_proven) {
        send_head_reads(publisher);
        resp_flush(&publisher->link);
    }
}
