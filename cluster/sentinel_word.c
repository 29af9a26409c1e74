// See sentinel_word.h.
#include "cluster/sentinel_word.h"

#include "cluster/base/error.h"
#include "cluster/resp.h"

#include <stdio.h>
#include <uv.h>

int sentinel_word_read_epoch(const redisReply *master, uint64_t *epoch_r) {
    if (master->type == REDIS_REPLY_ERROR) {
        return E_REDIS;
    }
    for (size_t i = 0; master->type == REDIS_REPLY_ARRAY && i + 1 < master->elements; i += 2) {
        if (slice_equal(resp_text(master->element[i]), SLICE("config-epoch"))) {
            bool is_number =
                slice_to_u64(resp_text(master->element[i + 1]), INT64_MAX, epoch_r) == 0;
            return is_number ? 0 : E_PROTOCOL;
        }
    }
    return E_PROTOCOL;
}

int sentinel_word_read_address(const redisReply *address, struct sentinel_word *word_r) {
    if (address->type == REDIS_REPLY_ERROR) {
        return E_REDIS;
    }
    if (address->type == REDIS_REPLY_NIL) {
        return UV_ENOENT;
    }
    if (address->type != REDIS_REPLY_ARRAY || address->elements != 2) {
        return E_PROTOCOL;
    }
    struct slice host = resp_text(address->element[0]);
    uint64_t port;
    if (!redis_host_is_valid(host) ||
        slice_to_u64(resp_text(address->element[1]), UINT16_MAX, &port) != 0 || port == 0) {
        return E_PROTOCOL;
    }
    snprintf(word_r->host, sizeof(word_r->host), "%.*s", SLICE_ARGS(host));
    snprintf(word_r->port, sizeof(word_r->port), "%u", (unsigned)(uint16_t)port);
    return 0;
}

bool sentinel_is_switch_of(struct slice message, const char *master_name) {
    return slice_equal(slice_cut(&message, ' '), slice_of(master_name));
}

bool sentinel_word_is_same_server(const struct sentinel_word *a, const struct sentinel_word *b) {
    return strcmp(a->host, b->host) == 0 && strcmp(a->port, b->port) == 0;
}

bool sentinel_word_is_same(const struct sentinel_word *a, const struct sentinel_word *b) {
    return a->epoch == b->epoch && sentinel_word_is_same_server(a, b);
}

static size_t count_who_say(const struct sentinel_word *words, size_t count,
                            const struct sentinel_word *what) {
    size_t agreeing = 0;
    for (size_t i = 0; i < count; i++) {
        agreeing += words[i].is_said && sentinel_word_is_same(&words[i], what) ? 1 : 0;
    }
    return agreeing;
}

static bool is_agreed(const struct sentinel_word *words, size_t count,
                      const struct sentinel_word *what) {
    return count_who_say(words, count, what) > count / 2;
}

// The newest; among several of that epoch the one that most say, then the first.
static const struct sentinel_word *find_newest(const struct sentinel_word *words, size_t count) {
    const struct sentinel_word *newest = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct sentinel_word *word = &words[i];
        if (!word->is_said || (word->is_doubted && !is_agreed(words, count, word))) {
            continue;
        }
        if (newest == NULL || word->epoch > newest->epoch ||
            (word->epoch == newest->epoch &&
             count_who_say(words, count, word) > count_who_say(words, count, newest))) {
            newest = word;
        }
    }
    return newest;
}

// What more than half of all say; NULL: they do not agree.
static const struct sentinel_word *find_agreed(const struct sentinel_word *words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (words[i].is_said && is_agreed(words, count, &words[i])) {
            return &words[i];
        }
    }
    return NULL;
}

const struct sentinel_word *sentinel_choose(const struct sentinel_word *words, size_t count,
                                            const struct sentinel_word *followed,
                                            bool may_go_back) {
    const struct sentinel_word *newest = find_newest(words, count);
    if (newest == NULL || !followed->is_said || newest->epoch > followed->epoch) {
        return newest;
    }
    const struct sentinel_word *agreed = may_go_back ? find_agreed(words, count) : NULL;
    if (agreed != NULL && !sentinel_word_is_same(agreed, followed)) {
        return agreed;
    }
    bool is_renamed =
        newest->epoch == followed->epoch && count_who_say(words, count, followed) == 0;
    return is_renamed ? newest : NULL;
}

void sentinel_doubt(struct sentinel_word *words, size_t count, const struct sentinel_word *what,
                    bool is_doubted) {
    for (size_t i = 0; i < count; i++) {
        if (sentinel_word_is_same(&words[i], what)) {
            words[i].is_doubted = is_doubted;
        }
    }
}

void sentinel_take(struct sentinel_word *words, size_t count, size_t number,
                   const struct sentinel_word *said) {
    bool is_doubted = false;
    for (size_t i = 0; i < count; i++) {
        is_doubted = is_doubted || (words[i].is_doubted && sentinel_word_is_same(&words[i], said));
    }
    words[number] = *said;
    words[number].is_doubted = is_doubted;
}
