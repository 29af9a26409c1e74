// A message is encoded once per frame kind; subscribers are woken by one splice of lists, and then
// called in turns by a check handle, which runs right behind the poll phase in which messages
// arrive: what came in one batch is delivered in one go. No callback can hurt the loops here: they
// take the first of a list, put it elsewhere, and only then call.
#include "node/hub/broadcast.h"

#include "node/hub/internal.h"

struct frame *
entry_frame(struct hub *hub, struct entry *entry, enum frame_kind kind, struct slice channel,
            struct frame *(*encode)(struct slice channel, const struct message *message)) {
    CHECK_OBJ(hub, HUB_MAGIC);
    if (entry->frames[kind] == NULL) {
        // Frames live as long as their entry, so that laggards and polls share them too; the
        // worker's budget counts them, and takes the coldest away with their messages.
        entry->frames[kind] = encode(channel, entry->message);
        *entry->held += entry->frames[kind]->len;
        metrics_add(&hub->options.metrics->frames_encoded[kind], 1);
    }
    return entry->frames[kind];
}

void broadcast_run(struct channel *channel) {
    if (!list_is_empty(&channel->woken) && !list_is_linked(&channel->run_node)) {
        list_append(&channel->hub->run, &channel->run_node);
        broadcast_continue(channel->hub);
    }
}

static void on_more(uv_idle_t *idle) {
    (void)idle; // its presence makes the poll phase return at once
}

void broadcast_continue(struct hub *hub) {
    if (!hub->is_closing) {
        uv_idle_start(&hub->more, on_more);
    }
}

// One subscriber of the first channel, which then goes to the end of the line.
static void tell_one(struct hub *hub) {
    struct channel *channel = LIST_ENTRY(list_pop(&hub->run), struct channel, run_node);
    CHECK_OBJ(channel, CHANNEL_MAGIC);
    struct list *node = list_pop(&channel->woken);
    if (node == NULL) {
        // All had their chance; a socket that is full has missed what is not in the log.
        ephemerals_clear(&channel->ephemerals);
        return;
    }
    list_append(&hub->run, &channel->run_node);
    list_append(&channel->idle, node);
    subscriber_wake(LIST_ENTRY(node, struct subscriber, node)); // may close anybody
}

static void on_pump(uv_check_t *check) {
    struct hub *hub = check->data;
    CHECK_OBJ(hub, HUB_MAGIC);
    for (int i = 0; i < PUMP_BUDGET && !list_is_empty(&hub->run); i++) {
        tell_one(hub);
    }
    watchers_tell(hub, PUMP_BUDGET);
    if (list_is_empty(&hub->run) && list_is_empty(&hub->watchers_untold)) {
        uv_idle_stop(&hub->more);
    }
}

int broadcast_open(struct hub *hub) {
    list_init(&hub->run);
    int error = uv_check_init(hub->options.loop, &hub->pump);
    if (error < 0) {
        return error;
    }
    error = uv_idle_init(hub->options.loop, &hub->more);
    CHECK(error == 0); // neither of them can fail in libuv 1.x
    hub->pump.data = hub;
    hub->more.data = hub;
    hub->handles_open = 2;
    uv_unref((uv_handle_t *)&hub->pump);
    return uv_check_start(&hub->pump, on_pump);
}

static void on_handle_closed(uv_handle_t *handle) {
    struct hub *hub = handle->data;
    hub->handles_open--;
    hub_finish_close(hub);
}

void broadcast_close(struct hub *hub) {
    uv_close((uv_handle_t *)&hub->pump, on_handle_closed);
    uv_close((uv_handle_t *)&hub->more, on_handle_closed);
}
