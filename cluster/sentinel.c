// See sentinel.h. A switch is never taken from the message that tells of it, which has no epoch: the
// message only begins a round, whose answers have one.
//
// A master that was given up (sentinel_word.h) is dialled on, aside, as long as some Sentinel names
// it: one that was only slow to start is followed as soon as it is proven, and nobody leaves a living
// one to look for it. So a node that was there and one that starts later end at the same master.
#include "cluster/sentinel.h"

#include "cluster/base/check.h"
#include "cluster/base/clock.h"
#include "cluster/base/error.h"
#include "cluster/base/log.h"
#include "cluster/base/mem.h"
#include "cluster/redis_conn.h"
#include "cluster/resp.h"
#include "cluster/sentinel_watch.h"

#include <stdio.h>

enum {
    SENTINELS_MAGIC = 0x5e4714e1,
    PERIOD_MS = 1000,
    ROUND_MS = 200, // looked at every 100 ms
    WORD_MS = 3500, // so long an answer counts
    FIRST_MS = 500, // at first, before less than half of them are believed
    // Without a proven master, before an older epoch is believed. After a true failover nobody
    // speaks for the old master so long: Sentinels tell each other within 2 s, are asked a second
    // later at most, and what they said before counts 3.5 s. And who is slow is dialled twice at
    // least (2 s, and 2 s for the handshake, each time).
    FORSAKEN_MS = 10000,
    QUESTIONS_MAX = 3, // to one Sentinel, unanswered
};

struct peer {
    struct sentinels *set; // borrowed
    struct redis_conn *asking;
    struct redis_conn *hearing;
    struct sentinel_watch watch; // of the master that it names, while that is given up
    unsigned questions;          // not yet answered
    uint64_t epoch;              // the first half of the answer that is coming
    bool has_epoch;
    uint64_t said_ms;
    char trouble[RESP_PRINTABLE_MAX]; // why its last answer is of no use; "" when it is
};

struct sentinels {
    uint32_t magic;
    uv_loop_t *loop;
    const struct topology *topology; // borrowed
    const char *client_name;         // borrowed
    sentinels_on_master *on_master;
    void *owner;
    struct peer peers[SENTINELS_MAX];
    struct sentinel_word words[SENTINELS_MAX]; // of the peer with this number
    struct sentinel_word followed;
    uint64_t switches;
    uint64_t first_ms;        // when somebody first named a master; 0: nobody did
    uint64_t proven_ms;       // when the one that is followed was last seen to be a master
    uint64_t next_ms;         // of the next round
    uint64_t round_ms;        // when the present one began
    bool is_round;            // one is under way
    bool is_due;              // another one is asked for
    struct list proofs_due;   // for the next round
    struct list proofs_asked; // for the present one
};

// ---- The decision --------------------------------------------------------------------------------

static void give_up(struct sentinels *set) {
    size_t count = set->topology->sentinel_count;
    sentinel_doubt(set->words, count, &set->followed, true);
    for (size_t i = 0; i < count; i++) {
        if (set->words[i].is_said && sentinel_word_is_same(&set->words[i], &set->followed)) {
            char who[REDIS_DESCRIPTION_MAX];
            redis_address_describe(&set->topology->sentinels[i], who, sizeof(who));
            log_warning("sentinel",
                        "the master %s:%s epoch=%llu is given up: only %s names it, most name "
                        "another, and it could not be proven",
                        set->followed.host, set->followed.port,
                        (unsigned long long)set->followed.epoch, who);
        }
    }
}

static void follow(struct sentinels *set, const struct sentinel_word *word) {
    size_t count = set->topology->sentinel_count;
    bool is_other = !sentinel_word_is_same_server(word, &set->followed);
    bool is_first = !set->followed.is_said;
    if (word->epoch < set->followed.epoch) { // otherwise a newer one takes its place
        give_up(set);
    }
    sentinel_doubt(set->words, count, word, false);
    set->followed = *word;
    if (!is_other) {
        return;
    }
    log_info("sentinel", "the master of %s is %s:%s epoch=%llu", set->topology->master_name,
             word->host, word->port, (unsigned long long)word->epoch);
    set->switches += is_first ? 0 : 1;
    set->proven_ms = uv_now(set->loop); // it is given the same time
    set->on_master(set->owner, set->followed.host, set->followed.port);
}

