// Publishing through the function library.
#include "cluster/publish.h"

#include "cluster/base/mem.h"
#include "cluster/core.h"
#include "cluster/resp.h"

#include <stdio.h>

enum { DEADLINE_MS = 1000, IN_FLIGHT_MAX = 16384, IN_FLIGHT_BYTES_MAX = 32 << 20, WORDS_MAX = 24 };

// What Redis may still answer. It outlives the call when the deadline passes first.
struct attempt {
    struct cluster *cluster;
    struct publish_call *call; // NULL once completed
    struct list in_flight;
    uint64_t deadline_ms;
    size_t bytes;
    bool was_repeated;
};

void publishes_init(struct publishes *publishes) {
    list_init(&publishes->in_flight);
}

static bool begins_with_any(struct slice text, const char *const *prefixes) {
    for (; *prefixes != NULL; prefixes++) {
        if (slice_starts_with(text, slice_of(*prefixes))) {
            return true;
        }
    }
    return false;
}

enum publish_result publish_result_of(struct slice error, enum publish_refusal *refusal_r) {
    // Conditions that pass, after each of which nothing was written (CONTRACT.md, section 3).
    static const char *const passing[] = {"LOADING",    "OOM",         "READONLY", "NOREPLICAS",
                                          "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MISCONF",
                                          "BUSY",       "MOVED",       "ASK",      NULL};
    static const char *const rights[] = {"NOPERM", "ERR rights", "NOAUTH", NULL};
    static const char *const json[] = {"ERR json", NULL};
    static const char *const conflict[] = {"CONFLICT ", NULL};
    // What the library says of a caller's words. Its other complaints are of ours, or of the keys.
    static const char *const arguments[] = {
        "ERR DATA ", "ERR EVENT ", "ERR FOR ",  "ERR HISTORY ",   "ERR IF ",
        "ERR ONCE ", "ERR TTL ",   "ERR TYPE ", "ERR a channel ", NULL};
    *refusal_r = REFUSAL_NONE;
    if (begins_with_any(error, conflict)) {
        return PUBLISH_CONFLICT;
    }
    if (begins_with_any(error, passing)) {
        return PUBLISH_UNAVAILABLE;
    }
    *refusal_r = begins_with_any(error, rights)      ? REFUSAL_RIGHTS
                 : begins_with_any(error, json)      ? REFUSAL_JSON
                 : begins_with_any(error, arguments) ? REFUSAL_ARGUMENTS
                                                     : REFUSAL_REDIS;
    return PUBLISH_REFUSED;
}

static void complete(struct cluster *cluster, struct publish_call *call, enum publish_result result,
                     enum publish_refusal refusal, struct slice text) {
    call->result = result;
    call->refusal = refusal;
    resp_printable(text, call->text);
    stats_add(&cluster->stats.publishes[result], 1);
    fanout_complete(&call->call, 0);
}

static void finish(struct attempt *attempt, enum publish_result result,
                   enum publish_refusal refusal, struct slice text) {
    complete(attempt->cluster, attempt->call, result, refusal, text);
    attempt->call = NULL;
    list_remove(&attempt->in_flight);
}

static void destroy(struct attempt *attempt) {
    attempt->cluster->publishes.count--;
    attempt->cluster->publishes.bytes -= attempt->bytes;
    mem_free(attempt);
}

static int send_attempt(struct attempt *attempt);

static bool is_position(struct slice text) {
    struct position position;
    return position_parse(text, &position) == 0;
}

// Another library may have our name: what it says is no answer to us, and who knows what it did.
static void on_answer(struct attempt *attempt, const redisReply *reply) {
    struct slice text = resp_text(reply);
    enum publish_result result = PUBLISH_OK;
    enum publish_refusal refusal = REFUSAL_NONE;
    bool is_known = is_position(text);
    if (reply->type == REDIS_REPLY_ERROR) {
        result = publish_result_of(text, &refusal);
        is_known = true;
    }
    if (result == PUBLISH_CONFLICT) {
        text = slice_from(text, sizeof("CONFLICT ") - 1);
        is_known = is_position(text) || slice_equal(text, SLICE("none"));
    }
    if (is_known) {
        finish(attempt, result, refusal, text);
    } else {
        finish(attempt, PUBLISH_UNKNOWN, REFUSAL_NONE, SLICE("its answer is none of ours"));
    }
}

