// Members, interests, batches.
#include "cluster/fanout.h"

#include "cluster/base/mem.h"
#include "cluster/core.h"
#include "cluster/subscription.h"

enum { MEMBER_MAGIC = 0x3e3be401, INTEREST_MAGIC = 0x147e4e57 };

enum item_kind { ITEM_JOINED, ITEM_MESSAGE, ITEM_RESET, ITEM_REFUSED, ITEM_GONE };

// A run on its way to a worker.
struct handed_run {
    struct handover handover;
    struct message *messages[];
};

struct item {
    enum item_kind kind;
    int error;
    struct interest *interest; // stays until its ITEM_GONE, the last item it gets
    union {
        struct message *message; // counted
        struct handed_run *run;  // owned
        struct reset reset;
    };
};

struct batch {
    struct letter letter;
    struct cluster_member *member;
    size_t count;
    size_t bytes;
    struct item items[BATCH_ITEMS];
};

// ---- The worker's side ---------------------------------------------------------------------------

static void release_run(struct handed_run *run) {
    for (size_t i = 0; i < run->handover.count; i++) {
        message_unref(&run->messages[i]);
    }
    mem_free(run);
}

static void release_item(struct item *item) {
    if (item->kind == ITEM_MESSAGE) {
        message_unref(&item->message);
    } else if (item->kind == ITEM_JOINED) {
        release_run(item->run);
    }
}

static void tell(const struct item *item) {
    struct interest *interest = item->interest;
    CHECK_OBJ(interest, INTEREST_MAGIC);
    if (interest->owner == NULL) {
        return; // unsubscribed while this was on its way
    }
    switch (item->kind) {
    case ITEM_JOINED:
        interest->events->on_joined(interest->owner, &item->run->handover);
        break;
    case ITEM_MESSAGE:
        interest->events->on_message(interest->owner, item->message);
        break;
    case ITEM_RESET:
        interest->events->on_reset(interest->owner, &item->reset);
        break;
    case ITEM_REFUSED:
        interest->events->on_refused(interest->owner, item->error);
        break;
    case ITEM_GONE:
        CHECK(false); // its interest was unsubscribed before
    }
}

static void on_batch(struct letter *letter) {
    struct batch *batch = CONTAINER_OF(letter, struct batch, letter);
    struct cluster_member *member = batch->member;
    for (size_t i = 0; i < batch->count; i++) {
        struct item *item = &batch->items[i];
        if (item->kind == ITEM_GONE) {
            CHECK(item->interest->owner == NULL && member->pending > 0);
            item->interest->magic = 0;
            mem_free(item->interest);
            member->pending--;
        } else {
            tell(item);
            release_item(item);
        }
    }
    atomic_fetch_sub_explicit(&member->queued_items, batch->count, memory_order_relaxed);
    atomic_fetch_sub_explicit(&member->queued_bytes, batch->bytes, memory_order_relaxed);
    mem_free(batch);
}

int cluster_attach(struct cluster *cluster, uv_loop_t *loop, struct cluster_member **member_r) {
    struct cluster_member *member = mem_alloc(sizeof(*member));
    member->magic = MEMBER_MAGIC;
    member->cluster = cluster;
    list_init(&member->in_dirty);
    list_init(&member->overrun);
    list_init(&member->in_overrun);
    int error = mailbox_open(loop, &member->mailbox);
    if (error != 0) {
        mem_free(member);
        return error;
    }
    *member_r = member;
    return 0;
}

bool cluster_member_is_idle(const struct cluster_member *member) {
    CHECK_OBJ(member, MEMBER_MAGIC);
    return member->pending == 0;
}

static void on_goodbye(struct letter *letter) {
    struct cluster_member *member = CONTAINER_OF(letter, struct cluster_member, goodbye);
    struct cluster *cluster = member->cluster;
    list_remove(&member->in_dirty);
    list_remove(&member->in_overrun);
    uv_mutex_lock(&cluster->goodbye_lock);
    cluster->goodbyes++;
    uv_cond_broadcast(&cluster->goodbye_signal);
    uv_mutex_unlock(&cluster->goodbye_lock);
}

