// Pages of a channel's log.
#include "cluster/log_read.h"

#include "cluster/base/mem.h"
#include "cluster/core.h"
#include "cluster/envelope.h"
#include "cluster/redis_greeting.h"
#include "cluster/resp_guard.h"

enum {
    BLIND_ENTRIES = 4, // of a first page about whose entries nothing is known
    GROWTH = 4,
    ENTRY_BYTES_MAX = DATA_BYTES_MAX + 4096,
};

// However large entries are behind small ones, a page is a reply that is believed.
_Static_assert((size_t)LOG_PAGE_ENTRIES *ENTRY_BYTES_MAX + 3 * (size_t)ENTRY_BYTES_MAX <
                   RESP_REPLY_BYTES_MAX,
               "a page may be larger than any reply");

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
    if (read->count > 0 && read->bytes + fields.data.len > read->bytes_max) {
        return false; // for the next read
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

// How many entries to ask for: no more than are wanted, and about as many as fit.
static size_t next_page_entries(const struct log_read *read) {
    size_t wanted = read->limit - read->count;
    size_t room = read->bytes_max > read->bytes ? read->bytes_max - read->bytes : 0;
    if (read->direction == LOG_READ_BACKWARD) {
        wanted = read->rewind - read->counted < read->page_max
                     ? (size_t)(read->rewind - read->counted)
                     : read->page_max;
        room = LOG_PAGE_BYTES;
    }
    if (room > LOG_PAGE_BYTES) {
        room = LOG_PAGE_BYTES;
    }
    size_t entries = read->entry_bytes > 0 ? room / read->entry_bytes : wanted;
    if (entries > read->page_max) {
        entries = read->page_max;
    }
    if (entries > wanted) {
        entries = wanted;
    }
    return entries > 0 ? entries : 1;
}

// The largest one of the page counts: of the next page, too many are worse than too few.
static void learn_sizes(struct log_read *read, const redisReply *entries) {
    size_t largest = 0;
    for (size_t i = 0; i < entries->elements; i++) {
        size_t bytes = log_entry_bytes(entries->element[i]);
        largest = bytes > largest ? bytes : largest;
    }
    if (largest > 0) {
        read->entry_bytes = largest;
    }
    if (read->page_max < LOG_PAGE_ENTRIES) {
        read->page_max *= GROWTH;
    }
}

static bool is_full(const struct log_read *read) {
    return read->count == read->limit || read->bytes >= read->bytes_max;
}

static void take_entries(struct log_read *read, const struct log_page *page) {
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
    take_entries(read, page);
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
    if (entries->elements == read->asked && read->counted < read->rewind) {
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

static void take_page(struct log_read *read, const struct log_page *page) {
    if (read->direction == LOG_READ_BACKWARD) {
        on_backward_page(read, page);
    } else {
        on_forward_page(read, page);
    }
}

// ---- Commands ------------------------------------------------------------------------------------

static void on_role(void *owner, int status, const redisReply *reply) {
    struct log_read *read = owner;
    // Without the right to ask, we have to believe what the operator configured.
    read->is_proven =
        status == 0 && (reply->type == REDIS_REPLY_ERROR || greeting_is_role(reply, "master"));
}

bool log_refuses_transaction(const redisReply *reply) {
    return reply->type == REDIS_REPLY_ERROR &&
           slice_starts_with(resp_text(reply), SLICE("EXECABORT"));
}

static void on_page(void *owner, int status, const redisReply *reply) {
    struct log_read *read = owner;
    struct log_page page;
    if (status != 0) {
        finish(read, E_UNAVAILABLE); // a read may be repeated, whether it was sent or not
    } else if (log_refuses_transaction(reply) && !read->is_by_function) {
        read->is_by_function = true;
        next_page(read);
    } else if (!log_page_parse(reply, &page)) {
        char why[RESP_PRINTABLE_MAX];
        resp_complaint(reply, why);
        log_warning("history", "reading %.*s failed: %s", SLICE_ARGS(read->keys.log), why);
        finish(read, resp_error_of(reply));
    } else if (!read->is_proven) {
        finish(read, E_UNPROVEN);
    } else {
        learn_sizes(read, page.entries);
        take_page(read, &page);
    }
}

// What to ask for behind (or before) read->at, and below it.
struct range {
    struct slice top; // from here down to `bottom` one entry of the same epoch is looked for
    struct slice bottom;
    struct slice command;
    struct slice from;
    struct slice to;
    struct slice count;
    char top_text[POSITION_TEXT_MAX];
    char bottom_text[POSITION_TEXT_MAX];
    char bound_text[POSITION_TEXT_MAX + 1];
    char count_text[24];
};

static void range_init(struct range *range, const struct log_read *read) {
    bool is_backward = read->direction == LOG_READ_BACKWARD;
    struct slice bound = is_backward ? SLICE("+") : SLICE("-");
    // With nothing to look below for, any empty range will do.
    range->top = range->bottom = SLICE("0-1");
    if (!position_is_none(read->at)) {
        struct position lowest = {read->at.epoch, 0};
        range->top = slice_make(range->top_text, position_format(read->at, range->top_text));
        range->bottom = slice_make(range->bottom_text, position_format(lowest, range->bottom_text));
        range->bound_text[0] = '(';
        bound = slice_make(range->bound_text, 1 + position_format(read->at, range->bound_text + 1));
    }
    range->command = is_backward ? SLICE("XREVRANGE") : SLICE("XRANGE");
    range->from = bound;
    range->to = is_backward ? SLICE("-") : SLICE("+");
    int len = snprintf(range->count_text, sizeof(range->count_text), "%zu", read->asked);
    range->count = slice_make(range->count_text, (size_t)len);
}

static void send_head(struct redis_conn *conn, const struct keys *keys) {
    link_send(conn, 5,
              (struct slice[]){SLICE("HMGET"), keys->hash, SLICE("epoch"), SLICE("version"),
                               SLICE("fork")},
              NULL, NULL);
    link_send(conn, 6,
              (struct slice[]){SLICE("XREVRANGE"), keys->log, SLICE("+"), SLICE("-"),
                               SLICE("COUNT"), SLICE("1")},
              NULL, NULL);
}

void log_read_head(struct redis_conn *conn, const struct keys *keys, bool is_by_function,
                   link_handler *on_reply, void *owner) {
    if (is_by_function) {
        link_send(conn, 5,
                  (struct slice[]){SLICE("FCALL_RO"), SLICE("freshet_read"), SLICE("2"), keys->hash,
                                   keys->log},
                  on_reply, owner);
        return;
    }
    link_send(conn, 1, (struct slice[]){SLICE("MULTI")}, NULL, NULL);
    send_head(conn, keys);
    link_send(conn, 1, (struct slice[]){SLICE("EXEC")}, on_reply, owner);
}

static void send_transaction(struct log_read *read, const struct range *range) {
    struct redis_conn *conn = read->cluster->links[REDIS_LINK_COMMAND];
    struct slice log = read->keys.log;
    link_send(conn, 1, (struct slice[]){SLICE("MULTI")}, NULL, NULL);
    send_head(conn, &read->keys);
    link_send(conn, 6,
              (struct slice[]){SLICE("XREVRANGE"), log, range->top, range->bottom, SLICE("COUNT"),
                               SLICE("1")},
              NULL, NULL);
    link_send(
        conn, 6,
        (struct slice[]){range->command, log, range->from, range->to, SLICE("COUNT"), range->count},
        NULL, NULL);
    link_send(conn, 1, (struct slice[]){SLICE("EXEC")}, on_page, read);
}

static void send_call(struct log_read *read, const struct range *range) {
    link_send(read->cluster->links[REDIS_LINK_COMMAND], 11,
              (struct slice[]){SLICE("FCALL_RO"), SLICE("freshet_read"), SLICE("2"),
                               read->keys.hash, read->keys.log, range->top, range->bottom,
                               range->command, range->from, range->to, range->count},
              on_page, read);
}

static void send_page(struct log_read *read) {
    struct range range;
    read->asked = next_page_entries(read);
    range_init(&range, read);
    read->is_proven = false;
    link_send(read->cluster->links[REDIS_LINK_COMMAND], 1, (struct slice[]){SLICE("ROLE")}, on_role,
              read);
    if (read->is_by_function) {
        send_call(read, &range);
    } else {
        send_transaction(read, &range);
    }
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
    read->page_max = read->entry_bytes > 0 ? LOG_PAGE_ENTRIES : BLIND_ENTRIES;
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
