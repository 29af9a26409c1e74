// Pages of a channel's log.
#include "cluster/log_read.h"

#include "cluster/base/mem.h"
#include "cluster/core.h"
#include "cluster/envelope.h"
#include "cluster/redis_greeting.h"

static void send_page(struct log_read *read);

// ---- Pages ---------------------------------------------------------------------------------------

static void finish(struct log_read *read, int status) {
    read->on_done(read, status);
}

static void next_page(struct log_read *read) {
    if (!redis_conn_is_up(read->cluster->links[REDIS_LINK_COMMAND])) {
        finish(read, E_UNAVAILABLE);
        return;
    }
    send_page(read);
}

static bool take(struct log_read *read, const redisReply *entry) {
    struct message fields;
    bool was_demoted = false;
    if (!log_entry_parse(entry, &fields) || !message_follows(&fields, read->at)) {
        return false; // a break inside the log: the read that begins here will tell it
    }
    struct message *message = message_create(&fields, &was_demoted);
    stats_add(&read->cluster->stats.json_demoted, was_demoted);
    if (read->messages == NULL) {
        read->messages = mem_alloc_array(read->limit, sizeof(*read->messages));
    }
    read->messages[read->count++] = message;
    read->bytes += fields.data.len;
    read->at = fields.position;
    return true;
}

static bool is_full(const struct log_read *read) {
    return read->count == read->limit || read->bytes >= read->bytes_max;
}

static void take_page(struct log_read *read, const struct log_page *page) {
    const redisReply *entries = page->entries;
    size_t taken = 0;
    while (taken < entries->elements && !is_full(read) && take(read, entries->element[taken])) {
        taken++;
    }
    read->has_more = position_compare(read->at, page->last) < 0;
    if (read->has_more && !is_full(read) && taken == entries->elements) {
        next_page(read);
        return;
    }
    finish(read, 0);
}

static void start_at_oldest(struct log_read *read) {
    read->is_oldest = true;
    read->at = POSITION_NONE;
    next_page(read);
}

// An old master does not know that it is one: before anybody is told that a message was lost, the
// Sentinels are asked, and the page is read again.
static void on_master_proven(struct sentinels_proof *proof) {
    struct log_read *read = CONTAINER_OF(proof, struct log_read, proof);
    next_page(read);
}

static bool wait_for_proof(struct log_read *read) {
    struct sentinels *sentinels = read->cluster->sentinels;
    if (sentinels == NULL || read->proof.on_done != NULL) {
        return false;
    }
    read->proof.on_done = on_master_proven;
    sentinels_prove(sentinels, &read->proof);
    return true;
}

// The first forward page decides where the reader stands; a later one must only connect.
static void on_forward_page(struct log_read *read, const struct log_page *page) {
    const struct log_facts *facts = &page->facts;
    read->channel = facts->channel;
    struct position begin = read->at;
    if (read->is_oldest) {
        begin = position_is_none(facts->next) ? facts->channel.head : position_before(facts->next);
    } else {
        struct reset reset;
        enum continuity verdict = continuity_decide(read->at, facts, &reset);
        if (verdict != CONTINUITY_KEPT && read->is_answering) {
            read->has_more = true; // trimmed under our feet: the next read will say so
            finish(read, 0);
            return;
        }
        if (verdict != CONTINUITY_KEPT && wait_for_proof(read)) {
            return;
        }
        if (verdict != CONTINUITY_KEPT) {
            read->has_reset = read->start == HISTORY_SINCE;
            read->reset = reset;
        }
        if (verdict == CONTINUITY_UNKNOWN) {
            start_at_oldest(read);
            return;
        }
        begin = verdict == CONTINUITY_BROKEN ? reset.to : read->at;
    }
    if (!read->is_answering) {
        read->is_answering = true;
        read->position = read->start == HISTORY_SINCE ? read->since : begin;
        read->reset.to = begin;
    }
    read->is_oldest = false;
    read->at = begin;
    take_page(read, page);
}

// Counts back to where a rewind begins, then reads on from there.
static void on_backward_page(struct log_read *read, const struct log_page *page) {
    const redisReply *entries = page->entries;
    for (size_t i = 0; i < entries->elements && read->counted < read->rewind; i++) {
        read->at = log_entry_id(entries->element[i]);
        read->counted++;
        if (position_is_none(read->at) || read->at.version == 0) {
            finish(read, E_PROTOCOL);
            return;
        }
    }
    if (entries->elements == LOG_PAGE_ENTRIES && read->counted < read->rewind) {
        next_page(read);
        return;
    }
    read->direction = LOG_READ_FORWARD;
    if (position_is_none(read->at)) {
        read->is_oldest = true; // nothing is kept
    } else {
        read->at = position_before(read->at);
    }
    next_page(read);
}

// ---- Commands ------------------------------------------------------------------------------------

