// See follow.h.
#include "cluster/cli/follow.h"

#include "cluster/cli/interrupt.h"
#include "cluster/cli/library.h"
#include "cluster/cli/page_read.h"

#include <stdio.h>

// Errors that pass when Redis is itself again; others will be the same next time.
static bool is_passing(const redisReply *reply) {
    return reply_is_refusal(reply, "LOADING") || reply_is_refusal(reply, "MASTERDOWN") ||
           reply_is_refusal(reply, "BUSY") || reply_is_refusal(reply, "CLUSTERDOWN") ||
           reply_is_refusal(reply, "TRYAGAIN");
}

static enum follow_result refuse(const struct follower *follower, const redisReply *reply,
                                 char why_r[static FOLLOW_WHY_MAX]) {
    struct slice text = resp_text(reply);
    if (!reply_is_error(reply)) {
        text = SLICE("its log holds entries that are no messages");
        // An error within the transaction, such as WRONGTYPE, tells more.
        for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
            text = reply_is_error(reply->element[i]) ? resp_text(reply->element[i]) : text;
        }
    }
    snprintf(why_r, FOLLOW_WHY_MAX, "%.*s: %.*s", SLICE_ARGS(follower->channel), SLICE_ARGS(text));
    return FOLLOW_REFUSED;
}

// ---- Where to begin ------------------------------------------------------------------------------

// Nobody shall stand at a position without an epoch. Where the right to write is missing we stand
// before whatever will come: there is nothing yet that could be missed.
static enum follow_result open_channel(struct follower *follower, struct client *client) {
    redisReply *reply;
    if (library_call(client,
                     WORDS(SLICE("FCALL"), SLICE("freshet_open"), SLICE("2"), follower->keys.hash,
                           follower->keys.log),
                     &reply) < 0) {
        return FOLLOW_LOST;
    }
    if (position_parse(resp_text(reply), &follower->at) < 0) {
        follower->at = POSITION_NONE;
    }
    reply_free(&reply);
    return FOLLOW_GOOD;
}

static enum follow_result place_at_head(struct follower *follower, struct client *client,
                                        char why_r[static FOLLOW_WHY_MAX]) {
    redisReply *hash = NULL;
    redisReply *last = NULL;
    client_send(client, WORDS(SLICE("HMGET"), follower->keys.hash, SLICE("epoch"), SLICE("version"),
                              SLICE("fork")));
    client_send(client, WORDS(SLICE("XREVRANGE"), follower->keys.log, SLICE("+"), SLICE("-"),
                              SLICE("COUNT"), SLICE("1")));
    enum follow_result result = FOLLOW_LOST;
    if (client_receive(client, &hash) == 0 && client_receive(client, &last) == 0) {
        const redisReply *refusal = reply_is_error(hash) ? hash : last;
        result = FOLLOW_GOOD;
        if (reply_is_error(refusal)) {
            result = is_passing(refusal) ? FOLLOW_LOST : refuse(follower, refusal, why_r);
        } else {
            follower->at = log_head_of(hash, last).head;
        }
    }
    reply_free(&hash);
    reply_free(&last);
    if (result == FOLLOW_GOOD && position_is_none(follower->at)) {
        result = open_channel(follower, client);
    }
    return result;
}

// Counts back in pages; then stands before the last entry that was counted.
static enum follow_result place_before(struct follower *follower, struct client *client,
                                       char why_r[static FOLLOW_WHY_MAX]) {
    char end[POSITION_TEXT_MAX + 1] = "+";
    struct position first = POSITION_NONE;
    for (uint64_t left = follower->rewind; left > 0;) {
        char count[24];
        uint64_t wanted = left < LOG_PAGE_ENTRIES ? left : LOG_PAGE_ENTRIES;
        snprintf(count, sizeof(count), "%llu", (unsigned long long)wanted);
        redisReply *reply;
        if (client_ask(client,
                       WORDS(SLICE("XREVRANGE"), follower->keys.log, slice_of(end), SLICE("-"),
                             SLICE("COUNT"), slice_of(count)),
                       &reply) < 0) {
            return FOLLOW_LOST;
        }
        if (reply->type != REDIS_REPLY_ARRAY) {
            bool passes = is_passing(reply);
            enum follow_result result = passes ? FOLLOW_LOST : refuse(follower, reply, why_r);
            reply_free(&reply);
            return result;
        }
        size_t got = reply->elements;
        struct position oldest = got > 0 ? log_entry_id(reply->element[got - 1]) : POSITION_NONE;
        reply_free(&reply);
        if (oldest.version > 0) {
            first = oldest;
            end[0] = '(';
            position_format(first, end + 1);
        }
        left = got < wanted || oldest.version == 0 ? 0 : left - got;
    }
    if (position_is_none(first)) {
        return place_at_head(follower, client, why_r);
    }
    follower->at = position_before(first);
    return FOLLOW_GOOD;
}

