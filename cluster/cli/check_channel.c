// freshet check CH: do a channel's counter, log and fork agree?
#include "cluster/cli/check.h"

#include "cluster/cli/channel_facts.h"
#include "cluster/log_page.h"

#include <stdio.h>

enum { EXPIRY_SLACK_MS = 2000 };

struct subject {
    struct checkup *checkup;
    const char *channel;
    const struct channel_facts *facts;
    bool is_whole; // nothing was found
};

static const char no_fix[] = "none is needed: the next publish opens an epoch with the right fork";

static void warn(struct subject *subject, const char *fix, const char *text) {
    subject->is_whole = false;
    checkup_tell(subject->checkup, FINDING_WARNING, subject->channel, fix, "%s", text);
}

// ---- Counter against log -------------------------------------------------------------------------

static bool log_should_live(const struct channel_facts *facts) {
    uint64_t expires_ms = 0;
    slice_to_u64(reply_find_text(facts->replies[FACT_HASH], "expires"), INT64_MAX, &expires_ms);
    return facts->version > 0 && (int64_t)expires_ms > facts->now_ms;
}

static bool newest_is_gone(const struct channel_facts *facts) {
    bool is_message = !position_is_none(facts->last.position);
    return is_message ? !position_equal(facts->last.position, facts->last_id) : facts->length == 0;
}

static void compare_heads(struct subject *subject) {
    const struct channel_facts *facts = subject->facts;
    struct position counted = {facts->epoch, facts->version};
    char text[200];
    char counter[POSITION_TEXT_MAX];
    char last[POSITION_TEXT_MAX];
    position_format(counted, counter);
    position_format(facts->last_id, last);
    if (facts->epoch == 0 && facts->has_log) {
        warn(subject, no_fix, "the log has no counter (the HASH is gone, or only holds settings)");
    } else if (!facts->has_log && log_should_live(facts)) {
        snprintf(text, sizeof(text),
                 "the log is gone before its time (deleted or evicted), the counter stands at %s: "
                 "who is behind is reset",
                 counter);
        warn(subject, no_fix, text);
    } else if (facts->has_log && position_compare(facts->last_id, counted) > 0) {
        snprintf(
            text, sizeof(text),
            "the log (%s) is ahead of the counter (%s): an old HASH was restored, or something "
            "else writes to the log",
            last, counter);
        warn(subject, no_fix, text);
    } else if (facts->has_log && position_compare(facts->last_id, counted) < 0) {
        snprintf(
            text, sizeof(text),
            "the counter (%s) is ahead of the log (%s): an old log was restored; who is behind "
            "is reset",
            counter, last);
        warn(subject, "once, when keys were restored: freshet install --replace", text);
    } else if (facts->has_log && newest_is_gone(facts)) {
        snprintf(text, sizeof(text), "the newest messages, up to %s, were deleted from the log",
                 last);
        warn(subject, "let nobody XDEL or XTRIM a log but the function library", text);
    }
}

// ---- The log itself ------------------------------------------------------------------------------

struct walk {
    struct position at;
    uint64_t holes;
    struct message after_hole; // position alone: where the first one is
    struct position before_hole;
    struct position fork; // of the newest version 1
    struct position fork_of;
};

// Entries of one page; false when one is no message.
static bool walk_page(struct walk *walk, const redisReply *entries) {
    for (size_t i = 0; i < entries->elements; i++) {
        struct message entry;
        if (!log_entry_parse(entries->element[i], &entry)) {
            return false;
        }
        if (!position_is_none(walk->at) && !message_follows(&entry, walk->at)) {
            if (walk->holes++ == 0) {
                walk->before_hole = walk->at;
                walk->after_hole.position = entry.position;
            }
        }
        if (entry.position.version == 1) {
            walk->fork = entry.fork;
            walk->fork_of = entry.position;
        }
        walk->at = entry.position;
    }
    return true;
}

static int walk_log(struct subject *subject, struct walk *walk, bool *is_read_r) {
    struct client *client = &subject->checkup->client;
    size_t got = LOG_PAGE_ENTRIES;
    *is_read_r = true;
    while (got == LOG_PAGE_ENTRIES && *is_read_r) {
        char from[POSITION_TEXT_MAX + 1] = "-";
        char count[8];
        redisReply *reply;
        if (!position_is_none(walk->at)) {
            from[0] = '(';
            position_format(walk->at, from + 1);
        }
        snprintf(count, sizeof(count), "%d", LOG_PAGE_ENTRIES);
        int error = client_ask(client,
                               WORDS(SLICE("XRANGE"), subject->facts->keys.log, slice_of(from),
                                     SLICE("+"), SLICE("COUNT"), slice_of(count)),
                               &reply);
        if (error < 0) {
            return error;
        }
        *is_read_r = reply->type == REDIS_REPLY_ARRAY && walk_page(walk, reply);
        got = reply->elements;
        reply_free(&reply);
    }
    return 0;
}