// At first one that has not heard of a failover might answer sooner than the others.
static bool may_begin(const struct sentinels *set) {
    size_t count = set->topology->sentinel_count;
    size_t said = 0;
    for (size_t i = 0; i < count; i++) {
        said += set->words[i].is_said ? 1 : 0;
    }
    return said > count / 2 ||
           (set->first_ms != 0 && uv_now(set->loop) - set->first_ms >= FIRST_MS);
}

static void decide(struct sentinels *set) {
    bool is_forsaken = uv_now(set->loop) - set->proven_ms > FORSAKEN_MS;
    const struct sentinel_word *word =
        sentinel_choose(set->words, set->topology->sentinel_count, &set->followed, is_forsaken);
    if (word != NULL && (set->followed.is_said || may_begin(set))) {
        follow(set, word);
    }
    for (size_t i = 0; i < set->topology->sentinel_count; i++) {
        const struct sentinel_word *one = &set->words[i];
        bool is_due = one->is_said && one->is_doubted && one->epoch > set->followed.epoch;
        sentinel_watch_set(&set->peers[i].watch, is_due ? one : NULL);
    }
}

static void on_proven(struct sentinel_watch *watch) {
    struct peer *peer = CONTAINER_OF(watch, struct peer, watch);
    struct sentinels *set = peer->set;
    sentinel_doubt(set->words, set->topology->sentinel_count, &set->words[peer - set->peers],
                   false);
    decide(set);
}

// ---- Questions and answers -----------------------------------------------------------------------

static void end_round_if_over(struct sentinels *set) {
    bool is_late = uv_now(set->loop) - set->round_ms >= ROUND_MS;
    for (size_t i = 0; i < set->topology->sentinel_count && !is_late; i++) {
        if (set->peers[i].questions > 0) {
            return;
        }
    }
    set->is_round = false;
    struct list done;
    list_init(&done);
    list_splice(&done, &set->proofs_asked);
    for (struct list *node; (node = list_pop(&done)) != NULL;) {
        struct sentinels_proof *proof = LIST_ENTRY(node, struct sentinels_proof, place);
        proof->on_done(proof);
    }
}

static void tell_trouble(struct peer *peer, int error, const redisReply *reply) {
    if (error == E_REDIS) {
        resp_printable(resp_text(reply), peer->trouble);
    } else if (error == UV_ENOENT) {
        snprintf(peer->trouble, sizeof(peer->trouble), "it knows no master \"%.60s\"",
                 peer->set->topology->master_name);
    } else {
        snprintf(peer->trouble, sizeof(peer->trouble), "%s", error_text(error));
    }
}

static void on_epoch(void *owner, int status, const redisReply *reply) {
    struct peer *peer = owner;
    peer->has_epoch = false;
    if (status == 0) {
        int error = sentinel_word_read_epoch(reply, &peer->epoch);
        peer->has_epoch = error == 0;
        if (error != 0) {
            tell_trouble(peer, error, reply);
        }
    }
}

static void take_word(struct peer *peer, const redisReply *reply) {
    struct sentinels *set = peer->set;
    size_t number = (size_t)(peer - set->peers);
    struct sentinel_word word = {.epoch = peer->epoch};
    int error = sentinel_word_read_address(reply, &word);
    word.is_said = error == 0 && peer->has_epoch;
    if (!word.is_said) {
        set->words[number].is_said = false;
        // Of an error for both halves the first one says more, but that there is no such master.
        if (error != 0 && (peer->has_epoch || error == UV_ENOENT)) {
            tell_trouble(peer, error, reply);
        }
        return;
    }
    peer->trouble[0] = '\0';
    sentinel_take(set->words, set->topology->sentinel_count, number, &word);
    peer->said_ms = uv_now(set->loop);
    set->first_ms = set->first_ms != 0 ? set->first_ms : peer->said_ms;
    decide(set);
}

