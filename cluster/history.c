// History for those whom no backlog can serve.
#include "cluster/history.h"

#include "cluster/base/mem.h"
#include "cluster/core.h"
#include "cluster/log_read.h"

enum {
    READS_IN_FLIGHT_MAX = 32,
    CALLS_WAITING_MAX = 1 << 16,
    KEY_MAX = CHANNEL_NAME_BYTES_MAX + 128,
};

// One read of Redis for all calls that ask the same.
struct shared_read {
    struct log_read read;
    struct call *calls; // by call.next
    struct list in_waiting;
    size_t key_len;
    char key[KEY_MAX];
};

void histories_init(struct histories *histories) {
    list_init(&histories->waiting);
}

void histories_release(struct histories *histories) {
    CHECK(histories->calls == 0);
    map_release(&histories->by_key);
}

static struct history_call *history_of(struct call *call) {
    return CONTAINER_OF(call, struct history_call, call);
}

// Two calls are equal when their keys are. A space cannot be part of a channel's name.
static size_t write_key(const struct history_call *call, char key_r[static KEY_MAX]) {
    int len = snprintf(key_r, KEY_MAX, "%.*s %d %llu-%llu %llu %zu %zu", SLICE_ARGS(call->channel),
                       (int)call->start, (unsigned long long)call->since.epoch,
                       (unsigned long long)call->since.version, (unsigned long long)call->rewind,
                       call->limit, call->bytes_max);
    CHECK(len > 0 && len < KEY_MAX);
    return (size_t)len;
}

static void give_answer(struct history_call *call, const struct log_read *read) {
    call->position = read->position;
    call->has_reset = read->has_reset;
    call->reset = read->reset;
    call->count = read->count < call->limit ? read->count : call->limit;
    call->has_more = read->has_more || call->count < read->count;
    call->head = read->channel.head;
    call->messages = NULL;
    if (call->count > 0) {
        call->messages = mem_alloc_array(call->count, sizeof(*call->messages));
    }
    for (size_t i = 0; i < call->count; i++) {
        call->messages[i] = message_ref(read->messages[i]);
    }
}

static void complete(struct cluster *cluster, struct shared_read *shared, int status) {
    struct call *call = shared->calls;
    while (call != NULL) {
        struct call *next = call->next;
        if (status == 0) {
            give_answer(history_of(call), &shared->read);
        }
        cluster->histories.calls--;
        fanout_complete(call, status);
        call = next;
    }
    map_remove(&cluster->histories.by_key, slice_make(shared->key, shared->key_len));
    log_read_release(&shared->read);
    mem_free(shared);
}

static void on_read(struct log_read *read, int status) {
    struct shared_read *shared = CONTAINER_OF(read, struct shared_read, read);
    struct cluster *cluster = read->cluster;
    cluster->histories.in_flight--;
    complete(cluster, shared, status);
}

static struct shared_read *create(struct cluster *cluster, const struct history_call *call,
                                  struct slice key) {
    struct shared_read *shared = mem_alloc(sizeof(*shared));
    memcpy(shared->key, key.data, key.len);
    shared->key_len = key.len;
    shared->read.cluster = cluster;
    shared->read.start = call->start;
    shared->read.since = call->since;
    shared->read.rewind = call->rewind;
    shared->read.limit = call->limit > 0 ? call->limit : 1; // whether there is one
    shared->read.bytes_max = call->bytes_max;
    shared->read.entry_bytes = subscriptions_entry_bytes(cluster, call->channel);
    shared->read.on_done = on_read;
    keys_init(&shared->read.keys, cluster->prefix, call->channel);
    list_init(&shared->in_waiting);
    list_append(&cluster->histories.waiting, &shared->in_waiting);
    map_put(&cluster->histories.by_key, slice_make(shared->key, shared->key_len), shared);
    return shared;
}

// A read that was already sent may be older than what this caller has seen: it waits for the next
// one unless the read still waits too.
static void on_call(struct letter *letter) {
    struct call *call = CONTAINER_OF(letter, struct call, letter);
    struct history_call *history = history_of(call);
    struct cluster *cluster = call->member->cluster;
    struct histories *histories = &cluster->histories;
    if (histories->calls >= CALLS_WAITING_MAX) {
        fanout_complete(call, E_OVERLOADED);
        return;
    }
    char key[KEY_MAX];
    struct slice key_slice = slice_make(key, write_key(history, key));
    struct shared_read *shared = map_get(&histories->by_key, key_slice);
    if (shared == NULL) {
        shared = create(cluster, history, key_slice);
    }
    call->next = shared->calls;
    shared->calls = call;
    histories->calls++;
}

void cluster_history(struct cluster_member *member, struct history_call *call) {
    CHECK(channel_name_is_valid(call->channel));
    CHECK(call->start != HISTORY_SINCE || !position_is_none(call->since));
    call->messages = NULL;
    call->count = 0;
    call->has_reset = false;
    call->has_more = false;
    fanout_submit(member, &call->call, on_call);
}

void history_call_release(struct history_call *call) {
    for (size_t i = 0; i < call->count; i++) {
        message_unref(&call->messages[i]);
    }
    mem_free(call->messages);
    call->messages = NULL;
    call->count = 0;
}

void histories_pump(struct cluster *cluster) {
    struct histories *histories = &cluster->histories;
    bool is_up = redis_conn_is_up(cluster->links[REDIS_LINK_COMMAND]);
    while (!list_is_empty(&histories->waiting) &&
           (!is_up || histories->in_flight < READS_IN_FLIGHT_MAX)) {
        struct shared_read *shared =
            LIST_ENTRY(list_pop(&histories->waiting), struct shared_read, in_waiting);
        histories->in_flight++;
        int error = is_up ? log_read_start(&shared->read) : E_UNAVAILABLE;
        if (error != 0) {
            on_read(&shared->read, error);
        }
    }
}
