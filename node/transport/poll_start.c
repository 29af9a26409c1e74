// The beginning of a poll: the start of every channel is known, and whoever must see a write (`min`)
// is sure to. The node's memory answers that nearly always; else Redis is read.
#include "node/transport/poll.h"

void poll_open_channel(struct poll_channel *channel, struct slice name,
                       const struct subscriber_start *start) {
    subscriber_open(&channel->subscriber, channel->poll->service->hub, name, start,
                    channel->poll->transport, &poll_subscriber_ops);
}

static void reopen_channel(struct poll_channel *channel, const struct subscriber_start *start) {
    char copy[CHANNEL_NAME_BYTES_MAX];
    struct slice name = subscriber_channel(&channel->subscriber);
    memcpy(copy, name.data, name.len);
    subscriber_close(&channel->subscriber);
    poll_open_channel(channel, slice_make(copy, name.len), start);
}

// Its head is below `min`: what does Redis say?
void poll_read_again(struct poll_channel *channel) {
    channel->min_state = MIN_FRESH;
    channel->start.must_read = true;
    channel->start.is_patient = true; // `min` has a time limit of its own
    reopen_channel(channel, &channel->start);
}

// Its epoch is older than the head's: was there ever such a position?
static void probe_min(struct poll_channel *channel) {
    channel->min_state = MIN_PROBING;
    struct subscriber_start start = {
        .kind = CURSOR_SINCE,
        .since = channel->min,
        .must_read = true,
        .is_patient = true,
        .page = 1,
    };
    reopen_channel(channel, &start);
}

// The probe's answer: for a position that Redis does not have there is a reset that says so.
static enum started take_probe(struct poll_channel *channel) {
    struct delivery delivery;
    if (subscriber_next(&channel->subscriber, &delivery) == NEXT_RESET &&
        delivery.reset.reason != RESET_EXPIRED) {
        return STARTED_NEVER;
    }
    channel->min_state = MIN_PROVEN;
    reopen_channel(channel, &channel->start);
    return subscriber_is_started(&channel->subscriber) ? STARTED_ALL : STARTED_NOT_YET;
}

// Of a channel that is started: whether its `min` is reached, or what will tell is under way.
static enum started look_at_min(struct poll_channel *channel) {
    if (position_is_none(channel->min) || channel->min_state == MIN_PROVEN) {
        return STARTED_ALL;
    }
    if (channel->min_state == MIN_PROBING) {
        return take_probe(channel);
    }
    switch (subscriber_has_reached(&channel->subscriber, channel->min)) {
    case REACHED_YES:
        return STARTED_ALL;
    case REACHED_UNKNOWN:
        probe_min(channel);
        return STARTED_NOT_YET;
    case REACHED_NOT_YET:
        break;
    }
    if (channel->min_state == MIN_OPEN) {
        poll_read_again(channel);
        return STARTED_NOT_YET;
    }
    // A proven master has no such epoch: waiting will not help. The same one may still come so far.
    bool is_same_epoch = channel->min.epoch == subscriber_head(&channel->subscriber).epoch;
    return is_same_epoch ? STARTED_NOT_YET : STARTED_NEVER;
}

enum started poll_look_at_starts(struct poll *poll) {
    for (; poll->started < poll->count; poll->started++) {
        struct poll_channel *channel = &poll->channels[poll->started];
        if (!subscriber_is_started(&channel->subscriber)) {
            return STARTED_NOT_YET;
        }
        enum started started = look_at_min(channel);
        if (started != STARTED_ALL) {
            return started;
        }
        channel->position = channel->subscriber.began;
    }
    return STARTED_ALL;
}
