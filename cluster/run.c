// A ring of message references.
#include "cluster/run.h"

#include "cluster/base/mem.h"

static void drop_first(struct run *run) {
    struct message *message = run_at(run, 0);
    run->bytes -= message->size;
    run->base = message->position;
    message_unref(&message);
    run->first = (run->first + 1) & (run->capacity - 1);
    run->count--;
}

// Rings grow only as far as a channel's traffic asks: most channels hold a handful.
static void grow(struct run *run) {
    uint32_t capacity = run->capacity > 0 ? run->capacity * 2 : 4;
    struct message **messages = mem_alloc_array(capacity, sizeof(*messages));
    for (uint32_t i = 0; i < run->count; i++) {
        messages[i] = run_at(run, i);
    }
    mem_free(run->messages);
    run->messages = messages;
    run->capacity = capacity;
    run->first = 0;
}

void run_reset(struct run *run, struct position base) {
    while (run->count > 0) {
        drop_first(run);
    }
    mem_free(run->messages);
    *run = (struct run){.base = base};
}

void run_append(struct run *run, struct message *message) {
    if (run->count == run->capacity) {
        grow(run);
    }
    run->messages[(run->first + run->count) & (run->capacity - 1)] = message_ref(message);
    run->count++;
    run->bytes += message->size;
}

void run_trim(struct run *run, size_t count, size_t bytes) {
    while (run->count > count || (run->bytes > bytes && run->count > 0)) {
        drop_first(run);
    }
}