// Waits for the cluster thread to pass its goodbye: only then is it sure that no post to this
// member's mailbox is still under way in it. The one place that blocks, and only while stopping.
void cluster_detach(struct cluster_member **member_in) {
    struct cluster_member *member = *member_in;
    *member_in = NULL;
    CHECK_OBJ(member, MEMBER_MAGIC);
    CHECK(member->pending == 0);
    struct cluster *cluster = member->cluster;
    uv_mutex_lock(&cluster->goodbye_lock);
    uint64_t turn = ++cluster->goodbyes_asked;
    member->goodbye.on_delivery = on_goodbye;
    mailbox_post(cluster->mailbox, &member->goodbye);
    while (cluster->goodbyes < turn) {
        uv_cond_wait(&cluster->goodbye_signal, &cluster->goodbye_lock);
    }
    uv_mutex_unlock(&cluster->goodbye_lock);
    mailbox_close(&member->mailbox);
    mem_free(member->batch);
    member->magic = 0;
    mem_free(member);
}

static void on_join(struct letter *letter) {
    struct interest *interest = CONTAINER_OF(letter, struct interest, join);
    subscription_join(interest->member->cluster, interest);
}

static void on_leave(struct letter *letter) {
    struct interest *interest = CONTAINER_OF(letter, struct interest, leave);
    subscription_leave(interest->member->cluster, interest);
    list_remove(&interest->in_overrun);
    fanout_gone(interest);
}

struct interest *cluster_subscribe(struct cluster_member *member, struct slice channel,
                                   const struct interest_events *events, void *owner) {
    CHECK_OBJ(member, MEMBER_MAGIC);
    CHECK(channel_name_is_valid(channel) && owner != NULL);
    struct interest *interest = mem_alloc(sizeof(*interest));
    interest->magic = INTEREST_MAGIC;
    interest->member = member;
    interest->events = events;
    interest->owner = owner;
    interest->name_len = (uint8_t)channel.len;
    memcpy(interest->name, channel.data, channel.len);
    list_init(&interest->in_subscription);
    list_init(&interest->in_overrun);
    member->pending++;
    interest->join.on_delivery = on_join;
    mailbox_post(member->cluster->mailbox, &interest->join);
    return interest;
}

void cluster_unsubscribe(struct interest **interest_in) {
    struct interest *interest = *interest_in;
    *interest_in = NULL;
    CHECK_OBJ(interest, INTEREST_MAGIC);
    CHECK(interest->owner != NULL);
    interest->owner = NULL;
    interest->leave.on_delivery = on_leave;
    mailbox_post(interest->member->cluster->mailbox, &interest->leave);
}

void fanout_submit(struct cluster_member *member, struct call *call,
                   void (*on_delivery)(struct letter *letter)) {
    CHECK_OBJ(member, MEMBER_MAGIC);
    CHECK(call->on_done != NULL);
    call->member = member;
    call->is_cancelled = false;
    call->status = 0;
    call->letter.on_delivery = on_delivery;
    member->pending++;
    mailbox_post(member->cluster->mailbox, &call->letter);
}

void call_cancel(struct call *call) {
    call->is_cancelled = true;
}

static void on_completion(struct letter *letter) {
    struct call *call = CONTAINER_OF(letter, struct call, letter);
    call->member->pending--;
    if (call->is_cancelled) {
        call->status = UV_ECANCELED;
    }
    call->on_done(call);
}

// ---- The cluster thread's side -------------------------------------------------------------------

void fanout_init(struct cluster *cluster) {
    list_init(&cluster->dirty_members);
    list_init(&cluster->overrun_members);
}

void fanout_complete(struct call *call, int status) {
    call->status = status;
    call->letter.on_delivery = on_completion;
    mailbox_post(call->member->mailbox, &call->letter);
}

static void send_batch(struct cluster_member *member) {
    struct batch *batch = member->batch;
    member->batch = NULL;
    list_remove(&member->in_dirty);
    mailbox_post(member->mailbox, &batch->letter);
}