static void on_role(void *owner, int status, const redisReply *reply) {
    struct log_read *read = owner;
    // Without the right to ask, we have to believe what the operator configured.
    read->is_proven =
        status == 0 && (reply->type == REDIS_REPLY_ERROR || greeting_is_role(reply, "master"));
}

static void on_page(void *owner, int status, const redisReply *reply) {
    struct log_read *read = owner;
    struct log_page page;
    if (status != 0) {
        finish(read, E_UNAVAILABLE); // a read may be repeated, whether it was sent or not
    } else if (!log_page_parse(reply, &page)) {
        const char *why = reply->type == REDIS_REPLY_ERROR ? reply->str : "not what we write";
        log_warning("history", "reading %.*s failed: %s", SLICE_ARGS(read->keys.log), why);
        finish(read, E_REDIS);
    } else if (!read->is_proven) {
        finish(read, E_UNPROVEN);
    } else if (read->direction == LOG_READ_BACKWARD) {
        on_backward_page(read, &page);
    } else {
        on_forward_page(read, &page);
    }
}

static void send_entries(struct log_read *read, struct redis_conn *conn) {
    char bound[POSITION_TEXT_MAX + 1] = "(";
    struct slice from = SLICE("-");
    if (!position_is_none(read->at)) {
        from = slice_make(bound, 1 + position_format(read->at, bound + 1));
    }
    char count_text[24];
    size_t want = read->limit - read->count;
    if (want > LOG_PAGE_ENTRIES || read->direction == LOG_READ_BACKWARD) {
        want = LOG_PAGE_ENTRIES;
    }
    struct slice count =
        slice_make(count_text, (size_t)snprintf(count_text, sizeof(count_text), "%zu", want));
    if (read->direction == LOG_READ_BACKWARD) {
        struct slice end = position_is_none(read->at) ? SLICE("+") : from;
        struct slice words[] = {SLICE("XREVRANGE"), read->keys.log, end,
                                SLICE("-"),         SLICE("COUNT"), count};
        link_send(conn, 6, words, NULL, NULL);
    } else {
        struct slice words[] = {SLICE("XRANGE"), read->keys.log, from,
                                SLICE("+"),      SLICE("COUNT"), count};
        link_send(conn, 6, words, NULL, NULL);
    }
}

static void send_page(struct log_read *read) {
    struct redis_conn *conn = read->cluster->links[REDIS_LINK_COMMAND];
    char top[POSITION_TEXT_MAX];
    char bottom[POSITION_TEXT_MAX];
    size_t top_len = position_format(read->at, top);
    size_t bottom_len = position_format((struct position){read->at.epoch, 0}, bottom);
    // With nothing to look below for, any empty range will do.
    struct slice highest = position_is_none(read->at) ? SLICE("0-1") : slice_make(top, top_len);
    struct slice lowest =
        position_is_none(read->at) ? SLICE("0-1") : slice_make(bottom, bottom_len);

    read->is_proven = false;
    link_send(conn, 1, (struct slice[]){SLICE("ROLE")}, on_role, read);
    link_send(conn, 1, (struct slice[]){SLICE("MULTI")}, NULL, NULL);
    link_send(conn, 5,
              (struct slice[]){SLICE("HMGET"), read->keys.hash, SLICE("epoch"), SLICE("version"),
                               SLICE("fork")},
              NULL, NULL);
    link_send(conn, 6,
              (struct slice[]){SLICE("XREVRANGE"), read->keys.log, SLICE("+"), SLICE("-"),
                               SLICE("COUNT"), SLICE("1")},
              NULL, NULL);
    link_send(conn, 6,
              (struct slice[]){SLICE("XREVRANGE"), read->keys.log, highest, lowest, SLICE("COUNT"),
                               SLICE("1")},
              NULL, NULL);
    send_entries(read, conn);
    link_send(conn, 1, (struct slice[]){SLICE("EXEC")}, on_page, read);
    stats_add(&read->cluster->stats.history_reads, 1);
}

int log_read_start(struct log_read *read) {
    CHECK(read->limit > 0 && read->on_done != NULL);
    if (!redis_conn_is_up(read->cluster->links[REDIS_LINK_COMMAND])) {
        return E_UNAVAILABLE;
    }
    read->direction = read->start == HISTORY_REWIND ? LOG_READ_BACKWARD : LOG_READ_FORWARD;
    read->is_oldest = read->start == HISTORY_OLDEST;
    read->at = read->start == HISTORY_SINCE ? read->since : POSITION_NONE;
    send_page(read);
    return 0;
}

void log_read_release(struct log_read *read) {
    for (size_t i = 0; i < read->count; i++) {
        message_unref(&read->messages[i]);
    }
    mem_free(read->messages);
    read->messages = NULL;
    read->count = 0;
}