static void on_address(void *owner, int status, const redisReply *reply) {
    struct peer *peer = owner;
    struct sentinels *set = peer->set;
    CHECK(peer->questions > 0);
    peer->questions--;
    if (status == 0) {
        take_word(peer, reply);
    }
    if (set->is_round) {
        end_round_if_over(set);
    }
}

// The epoch first: when a switch falls in between, the new address goes with the epoch before it,
// which the next round mends; the other way round the old address would seem new.
static void ask(struct peer *peer) {
    struct slice name = slice_of(peer->set->topology->master_name);
    struct slice master[] = {SLICE("SENTINEL"), SLICE("MASTER"), name};
    struct slice address[] = {SLICE("SENTINEL"), SLICE("GET-MASTER-ADDR-BY-NAME"), name};
    if (!redis_conn_is_up(peer->asking) || peer->questions == QUESTIONS_MAX) {
        return;
    }
    // So few commands are never too many for a link.
    CHECK(redis_conn_command(peer->asking, 3, master,
                             (struct redis_reply_handler){on_epoch, peer}) == 0);
    CHECK(redis_conn_command(peer->asking, 3, address,
                             (struct redis_reply_handler){on_address, peer}) == 0);
    peer->questions++;
}

void sentinels_pump(struct sentinels *set) {
    CHECK_OBJ(set, SENTINELS_MAGIC);
    if (!set->is_due || set->is_round) {
        return;
    }
    set->is_due = false;
    set->is_round = true;
    set->round_ms = uv_now(set->loop);
    set->next_ms = set->round_ms + PERIOD_MS - clock_random(PERIOD_MS / 10);
    list_splice(&set->proofs_asked, &set->proofs_due);
    for (size_t i = 0; i < set->topology->sentinel_count; i++) {
        ask(&set->peers[i]);
    }
    end_round_if_over(set); // when none is in reach
}

// ---- Links ---------------------------------------------------------------------------------------

static void on_asking_up(void *owner) {
    struct peer *peer = owner;
    peer->set->is_due = true;
}

static void on_asking_down(void *owner, int error) {
    (void)owner;
    (void)error; // its questions were completed, and its word grows old
}

static void on_hearing_up(void *owner) {
    struct peer *peer = owner;
    struct slice words[] = {SLICE("SUBSCRIBE"), SLICE("+switch-master")};
    // Without a handler: a refusal cuts the link, and is told as its trouble.
    CHECK(redis_conn_command(peer->hearing, 2, words, (struct redis_reply_handler){0}) == 0);
}

static void on_hearing_down(void *owner, int error) {
    (void)owner;
    (void)error;
}

static void on_push(void *owner, const redisReply *reply) {
    struct peer *peer = owner;
    struct slice payload = resp_text(reply->element[2]); // a number in an acknowledgement
    if (sentinel_is_switch_of(payload, peer->set->topology->master_name)) {
        peer->set->is_due = true;
    }
}

static void open_peer(struct sentinels *set, size_t number) {
    struct peer *peer = &set->peers[number];
    const struct redis_address *address = &set->topology->sentinels[number];
    const struct redis_conn_events asking = {
        .on_up = on_asking_up, .on_down = on_asking_down, .owner = peer};
    const struct redis_conn_events hearing = {
        .on_up = on_hearing_up, .on_down = on_hearing_down, .on_push = on_push, .owner = peer};
    peer->set = set;
    sentinel_watch_init(&peer->watch, set->loop, &set->topology->server, set->client_name,
                        on_proven);
    CHECK(redis_conn_open(set->loop, REDIS_LINK_COMMAND, address, set->client_name, &asking,
                          &peer->asking) == 0);
    CHECK(redis_conn_open(set->loop, REDIS_LINK_PUBSUB, address, set->client_name, &hearing,
                          &peer->hearing) == 0);
}

static void close_peer(struct peer *peer) {
    redis_conn_close(&peer->asking);
    redis_conn_close(&peer->hearing);
    sentinel_watch_release(&peer->watch);
}