static void judge_walk(struct subject *subject, const struct walk *walk) {
    const struct channel_facts *facts = subject->facts;
    char text[200];
    char a[POSITION_TEXT_MAX];
    char b[POSITION_TEXT_MAX];
    if (walk->holes > 0) {
        position_format(walk->before_hole, a);
        position_format(walk->after_hole.position, b);
        snprintf(text, sizeof(text), "the log has %llu %s, the first between %s and %s",
                 (unsigned long long)walk->holes, walk->holes == 1 ? "hole" : "holes", a, b);
        warn(subject, "let nobody XDEL, XTRIM or XADD a log but the function library", text);
    }
    if (walk->fork_of.epoch == facts->epoch && facts->epoch != 0 &&
        !position_equal(walk->fork, facts->fork)) {
        position_format(facts->fork, a);
        position_format(walk->fork, b);
        snprintf(text, sizeof(text), "the counter's fork (%s) is not the log's (%s)",
                 a[0] != '\0' ? a : "none", b[0] != '\0' ? b : "none");
        warn(subject, "freshet install --replace: the next publish opens an epoch", text);
    }
}

// ---- Expiries ------------------------------------------------------------------------------------

static void check_expiries(struct subject *subject) {
    const struct channel_facts *facts = subject->facts;
    const redisReply *hash = facts->replies[FACT_HASH];
    bool has_settings = reply_find(hash, "history") != NULL || reply_find(hash, "ttl") != NULL;
    uint64_t expires_ms = 0;
    if (facts->has_log && facts->log_ttl_ms == -1) {
        warn(subject, "none is needed: the next publish sets it",
             "the log never expires (it was restored, or made persistent)");
    } else if (facts->has_log && facts->log_ttl_ms >= 0 &&
               slice_to_u64(reply_find_text(hash, "expires"), INT64_MAX, &expires_ms) == 0) {
        int64_t off_ms = (int64_t)expires_ms - (facts->now_ms + facts->log_ttl_ms);
        if (off_ms > EXPIRY_SLACK_MS || off_ms < -EXPIRY_SLACK_MS) {
            warn(subject,
                 "let nobody but the function library set a log's expiry (TTL n, or the "
                 "field ttl of the HASH)",
                 "the log expires at another time than the counter says");
        }
    }
    if (facts->has_hash && facts->hash_ttl_ms == -1 && !has_settings) {
        warn(subject, "none is needed: the next publish or subscriber sets it",
             "the counter never expires, though it has no settings");
    }
}

// ---- One channel ---------------------------------------------------------------------------------

static int compare(struct subject *subject) {
    struct walk walk = {0};
    bool is_read = true;
    compare_heads(subject);
    check_expiries(subject);
    if (!subject->facts->has_log) {
        return 0;
    }
    int error = walk_log(subject, &walk, &is_read);
    if (error < 0) {
        return error;
    }
    if (!is_read) {
        subject->is_whole = false;
        checkup_tell(subject->checkup, FINDING_BROKEN, subject->channel,
                     "delete the log: the next publish begins a new one",
                     "the log holds entries that are no messages");
    } else {
        judge_walk(subject, &walk);
    }
    return 0;
}

static int judge(struct subject *subject, const redisReply *refusal) {
    const struct channel_facts *facts = subject->facts;
    struct checkup *checkup = subject->checkup;
    if (refusal != NULL) {
        bool is_other = reply_is_refusal(refusal, "WRONGTYPE");
        checkup_tell(checkup, is_other ? FINDING_BROKEN : FINDING_WARNING, subject->channel,
                     is_other ? "delete the key that is no HASH or no STREAM"
                              : "run it as a user who may read the channel",
                     "cannot be read: %.*s", SLICE_ARGS(resp_text(refusal)));
        return 0;
    }
    if (!facts->has_hash && !facts->has_log) {
        warn(subject, NULL, "Redis knows nothing of this channel");
        return 0;
    }
    int error = compare(subject);
    if (error == 0 && subject->is_whole) {
        char head[POSITION_TEXT_MAX];
        position_format(facts->head, head);
        checkup_tell(checkup, FINDING_FINE, subject->channel, NULL,
                     "counter, log and fork agree at %s", head[0] != '\0' ? head : "none");
    }
    return error;
}

int check_channel(struct checkup *checkup, const char *channel) {
    struct channel_facts facts;
    const redisReply *refusal;
    int error = channel_facts_read(&facts, &checkup->client, checkup->tool->prefix,
                                   slice_of(channel), &refusal);
    if (error < 0) {
        return error;
    }
    struct subject subject = {checkup, channel, &facts, true};
    error = judge(&subject, refusal);
    channel_facts_release(&facts);
    return error;
}
