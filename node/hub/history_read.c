// The life of a page: delayed or waiting, sent, done, perhaps dropped. The library completes each
// call exactly once, so a read that was sent outlives the subscribers that have left it.
#include "node/hub/history_read.h"

#include "cluster/base/mem.h"
#include "node/hub/broadcast.h"
#include "node/hub/internal.h"

#define READ_MAGIC UINT32_C(0x72656164)

// How many open reads of a channel are looked at to find one to share. Equal reads come in crowds,
// so a short look is enough, and an unlucky one costs a read more.
enum { JOIN_LOOK_MAX = 32 };

static void release_entries(struct history_read *read) {
    for (size_t i = 0; i < read->call.count && read->entries != NULL; i++) {
        entry_release(&read->entries[i]);
    }
    mem_free(read->entries);
    read->entries = NULL;
}

static void destroy(struct history_read *read) {
    CHECK(read->refs == 0 && list_is_empty(&read->readers));
    wheel_stop(&read->delay);
    list_remove(&read->node);
    list_remove(&read->place);
    release_entries(read);
    read->magic = 0;
    mem_free(read);
}

// The oldest pages go, but never the newest: each reader gets to see what was read for it.
static void fit_pages(struct hub *hub) {
    while (hub->pages_held > PAGES_BYTES_MAX && hub->pages.next != hub->pages.prev) {
        struct history_read *oldest = LIST_ENTRY(list_pop(&hub->pages), struct history_read, place);
        release_entries(oldest);
        oldest->state = READ_DROPPED;
    }
}

static void send_waiting(struct hub *hub);

static void take_answer(struct history_read *read) {
    struct hub *hub = read->hub;
    struct history_call *call = &read->call;
    read->entries = mem_alloc_array(call->count + 1, sizeof(struct entry));
    for (size_t i = 0; i < call->count; i++) {
        entry_hold(&read->entries[i], call->messages[i], &hub->pages_held);
    }
    if (position_compare(call->head, read->channel->read_head) > 0) {
        read->channel->read_head = call->head;
    }
    list_append(&hub->pages, &read->place);
    fit_pages(hub);
}

static void on_done(struct call *call) {
    struct history_read *read = CONTAINER_OF(call, struct history_read, call.call);
    CHECK_OBJ(read, READ_MAGIC);
    struct hub *hub = read->hub;
    hub->reads_in_flight--;
    read->state = READ_DONE;
    list_remove(&read->node);
    if (read->refs > 0 && call->status == 0) {
        take_answer(read);
    }
    size_t count = read->call.count;
    history_call_release(&read->call);
    read->call.count = read->entries != NULL ? count : 0;
    if (read->refs > 0) {
        list_splice(&read->channel->woken, &read->readers);
        broadcast_run(read->channel);
    } else {
        destroy(read);
    }
    send_waiting(hub);
    hub_finish_close(hub);
}

static void send_waiting(struct hub *hub) {
    while (hub->reads_in_flight < hub->reads_in_flight_max) {
        struct list *place = list_pop(&hub->reads_waiting);
        if (place == NULL) {
            return;
        }
        struct history_read *read = LIST_ENTRY(place, struct history_read, place);
        read->state = READ_SENT;
        read->sent_seq = backlog_end(&read->channel->backlog);
        hub->reads_in_flight++;
        cluster_history(hub->options.member, &read->call);
    }
}

static void enqueue(struct history_read *read) {
    read->state = READ_WAITING;
    list_append(&read->hub->reads_waiting, &read->place);
    send_waiting(read->hub);
}

static void on_delay_over(struct wheel_timer *timer) {
    enqueue(CONTAINER_OF(timer, struct history_read, delay));
}

static bool is_wished(const struct history_read *read, const struct history_wish *wish) {
    const struct history_call *call = &read->call;
    return call->start == wish->start && position_equal(call->since, wish->since) &&
           call->rewind == wish->rewind && call->limit == wish->limit &&
           call->bytes_max == wish->bytes_max && !(wish->is_fresh && read->state == READ_SENT);
}

static struct history_read *find_open(struct channel *channel, const struct history_wish *wish) {
    int looked = 0;
    LIST_FOREACH(node, &channel->reads) {
        struct history_read *read = LIST_ENTRY(node, struct history_read, node);
        if (is_wished(read, wish)) {
            return read;
        }
        if (++looked == JOIN_LOOK_MAX) {
            break;
        }
    }
    return NULL;
}

static struct history_read *create(struct channel *channel, const struct history_wish *wish) {
    struct slice name = channel_name(channel);
    struct history_read *read = mem_alloc(sizeof(*read) + name.len);
    memcpy(read->name, name.data, name.len);
    read->magic = READ_MAGIC;
    read->hub = channel->hub;
    read->channel = channel;
    read->call.call.on_done = on_done;
    read->call.channel = slice_make(read->name, name.len);
    read->call.start = wish->start;
    read->call.since = wish->since;
    read->call.rewind = wish->rewind;
    read->call.limit = wish->limit;
    read->call.bytes_max = wish->bytes_max;
    list_init(&read->place);
    list_init(&read->readers);
    list_append(&channel->reads, &read->node);
    return read;
}

void history_read_join(struct subscriber *subscriber, const struct history_wish *wish,
                       uint64_t delay_ms) {
    CHECK(subscriber->read == NULL);
    struct channel *channel = subscriber->channel;
    struct history_read *read = find_open(channel, wish);
    bool is_new = read == NULL;
    if (is_new) {
        read = create(channel, wish);
    }
    read->refs++;
    subscriber->read = read;
    subscriber->page_at = 0;
    subscriber->was_reset_told = false;
    list_remove(&subscriber->node);
    list_append(&read->readers, &subscriber->node);
    if (!is_new) {
        return;
    }
    if (delay_ms > 0) {
        read->state = READ_DELAYED;
        wheel_start(channel->hub->options.wheel, &read->delay, delay_ms, on_delay_over);
    } else {
        enqueue(read);
    }
}

void history_read_leave(struct subscriber *subscriber) {
    struct history_read *read = subscriber->read;
    CHECK_OBJ(read, READ_MAGIC);
    subscriber->read = NULL;
    if (read->state < READ_DONE) {
        list_remove(&subscriber->node);
        list_append(&subscriber->channel->idle, &subscriber->node);
    }
    if (--read->refs > 0) {
        return;
    }
    if (read->state != READ_SENT) {
        destroy(read);
        return;
    }
    list_remove(&read->node);
    read->channel = NULL;
    call_cancel(&read->call.call);
}
