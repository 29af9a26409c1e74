// See channel_facts.h.
#include "cluster/cli/channel_facts.h"

#include "cluster/log_page.h"

static const uint64_t NUMBER_MAX = (UINT64_C(1) << 53) - 1;

static void send_commands(const struct keys *keys, struct client *client) {
    client_send(client, WORDS(SLICE("TIME")));
    client_send(client, WORDS(SLICE("HGETALL"), keys->hash));
    client_send(client, WORDS(SLICE("PTTL"), keys->hash));
    client_send(client, WORDS(SLICE("XINFO"), SLICE("STREAM"), keys->log));
    client_send(client, WORDS(SLICE("PTTL"), keys->log));
    client_send(client, WORDS(SLICE("XRANGE"), keys->log, SLICE("-"), SLICE("+"), SLICE("COUNT"),
                              SLICE("1")));
    client_send(client, WORDS(SLICE("XREVRANGE"), keys->log, SLICE("+"), SLICE("-"), SLICE("COUNT"),
                              SLICE("1")));
    client_send(client,
                WORDS(SLICE("MEMORY"), SLICE("USAGE"), keys->log, SLICE("SAMPLES"), SLICE("0")));
    client_send(client, WORDS(SLICE("PUBSUB"), SLICE("NUMSUB"), keys->now));
}

static int64_t integer_or(const redisReply *reply, int64_t fallback) {
    return reply->type == REDIS_REPLY_INTEGER ? reply->integer : fallback;
}

static int64_t time_of(const redisReply *reply) {
    uint64_t seconds = 0;
    uint64_t micros = 0;
    if (reply_is_array(reply, 2)) {
        slice_to_u64(resp_text(reply->element[0]), NUMBER_MAX / 1000, &seconds);
        slice_to_u64(resp_text(reply->element[1]), 999999, &micros);
    }
    return (int64_t)(seconds * 1000 + micros / 1000);
}

static void read_entry(const redisReply *entries, struct message *message_r) {
    if (!reply_is_array(entries, 1) || !log_entry_parse(entries->element[0], message_r)) {
        *message_r = (struct message){0};
    }
}

static void read_hash(struct channel_facts *facts, const redisReply *hash) {
    facts->has_hash = reply_is_array(hash, 1);
    slice_to_u64(reply_find_text(hash, "epoch"), NUMBER_MAX, &facts->epoch);
    slice_to_u64(reply_find_text(hash, "version"), NUMBER_MAX, &facts->version);
    if (position_parse(reply_find_text(hash, "fork"), &facts->fork) < 0) {
        facts->fork = POSITION_NONE;
    }
}

static void read_log(struct channel_facts *facts, const redisReply *log) {
    facts->has_log = log->type == REDIS_REPLY_ARRAY;
    const redisReply *length = reply_find(log, "length");
    facts->length = length != NULL ? (uint64_t)integer_or(length, 0) : 0;
    if (position_parse(reply_find_text(log, "last-generated-id"), &facts->last_id) < 0) {
        facts->last_id = POSITION_NONE;
    }
}

static void interpret(struct channel_facts *facts) {
    redisReply *const *replies = facts->replies;
    facts->now_ms = time_of(replies[FACT_TIME]);
    read_hash(facts, replies[FACT_HASH]);
    read_log(facts, replies[FACT_LOG]);
    read_entry(replies[FACT_FIRST], &facts->first);
    read_entry(replies[FACT_LAST], &facts->last);
    if (position_is_none(facts->last_id)) { // XINFO may be forbidden where XREVRANGE is not
        facts->last_id = facts->last.position;
        facts->has_log = facts->has_log || !position_is_none(facts->last_id);
    }
    struct position counted = {facts->epoch, facts->version};
    facts->head = position_compare(facts->last_id, counted) > 0 ? facts->last_id : counted;
    facts->hash_ttl_ms = integer_or(replies[FACT_HASH_TTL], -3);
    facts->log_ttl_ms = integer_or(replies[FACT_LOG_TTL], -3);
    facts->bytes = integer_or(replies[FACT_BYTES], -1);
    const redisReply *subscribers = replies[FACT_SUBSCRIBERS];
    facts->subscribers =
        reply_is_array(subscribers, 2) ? integer_or(subscribers->element[1], -1) : -1;
}

// Without these nothing can be said.
static const redisReply *find_refusal(const struct channel_facts *facts) {
    static const enum fact needed[] = {FACT_HASH, FACT_FIRST, FACT_LAST};
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        if (reply_is_error(facts->replies[needed[i]])) {
            return facts->replies[needed[i]];
        }
    }
    return NULL;
}

int channel_facts_read(struct channel_facts *facts, struct client *client, struct slice prefix,
                       struct slice channel, const redisReply **refusal_r) {
    *facts = (struct channel_facts){0};
    keys_init(&facts->keys, prefix, channel);
    send_commands(&facts->keys, client);
    for (size_t i = 0; i < FACTS; i++) {
        int error = client_receive(client, &facts->replies[i]);
        if (error < 0) {
            channel_facts_release(facts);
            return error;
        }
    }
    *refusal_r = find_refusal(facts);
    interpret(facts);
    return 0;
}

void channel_facts_release(struct channel_facts *facts) {
    for (size_t i = 0; i < FACTS; i++) {
        reply_free(&facts->replies[i]);
    }
}
