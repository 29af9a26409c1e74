// Heads, checks, holes.
#include "cluster/recovery.h"

#include "cluster/base/clock.h"
#include "cluster/base/mem.h"
#include "cluster/core.h"
#include "cluster/log_read.h"
#include "cluster/resp.h"
#include "cluster/subscription.h"

enum {
    CHECKED_FIELDS = 4, // of the HASH: epoch, version, fork, history
    IN_FLIGHT_MAX = 256,
    FILL_MESSAGES = 1000,
    FILL_BYTES = 4 << 20,
    SWEEP_PER_TICK = 100,     // 1,000 heads a second
    SWEEP_PERIOD_TICKS = 100, // and each channel every 10 s where there are fewer
    RETRY_MS = 200,
    REFRESH_MS = 20 * 60 * 1000, // freshet_open gives a quiet channel one hour
    COMPLAIN_MS = 10 * 1000,
};

void recovery_init(struct recovery *recovery) {
    list_init(&recovery->work);
    list_init(&recovery->retry);
}

void recovery_add(struct subscription *sub) {
    if (sub->is_busy) {
        sub->is_due_again = true;
        return;
    }
    list_remove(&sub->in_work);
    list_append(&sub->cluster->recovery.work, &sub->in_work);
}

static void retry(struct subscription *sub) {
    list_remove(&sub->in_work);
    list_append(&sub->cluster->recovery.retry, &sub->in_work);
}

static void begin(struct subscription *sub) {
    subscription_hold(sub);
    sub->is_busy = true;
    sub->is_due_again = false;
    sub->cluster->recovery.in_flight++;
}

// False: it was dropped while the reply was under way, and must not be touched.
static bool end(struct subscription *sub) {
    sub->is_busy = false;
    sub->cluster->recovery.in_flight--;
    return !subscription_release_hold(sub);
}

static void work_again_if_due(struct subscription *sub) {
    if (sub->is_due_again) {
        recovery_add(sub);
    }
}

// Redis refuses to speak of a channel: a key of another type, a right that is missing. It is asked
// again and again, and the operator reads why.
static void complain(struct subscription *sub, const char *doing, const redisReply *reply) {
    struct recovery *recovery = &sub->cluster->recovery;
    uint64_t now_ms = uv_now(&sub->cluster->loop);
    if (now_ms < recovery->complain_ms) {
        return;
    }
    recovery->complain_ms = now_ms + COMPLAIN_MS;
    char why[RESP_PRINTABLE_MAX];
    resp_complaint(reply, why);
    log_warning("cluster", "%s channel %.*s failed: %s", doing, SLICE_ARGS(subscription_name(sub)),
                why);
}

// What lasts until the operator acts is told to those who wait. For all else they wait on.
static void refuse_or_retry(struct subscription *sub, const char *doing, const redisReply *reply) {
    int error = resp_error_of(reply);
    bool is_lasting = error == E_RIGHTS || error == E_WRONG_TYPE || error == E_FULL;
    complain(sub, doing, reply);
    if (is_lasting && sub->state == SUBSCRIPTION_OPENING) {
        subscription_refuse(sub, error);
    } else {
        retry(sub);
    }
}

// Where a key of another type stands nobody can publish, so there is nothing that this node might
// have missed. Once it is gone the channel begins anew, and the next check tells it.
static void excuse(struct subscription *sub, int error) {
    if (error == E_WRONG_TYPE) {
        subscription_set_proven(sub, true);
    }
}

// ---- Opening: the first head ---------------------------------------------------------------------

static void on_created(void *owner, int status, const redisReply *reply) {
    struct subscription *sub = owner;
    if (!end(sub)) {
        return;
    }
    struct position head = status == 0 ? log_position_of(reply) : POSITION_NONE;
    if (position_is_none(head)) {
        if (status == 0 && !functions_are_missing(reply)) {
            refuse_or_retry(sub, "opening", reply);
            return;
        }
        if (status == 0) {
            functions_load(sub->cluster);
        }
        retry(sub);
        return;
    }
    sub->refreshed_ms = uv_now(&sub->cluster->loop);
    if (sub->state == SUBSCRIPTION_OPENING) {
        subscription_open_at(sub, head);
        work_again_if_due(sub);
    } else {
        recovery_add(sub); // a hole's reader found nothing: now there is a head to compare with
    }
}

// Redis knows no position of this channel, or has lost its HASH: the library gives it one.
static void send_open(struct subscription *sub) {
    struct keys keys;
    keys_init(&keys, sub->cluster->prefix, subscription_name(sub));
    begin(sub);
    link_send(
        sub->cluster->links[REDIS_LINK_COMMAND], 5,
        (struct slice[]){SLICE("FCALL"), SLICE("freshet_open"), SLICE("2"), keys.hash, keys.log},
        on_created, sub);
}

// In any second, not on average.
static bool may_open(struct recovery *recovery, uint64_t now_ms) {
    uint64_t *oldest_ms = &recovery->opened_ms[recovery->opened_next];
    if (*oldest_ms != 0 && now_ms - *oldest_ms < 1000) {
        return false;
    }
    *oldest_ms = now_ms;
    recovery->opened_next = (recovery->opened_next + 1) % RECOVERY_OPENS_A_SECOND;
    return true;
}