static struct item *add_item(struct interest *interest, enum item_kind kind, size_t bytes) {
    struct cluster_member *member = interest->member;
    CHECK_OBJ(member, MEMBER_MAGIC);
    if (member->batch == NULL) {
        member->batch = mem_try_alloc(sizeof(*member->batch));
        CHECK(member->batch != NULL);
        member->batch->letter.on_delivery = on_batch;
        member->batch->member = member;
        member->batch->count = 0;
        member->batch->bytes = 0;
        list_append(&member->cluster->dirty_members, &member->in_dirty);
    }
    struct batch *batch = member->batch;
    batch->bytes += bytes;
    atomic_fetch_add_explicit(&member->queued_items, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&member->queued_bytes, bytes, memory_order_relaxed);
    struct item *item = &batch->items[batch->count++];
    item->kind = kind;
    item->interest = interest;
    return item;
}

static void send_if_full(struct cluster_member *member) {
    if (member->batch->count == BATCH_ITEMS) {
        send_batch(member);
    }
}

// How full the way to this worker is, as a share of 1/den.
static bool is_fuller_than(struct cluster_member *member, size_t num, size_t den) {
    return atomic_load_explicit(&member->queued_items, memory_order_relaxed) * den >
               MEMBER_ITEMS_MAX * num ||
           atomic_load_explicit(&member->queued_bytes, memory_order_relaxed) * den >
               (size_t)MEMBER_BYTES_MAX * num;
}

static void overrun(struct interest *interest) {
    struct cluster_member *member = interest->member;
    if (list_is_linked(&interest->in_overrun)) {
        return;
    }
    stats_add(&member->cluster->stats.overruns, 1);
    list_append(&member->overrun, &interest->in_overrun);
    if (!list_is_linked(&member->in_overrun)) {
        list_append(&member->cluster->overrun_members, &member->in_overrun);
    }
}

void fanout_joined(struct interest *interest, const struct run *run, struct position head) {
    struct handed_run *handed = mem_alloc(sizeof(*handed) + run->count * sizeof(struct message *));
    handed->handover = (struct handover){
        .base = run->base, .head = head, .messages = handed->messages, .count = run->count};
    for (size_t i = 0; i < run->count; i++) {
        handed->messages[i] = message_ref(run_at(run, i));
    }
    interest->is_joined = true;
    add_item(interest, ITEM_JOINED, 0)->run = handed;
    send_if_full(interest->member);
}

void fanout_message(struct interest *interest, struct message *message) {
    if (!interest->is_joined) {
        return;
    }
    if (list_is_linked(&interest->in_overrun) || is_fuller_than(interest->member, 1, 1)) {
        if (!message_is_ephemeral(message)) {
            overrun(interest);
        }
        return;
    }
    add_item(interest, ITEM_MESSAGE, message->size)->message = message_ref(message);
    send_if_full(interest->member);
}

void fanout_reset(struct interest *interest, const struct reset *reset) {
    if (!interest->is_joined) {
        return;
    }
    if (list_is_linked(&interest->in_overrun)) {
        return; // the handover to come holds the outcome
    }
    add_item(interest, ITEM_RESET, 0)->reset = *reset;
    send_if_full(interest->member);
}

void fanout_refused(struct interest *interest, int error) {
    add_item(interest, ITEM_REFUSED, 0)->error = error;
    send_if_full(interest->member);
}

void fanout_gone(struct interest *interest) {
    struct cluster_member *member = interest->member;
    add_item(interest, ITEM_GONE, 0);
    send_if_full(member);
}

void fanout_flush(struct cluster *cluster) {
    LIST_FOREACH(node, &cluster->dirty_members) {
        send_batch(LIST_ENTRY(node, struct cluster_member, in_dirty));
    }
}

static void hand_anew(struct cluster_member *member) {
    while (!is_fuller_than(member, 1, 2)) {
        struct list *node = list_pop(&member->overrun);
        if (node == NULL) {
            list_remove(&member->in_overrun);
            return;
        }
        struct interest *interest = LIST_ENTRY(node, struct interest, in_overrun);
        subscription_hand_over(interest);
    }
}

void fanout_catch_up(struct cluster *cluster) {
    LIST_FOREACH(node, &cluster->overrun_members) {
        hand_anew(LIST_ENTRY(node, struct cluster_member, in_overrun));
    }
}
