// See log_page.h.
#include "cluster/log_page.h"

#include "cluster/resp.h"

enum { PART_HASH, PART_LAST, PART_BELOW, PART_ENTRIES, PARTS };

static const uint64_t NUMBER_MAX = (UINT64_C(1) << 53) - 1;

struct position log_position_of(const redisReply *reply) {
    struct position position;
    return position_parse(resp_text(reply), &position) == 0 ? position : POSITION_NONE;
}

struct position log_entry_id(const redisReply *entry) {
    return entry->type == REDIS_REPLY_ARRAY && entry->elements == 2
               ? log_position_of(entry->element[0])
               : POSITION_NONE;
}

size_t log_entry_bytes(const redisReply *entry) {
    enum { FRAMING_BYTES = 64 };
    size_t bytes = FRAMING_BYTES;
    if (entry->type == REDIS_REPLY_ARRAY && entry->elements == 2) {
        const redisReply *pairs = entry->element[1];
        for (size_t i = 0; pairs->type == REDIS_REPLY_ARRAY && i < pairs->elements; i++) {
            bytes += resp_text(pairs->element[i]).len;
        }
    }
    return bytes;
}

struct position log_first_id(const redisReply *entries) {
    return entries->type == REDIS_REPLY_ARRAY && entries->elements > 0
               ? log_entry_id(entries->element[0])
               : POSITION_NONE;
}

struct channel_head log_head_of(const redisReply *hash, const redisReply *last) {
    struct channel_head channel = {0};
    if (hash->type == REDIS_REPLY_ARRAY && hash->elements >= 3) {
        slice_to_u64(resp_text(hash->element[0]), NUMBER_MAX, &channel.head.epoch);
        slice_to_u64(resp_text(hash->element[1]), NUMBER_MAX, &channel.head.version);
        position_parse(resp_text(hash->element[2]), &channel.fork);
    }
    struct position last_id = log_first_id(last);
    if (position_compare(last_id, channel.head) > 0) {
        channel.head = last_id;
    }
    return channel;
}

static void read_field(struct message *fields, struct slice name, struct slice value) {
    if (slice_equal(name, SLICE("data"))) {
        fields->data = value;
    } else if (slice_equal(name, SLICE("type"))) {
        message_type_parse(value, &fields->type);
    } else if (slice_equal(name, SLICE("event")) && event_name_is_valid(value)) {
        fields->event = value;
    } else if (slice_equal(name, SLICE("fork"))) {
        position_parse(value, &fields->fork);
    } else if (slice_equal(name, SLICE("time"))) {
        uint64_t time_ms = 0;
        slice_to_u64(value, INT64_MAX, &time_ms);
        fields->time_ms = (int64_t)time_ms;
    }
}

bool log_entry_parse(const redisReply *entry, struct message *fields_r) {
    *fields_r = (struct message){.type = MESSAGE_TEXT, .position = log_entry_id(entry)};
    if (fields_r->position.version == 0) { // the place before a message, never one itself
        return false;
    }
    const redisReply *pairs = entry->element[1];
    for (size_t i = 0; pairs->type == REDIS_REPLY_ARRAY && i + 1 < pairs->elements; i += 2) {
        read_field(fields_r, resp_text(pairs->element[i]), resp_text(pairs->element[i + 1]));
    }
    return true;
}

bool log_page_parse(const redisReply *reply, struct log_page *page_r) {
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != PARTS) {
        return false;
    }
    for (size_t i = 0; i < PARTS; i++) {
        if (reply->element[i]->type != REDIS_REPLY_ARRAY) {
            return false;
        }
    }
    *page_r = (struct log_page){.entries = reply->element[PART_ENTRIES],
                                .last = log_first_id(reply->element[PART_LAST])};
    page_r->facts.channel = log_head_of(reply->element[PART_HASH], reply->element[PART_LAST]);
    page_r->facts.has_entries = !position_is_none(page_r->last);
    page_r->facts.has_entry_in_epoch = !position_is_none(log_first_id(reply->element[PART_BELOW]));
    if (page_r->entries->elements > 0) {
        struct message next;
        if (!log_entry_parse(page_r->entries->element[0], &next)) {
            return false;
        }
        page_r->facts.next = next.position;
        page_r->facts.next_fork = next.fork;
    }
    return true;
}