static void send_head_read(struct subscription *sub, bool is_by_function);

static void on_head(void *owner, int status, const redisReply *reply) {
    struct subscription *sub = owner;
    if (!end(sub)) {
        return;
    }
    struct cluster *cluster = sub->cluster;
    bool may_go_on = status == 0 && sub->state == SUBSCRIPTION_OPENING &&
                     redis_conn_is_up(cluster->links[REDIS_LINK_COMMAND]);
    if (may_go_on && log_refuses_transaction(reply)) {
        send_head_read(sub, true);
        return;
    }
    bool is_head = may_go_on && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                   reply->element[0]->type == REDIS_REPLY_ARRAY &&
                   reply->element[1]->type == REDIS_REPLY_ARRAY;
    if (!is_head) {
        if (may_go_on) {
            refuse_or_retry(sub, "reading", reply);
        } else {
            retry(sub);
        }
        return;
    }
    struct channel_head channel = log_head_of(reply->element[0], reply->element[1]);
    if (reply->element[1]->elements > 0) {
        subscription_learn_size(sub, log_entry_bytes(reply->element[1]->element[0]));
    }
    bool has_hash = reply->element[0]->elements > 0 &&
                    reply->element[0]->element[0]->type == REDIS_REPLY_STRING;
    if (has_hash && !position_is_none(channel.head)) {
        subscription_open_at(sub, channel.head);
        work_again_if_due(sub);
    } else if (position_is_none(channel.head) &&
               !may_open(&cluster->recovery, uv_now(&cluster->loop))) {
        stats_add(&cluster->stats.joins_refused, 1);
        subscription_refuse(sub, E_OVERLOADED);
    } else {
        send_open(sub);
    }
}

static void send_head_read(struct subscription *sub, bool is_by_function) {
    struct keys keys;
    keys_init(&keys, sub->cluster->prefix, subscription_name(sub));
    begin(sub);
    sub->waiting_at_read = sub->waiting_count;
    sub->has_overflowed = false;
    log_read_head(sub->cluster->links[REDIS_LINK_COMMAND], &keys, is_by_function, on_head, sub);
}

// ---- Checking: does Redis still say what we believe? ------------------------------------------------

static void on_checked(void *owner, int status, const redisReply *reply) {
    struct subscription *sub = owner;
    if (!end(sub)) {
        return;
    }
    if (status != 0 || reply->type != REDIS_REPLY_ARRAY || reply->elements != CHECKED_FIELDS) {
        if (status == 0) {
            complain(sub, "checking", reply);
            excuse(sub, resp_error_of(reply));
        }
        retry(sub);
        return;
    }
    sub->history = 0;
    slice_to_u64(resp_text(reply->element[CHECKED_FIELDS - 1]), UINT32_MAX, &sub->history);
    static const redisReply no_log = {.type = REDIS_REPLY_NIL};
    struct position head = log_head_of(reply, &no_log).head;
    if (sub->state != SUBSCRIPTION_LIVE) {
        work_again_if_due(sub);
        return;
    }
    if (position_is_none(head)) {
        send_open(sub); // deleted or evicted
        return;
    }
    bool is_same = position_equal(head, sub->checked) || position_equal(head, sub->head);
    bool may_be_under_way = sub->is_proven && head.epoch == sub->head.epoch &&
                            head.version > sub->head.version &&
                            position_compare(sub->suspect, sub->head) <= 0;
    if (is_same) {
        sub->suspect = POSITION_NONE;
        subscription_set_proven(sub, sub->is_subscribed && !sub->is_due_again);
        work_again_if_due(sub);
    } else if (may_be_under_way) {
        // The command link was faster than the pub/sub link, most likely: look again shortly.
        sub->suspect = head;
        retry(sub);
    } else {
        sub->suspect = POSITION_NONE;
        subscription_doubt(sub);
    }
}

static void send_check(struct subscription *sub) {
    struct keys keys;
    keys_init(&keys, sub->cluster->prefix, subscription_name(sub));
    begin(sub);
    sub->checked = sub->head;
    link_send(sub->cluster->links[REDIS_LINK_COMMAND], 2 + CHECKED_FIELDS,
              (struct slice[]){SLICE("HMGET"), keys.hash, SLICE("epoch"), SLICE("version"),
                               SLICE("fork"), SLICE("history")},
              on_checked, sub);
}

// ---- Filling: what lies behind our head? -----------------------------------------------------------

struct fill {
    struct log_read read;
    struct subscription *sub; // held
};

static void on_filled(struct log_read *read, int status) {
    struct fill *fill = CONTAINER_OF(read, struct fill, read);
    struct subscription *sub = fill->sub;
    if (end(sub)) {
        if (status != 0) {
            excuse(sub, status);
            retry(sub);
        } else if (position_is_none(read->channel.head)) {
            send_open(sub);
        } else {
            subscription_filled(sub, read);
        }
    }
    log_read_release(read);
    mem_free(fill);
}

