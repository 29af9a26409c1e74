// Continuity of a cursor in a log.
#include "cluster/continuity.h"

static bool is_next(const struct log_facts *facts, struct position c) {
    struct message next = {.position = facts->next, .fork = facts->next_fork};
    return message_follows(&next, c);
}

static bool epoch_is_known(struct position c, const struct log_facts *facts) {
    return c.epoch == facts->channel.head.epoch || c.epoch == facts->channel.fork.epoch ||
           c.epoch == facts->next.epoch || c.epoch == facts->next_fork.epoch ||
           facts->has_entry_in_epoch;
}

// The reasons in the contract's order: what Redis lost of what c saw weighs more than what c missed.
static enum reset_reason reason_of(struct position c, const struct log_facts *facts) {
    bool has_next = !position_is_none(facts->next);
    struct position head = facts->channel.head;
    if (has_next && facts->next.version == 1 && facts->next_fork.epoch == c.epoch &&
        facts->next_fork.version < c.version) {
        return RESET_LOST;
    }
    if (!has_next && c.epoch == head.epoch && c.version > head.version) {
        return RESET_LOST;
    }
    if (c.epoch == head.epoch || c.epoch == facts->channel.fork.epoch ||
        (has_next && (c.epoch == facts->next.epoch || c.epoch == facts->next_fork.epoch))) {
        return RESET_EXPIRED;
    }
    return RESET_FOREIGN;
}

enum continuity continuity_decide(struct position c, const struct log_facts *facts,
                                  struct reset *reset_r) {
    bool has_next = !position_is_none(facts->next);
    if (has_next ? is_next(facts, c) : position_equal(c, facts->channel.head)) {
        return CONTINUITY_KEPT;
    }
    reset_r->from = c;
    reset_r->reason = reason_of(c, facts);
    if (!epoch_is_known(c, facts) && facts->has_entries) {
        reset_r->reason = RESET_FOREIGN;
        return CONTINUITY_UNKNOWN;
    }
    reset_r->to = has_next ? position_before(facts->next) : facts->channel.head;
    return CONTINUITY_BROKEN;
}