static void on_reply(void *owner, int status, const redisReply *reply) {
    struct attempt *attempt = owner;
    if (attempt->call == NULL) {
        destroy(attempt); // told `unknown` long ago
        return;
    }
    if (status == 0 && functions_are_missing(reply) && !attempt->was_repeated) {
        // FUNCTION FLUSH, or a master that never had it: load, then once more in the same pipeline.
        attempt->was_repeated = true;
        functions_load(attempt->cluster);
        if (send_attempt(attempt) == 0) {
            return;
        }
        status = E_UNAVAILABLE;
    }
    if (status == 0) {
        on_answer(attempt, reply);
    } else if (status == E_UNAVAILABLE) {
        finish(attempt, PUBLISH_UNAVAILABLE, REFUSAL_NONE, SLICE("Redis is not reachable"));
    } else {
        finish(attempt, PUBLISH_UNKNOWN, REFUSAL_NONE, SLICE("the link broke before the answer"));
    }
    destroy(attempt);
}

static size_t add_option(struct slice *words, size_t count, struct slice name, struct slice value) {
    if (value.len == 0) {
        return count;
    }
    words[count] = name;
    words[count + 1] = value;
    return count + 2;
}

static struct slice number_text(uint64_t number, char text_r[static 24]) {
    if (number == 0) {
        return SLICE_NONE;
    }
    return slice_make(text_r, (size_t)snprintf(text_r, 24, "%llu", (unsigned long long)number));
}

static int send_attempt(struct attempt *attempt) {
    const struct publish_call *call = attempt->call;
    struct keys keys;
    keys_init(&keys, attempt->cluster->prefix, call->channel);
    char once_key[KEY_BYTES_MAX + 256];
    char history[24];
    char ttl[24];
    struct slice words[WORDS_MAX] = {SLICE("FCALL"), SLICE("freshet_publish"), SLICE("2"),
                                     keys.hash, keys.log};
    size_t count = 5;
    if (call->once.len > 0) {
        int len = snprintf(once_key, sizeof(once_key), "%.*s:once:%.*s", SLICE_ARGS(keys.hash),
                           SLICE_ARGS(call->once));
        CHECK(len > 0 && (size_t)len < sizeof(once_key));
        words[2] = SLICE("3");
        words[count++] = slice_make(once_key, (size_t)len);
    }
    words[count++] = call->data;
    count = add_option(words, count, SLICE("TYPE"), slice_of(message_type_name(call->type)));
    count = add_option(words, count, SLICE("EVENT"), call->event);
    count = add_option(words, count, SLICE("HISTORY"), number_text(call->history, history));
    count = add_option(words, count, SLICE("TTL"), number_text(call->ttl_s, ttl));
    count = add_option(words, count, SLICE("ONCE"), call->once);
    count = add_option(words, count, SLICE("IF"), call->if_head);
    struct redis_reply_handler handler = {.on_reply = on_reply, .owner = attempt};
    return redis_conn_command(attempt->cluster->links[REDIS_LINK_COMMAND], count, words, handler);
}

static void on_call(struct letter *letter) {
    struct call *base = CONTAINER_OF(letter, struct call, letter);
    struct publish_call *call = CONTAINER_OF(base, struct publish_call, call);
    struct cluster *cluster = base->member->cluster;
    struct publishes *publishes = &cluster->publishes;
    if (publishes->count >= IN_FLIGHT_MAX ||
        publishes->bytes + call->data.len > IN_FLIGHT_BYTES_MAX) {
        complete(cluster, call, PUBLISH_UNAVAILABLE, REFUSAL_NONE,
                 SLICE("too many publishes wait for Redis"));
        return;
    }
    struct attempt *attempt = mem_alloc(sizeof(*attempt));
    attempt->cluster = cluster;
    attempt->call = call;
    attempt->deadline_ms = uv_now(&cluster->loop) + DEADLINE_MS;
    attempt->bytes = call->data.len;
    publishes->count++;
    publishes->bytes += attempt->bytes;
    list_append(&publishes->in_flight, &attempt->in_flight);
    if (send_attempt(attempt) != 0) {
        finish(attempt, PUBLISH_UNAVAILABLE, REFUSAL_NONE, SLICE("Redis is not reachable"));
        destroy(attempt);
    }
}

void cluster_publish(struct cluster_member *member, struct publish_call *call) {
    CHECK(channel_name_is_valid(call->channel) && call->once.len <= ONCE_BYTES_MAX);
    fanout_submit(member, &call->call, on_call);
}

void publishes_tick(struct cluster *cluster, uint64_t now_ms) {
    LIST_FOREACH(node, &cluster->publishes.in_flight) {
        struct attempt *attempt = LIST_ENTRY(node, struct attempt, in_flight);
        if (attempt->deadline_ms > now_ms) {
            return;
        }
        finish(attempt, PUBLISH_UNKNOWN, REFUSAL_NONE, SLICE("no answer within 1 s"));
    }
}
