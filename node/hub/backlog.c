// The ring of recent messages. Places are found by sequence number, or by position with a binary
// search: within one backlog positions rise.
#include "node/hub/backlog.h"

#include "cluster/base/mem.h"

enum { CAPACITY_FIRST = 8 };

void entry_hold(struct entry *entry, struct message *message, size_t *held) {
    *entry = (struct entry){.message = message_ref(message), .held = held};
    *held += message->size;
}

void entry_release(struct entry *entry) {
    *entry->held -= entry->message->size;
    for (size_t kind = 0; kind < FRAME_KINDS; kind++) {
        if (entry->frames[kind] != NULL) {
            *entry->held -= entry->frames[kind]->len;
            frame_unref(&entry->frames[kind]);
        }
    }
    message_unref(&entry->message);
}

void backlog_init(struct backlog *backlog, size_t *held) {
    *backlog = (struct backlog){.first_seq = 1, .held = held};
}

static void clear(struct backlog *backlog) {
    while (backlog->count > 0) {
        backlog_drop_oldest(backlog);
    }
    mem_free(backlog->slots);
    backlog->slots = NULL;
    backlog->capacity = 0;
}

void backlog_release(struct backlog *backlog) {
    clear(backlog);
}

void backlog_restart(struct backlog *backlog, struct position base) {
    clear(backlog);
    backlog->first_seq++; // who stood at the end has lost its place too
    backlog->base = base;
}

static struct entry *slot_at(const struct backlog *backlog, uint64_t seq) {
    return &backlog->slots[seq & (backlog->capacity - 1)];
}

static void grow(struct backlog *backlog) {
    struct backlog wider = *backlog;
    wider.capacity = backlog->capacity > 0 ? backlog->capacity * 2 : CAPACITY_FIRST;
    wider.slots = mem_alloc_array(wider.capacity, sizeof(struct entry));
    for (uint64_t seq = backlog->first_seq; seq < backlog_end(backlog); seq++) {
        *slot_at(&wider, seq) = *slot_at(backlog, seq);
    }
    mem_free(backlog->slots);
    *backlog = wider;
}

void backlog_append(struct backlog *backlog, struct message *message) {
    CHECK(message_follows(message, backlog_head(backlog)));
    if (backlog->count == backlog->capacity) {
        grow(backlog);
    }
    entry_hold(slot_at(backlog, backlog_end(backlog)), message, backlog->held);
    backlog->count++;
    backlog->bytes += message->size;
}

void backlog_drop_oldest(struct backlog *backlog) {
    struct entry *oldest = backlog_at(backlog, backlog->first_seq);
    backlog->base = oldest->message->position;
    backlog->bytes -= oldest->message->size;
    backlog->first_seq++;
    backlog->count--;
    entry_release(oldest);
}

void backlog_trim(struct backlog *backlog, size_t messages_max, size_t bytes_max) {
    while (backlog->count > 1 && (backlog->count > messages_max || backlog->bytes > bytes_max)) {
        backlog_drop_oldest(backlog);
    }
}

struct entry *backlog_at(const struct backlog *backlog, uint64_t seq) {
    CHECK(backlog_has_seq(backlog, seq) && seq < backlog_end(backlog));
    return slot_at(backlog, seq);
}

// Of the last message before `seq`.
static struct position position_before(const struct backlog *backlog, uint64_t seq) {
    return seq == backlog->first_seq ? backlog->base
                                     : backlog_at(backlog, seq - 1)->message->position;
}

struct position backlog_head(const struct backlog *backlog) {
    return position_before(backlog, backlog_end(backlog));
}

bool backlog_find(const struct backlog *backlog, struct position cursor, uint64_t *seq_r) {
    if (position_is_none(cursor) || position_compare(cursor, backlog->base) < 0) {
        return false;
    }
    uint64_t low = backlog->first_seq;
    uint64_t high = backlog_end(backlog);
    while (low < high) { // the first entry behind the cursor
        uint64_t middle = low + (high - low) / 2;
        if (position_compare(backlog_at(backlog, middle)->message->position, cursor) > 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    // E-0 of a later epoch stands between two entries and is a place all the same.
    if (!position_equal(position_before(backlog, low), cursor) &&
        (low == backlog_end(backlog) ||
         !message_follows(backlog_at(backlog, low)->message, cursor))) {
        return false;
    }
    *seq_r = low;
    return true;
}

bool backlog_rewind(const struct backlog *backlog, size_t n, struct position *position_r,
                    uint64_t *seq_r) {
    if (n > backlog->count) {
        return false;
    }
    *seq_r = backlog_end(backlog) - n;
    *position_r = position_before(backlog, *seq_r);
    return true;
}

bool backlog_connects(const struct backlog *backlog, const struct handover *handover,
                      size_t *first_r) {
    struct position head = backlog_head(backlog);
    size_t first = 0;
    while (first < handover->count &&
           position_compare(handover->messages[first]->position, head) <= 0) {
        first++;
    }
    struct position before = first == 0 ? handover->base : handover->messages[first - 1]->position;
    *first_r = first;
    return position_equal(before, head) ||
           (first < handover->count && message_follows(handover->messages[first], head));
}