static void send_fill(struct subscription *sub) {
    struct fill *fill = mem_alloc(sizeof(*fill));
    fill->sub = sub;
    fill->read.cluster = sub->cluster;
    fill->read.start = HISTORY_SINCE;
    fill->read.since = sub->head;
    fill->read.limit = FILL_MESSAGES;
    fill->read.bytes_max = FILL_BYTES;
    fill->read.entry_bytes = sub->entry_bytes;
    fill->read.on_done = on_filled;
    keys_init(&fill->read.keys, sub->cluster->prefix, subscription_name(sub));
    sub->waiting_at_read = sub->waiting_count;
    sub->has_overflowed = false;
    begin(sub);
    int error = log_read_start(&fill->read);
    if (error != 0) {
        CHECK(end(sub));
        mem_free(fill);
        retry(sub);
    }
}

// ---- Pump and tick ---------------------------------------------------------------------------------

void recovery_pump(struct cluster *cluster) {
    struct recovery *recovery = &cluster->recovery;
    while (recovery->in_flight < IN_FLIGHT_MAX &&
           link_has_room(cluster->links[REDIS_LINK_COMMAND])) {
        struct list *node = list_pop(&recovery->work);
        if (node == NULL) {
            return;
        }
        struct subscription *sub = LIST_ENTRY(node, struct subscription, in_work);
        switch (sub->state) {
        case SUBSCRIPTION_ASKED:
            break; // its ack will bring it back
        case SUBSCRIPTION_OPENING:
            send_head_read(sub, false);
            break;
        case SUBSCRIPTION_LIVE:
            send_check(sub);
            break;
        case SUBSCRIPTION_FILLING:
            send_fill(sub);
            break;
        }
    }
}

static void measure_rate(struct subscription *sub, uint64_t now_ms) {
    uint64_t elapsed_ms = now_ms - sub->counted_ms;
    if (sub->counted_ms > 0 && elapsed_ms > 0) {
        double rate = (double)sub->counted * 1000.0 / (double)elapsed_ms;
        sub->rate = sub->rate > 0 ? (sub->rate + rate) / 2 : rate;
    }
    sub->counted_ms = now_ms;
    sub->counted = 0;
}

// History holds so many messages, and the channel takes so long to write them.
static void measure_window(struct recovery *recovery, const struct subscription *sub) {
    const double history_default = 1000;
    double history = sub->history > 0 ? (double)sub->history : history_default;
    double window_s = sub->rate > 0 ? history / sub->rate : 0;
    if (window_s > 0 && (recovery->window_next_s <= 0 || window_s < recovery->window_next_s)) {
        recovery->window_next_s = window_s;
    }
}

static void end_round(struct recovery *recovery) {
    recovery->window_s = recovery->window_next_s;
    recovery->window_next_s = 0;
    recovery->swept = 0;
}

static void refresh(struct subscription *sub) {
    struct keys keys;
    keys_init(&keys, sub->cluster->prefix, subscription_name(sub));
    link_send(
        sub->cluster->links[REDIS_LINK_COMMAND], 5,
        (struct slice[]){SLICE("FCALL"), SLICE("freshet_open"), SLICE("2"), keys.hash, keys.log},
        NULL, NULL);
}

// Visits a bounded number of channels per tick, in turn: what no envelope told, the sweep finds.
static void sweep(struct cluster *cluster, uint64_t now_ms) {
    struct subscriptions *subscriptions = &cluster->subscriptions;
    struct recovery *recovery = &cluster->recovery;
    size_t total = subscriptions->by_name.count;
    if (recovery->swept >= total) {
        end_round(recovery);
    }
    size_t n = (total + SWEEP_PERIOD_TICKS - 1) / SWEEP_PERIOD_TICKS;
    n = n > SWEEP_PER_TICK ? SWEEP_PER_TICK : n;
    for (size_t i = 0; i < n && link_has_room(cluster->links[REDIS_LINK_COMMAND]); i++) {
        struct list *node = list_pop(&subscriptions->all);
        list_append(&subscriptions->all, node);
        recovery->swept++;
        struct subscription *sub = LIST_ENTRY(node, struct subscription, in_all);
        if (sub->state != SUBSCRIPTION_LIVE) {
            continue;
        }
        measure_rate(sub, now_ms);
        measure_window(recovery, sub);
        uint64_t jitter_ms = clock_random(REFRESH_MS / 10);
        if (now_ms - sub->refreshed_ms > REFRESH_MS - jitter_ms) {
            sub->refreshed_ms = now_ms;
            refresh(sub);
        }
        if (!sub->is_busy && !list_is_linked(&sub->in_work)) {
            recovery_add(sub);
        }
    }
}

void recovery_tick(struct cluster *cluster, uint64_t now_ms) {
    struct recovery *recovery = &cluster->recovery;
    if (now_ms - recovery->last_retry_ms >= RETRY_MS) {
        recovery->last_retry_ms = now_ms;
        list_splice(&recovery->work, &recovery->retry);
    }
    sweep(cluster, now_ms);
}