enum follow_result follow_place(struct follower *follower, struct client *client,
                                char why_r[static FOLLOW_WHY_MAX]) {
    if (follower->is_placed) {
        return FOLLOW_GOOD;
    }
    enum follow_result result = follower->rewind > 0 ? place_before(follower, client, why_r)
                                                     : place_at_head(follower, client, why_r);
    follower->is_placed = result == FOLLOW_GOOD;
    return result;
}

// ---- Going on ------------------------------------------------------------------------------------

// Where nothing is known, a channel that begins is next.
static bool is_next(const struct follower *follower, const struct message *message) {
    bool begins = message->position.version == 1 && position_is_none(message->fork);
    return position_is_none(follower->at) ? begins : message_follows(message, follower->at);
}

enum follow_result follow_hear(struct follower *follower, struct message *message,
                               const struct follow_events *events) {
    if (message_is_ephemeral(message)) {
        events->on_message(events->owner, follower, message);
        return FOLLOW_GOOD;
    }
    if (is_next(follower, message)) {
        follower->at = message->position;
        events->on_message(events->owner, follower, message);
        return FOLLOW_GOOD;
    }
    bool is_double = message->position.epoch == follower->at.epoch &&
                     message->position.version <= follower->at.version;
    return is_double ? FOLLOW_GOOD : FOLLOW_BEHIND;
}

// Stands before the oldest entry, which is where an unknown cursor goes on, too.
static void begin_at_oldest(struct follower *follower, const struct log_page *page,
                            const struct follow_events *events) {
    follower->at = position_is_none(page->facts.next) ? page->facts.channel.head
                                                      : position_before(page->facts.next);
    if (!position_is_none(follower->unknown)) {
        struct reset reset = {follower->unknown, follower->at, RESET_FOREIGN};
        follower->unknown = POSITION_NONE;
        events->on_reset(events->owner, follower, &reset);
    }
}

// Stands where the page can be taken from, and tells when that is a break. False when the page is
// of no use, because the oldest entry has to be read first.
static bool connect_page(struct follower *follower, const struct log_page *page,
                         const struct follow_events *events) {
    struct reset reset;
    if (position_is_none(follower->at)) {
        begin_at_oldest(follower, page, events);
        return true;
    }
    switch (continuity_decide(follower->at, &page->facts, &reset)) {
    case CONTINUITY_KEPT:
        break;
    case CONTINUITY_BROKEN:
        follower->at = reset.to;
        events->on_reset(events->owner, follower, &reset);
        break;
    case CONTINUITY_UNKNOWN:
        follower->unknown = follower->at;
        follower->at = POSITION_NONE;
        return false;
    }
    return true;
}

static enum follow_result take_entries(struct follower *follower, const struct log_page *page,
                                       const struct follow_events *events) {
    for (size_t i = 0; i < page->entries->elements; i++) {
        struct message fields;
        bool was_demoted;
        if (!log_entry_parse(page->entries->element[i], &fields) ||
            !message_follows(&fields, follower->at)) {
            return FOLLOW_BEHIND; // a break inside the log: the next read begins here and tells it
        }
        struct message *message = message_create(&fields, &was_demoted);
        follower->at = message->position;
        bool goes_on = events->on_message(events->owner, follower, message);
        message_unref(&message);
        if (!goes_on) {
            return FOLLOW_GOOD;
        }
    }
    return position_compare(follower->at, page->last) < 0 ? FOLLOW_BEHIND : FOLLOW_GOOD;
}

void follow_send(struct follower *follower, struct client *client) {
    page_send(client, &follower->keys, follower->at);
}

enum follow_result follow_take(struct follower *follower, struct client *client,
                               const struct follow_events *events,
                               char why_r[static FOLLOW_WHY_MAX]) {
    redisReply *reply;
    struct log_page page;
    if (page_receive(client, &reply) < 0) {
        return FOLLOW_LOST;
    }
    enum follow_result result = FOLLOW_LOST;
    if (log_page_parse(reply, &page)) {
        result = connect_page(follower, &page, events) ? take_entries(follower, &page, events)
                                                       : FOLLOW_BEHIND;
    } else if (!is_passing(reply)) {
        result = refuse(follower, reply, why_r);
    }
    reply_free(&reply);
    return result;
}

enum follow_result follow_read(struct follower *follower, struct client *client,
                               const struct follow_events *events,
                               char why_r[static FOLLOW_WHY_MAX]) {
    enum follow_result result = FOLLOW_BEHIND;
    while (result == FOLLOW_BEHIND && !interrupt_came()) {
        follow_send(follower, client);
        result = follow_take(follower, client, events, why_r);
    }
    return result;
}