// Nothing else is ever sent there, and a Sentinel that stands still keeps its connections.
static void ping(struct peer *peer) {
    struct slice words[] = {SLICE("PING")};
    if (redis_conn_is_up(peer->hearing) && redis_conn_stats(peer->hearing).waiting == 0) {
        CHECK(redis_conn_command(peer->hearing, 1, words, (struct redis_reply_handler){0}) == 0);
    }
}

// ---- The door ------------------------------------------------------------------------------------

void sentinels_open(uv_loop_t *loop, const struct topology *topology, const char *client_name,
                    sentinels_on_master *on_master, void *owner, struct sentinels **sentinels_r) {
    CHECK(topology->master_name != NULL && topology->sentinel_count <= SENTINELS_MAX);
    struct sentinels *set = mem_alloc(sizeof(*set));
    set->magic = SENTINELS_MAGIC;
    set->loop = loop;
    set->topology = topology;
    set->client_name = client_name;
    set->on_master = on_master;
    set->owner = owner;
    set->proven_ms = uv_now(loop);
    list_init(&set->proofs_due);
    list_init(&set->proofs_asked);
    for (size_t i = 0; i < topology->sentinel_count; i++) {
        open_peer(set, i);
    }
    *sentinels_r = set;
}

void sentinels_close(struct sentinels **sentinels) {
    struct sentinels *set = *sentinels;
    if (set == NULL) {
        return;
    }
    CHECK_OBJ(set, SENTINELS_MAGIC);
    *sentinels = NULL;
    for (size_t i = 0; i < set->topology->sentinel_count; i++) {
        close_peer(&set->peers[i]);
    }
    list_splice(&set->proofs_asked, &set->proofs_due);
    end_round_if_over(set); // no question is left
    set->magic = 0;
    mem_free(set);
}

void sentinels_tick(struct sentinels *set, uint64_t now_ms, bool is_proven) {
    CHECK_OBJ(set, SENTINELS_MAGIC);
    set->proven_ms = is_proven ? now_ms : set->proven_ms;
    for (size_t i = 0; i < set->topology->sentinel_count; i++) {
        if (now_ms - set->peers[i].said_ms > WORD_MS) {
            set->words[i].is_said = false;
        }
    }
    decide(set); // what was not enough then may be now
    if (set->is_round) {
        end_round_if_over(set);
    }
    if (now_ms >= set->next_ms) {
        set->is_due = true;
        for (size_t i = 0; i < set->topology->sentinel_count; i++) {
            ping(&set->peers[i]);
        }
    }
}

void sentinels_ask(struct sentinels *set) {
    CHECK_OBJ(set, SENTINELS_MAGIC);
    set->is_due = true;
}

void sentinels_prove(struct sentinels *set, struct sentinels_proof *proof) {
    CHECK_OBJ(set, SENTINELS_MAGIC);
    CHECK(proof->on_done != NULL);
    list_append(&set->proofs_due, &proof->place);
    set->is_due = true;
}

bool sentinels_know_master(const struct sentinels *set) {
    return set->followed.is_said;
}

void sentinels_explain(const struct sentinels *set, char *text_r, size_t size) {
    const struct redis_address *address = &set->topology->sentinels[0];
    const char *why = redis_conn_trouble(set->peers[0].asking);
    for (size_t i = 0; i < set->topology->sentinel_count; i++) {
        if (redis_conn_is_up(set->peers[i].asking)) {
            address = &set->topology->sentinels[i];
            why = set->peers[i].trouble;
            break;
        }
    }
    char where[REDIS_DESCRIPTION_MAX];
    redis_address_describe(address, where, sizeof(where));
    snprintf(text_r, size, "no master is known: %.60s: %s", where,
             why[0] != '\0' ? why : "it has not answered yet");
}

struct sentinels_stats sentinels_stats(const struct sentinels *set) {
    struct sentinels_stats stats = {.configured = set->topology->sentinel_count,
                                    .switches = set->switches};
    for (size_t i = 0; i < stats.configured; i++) {
        stats.up += redis_conn_is_up(set->peers[i].asking) ? 1 : 0;
    }
    return stats;
}
