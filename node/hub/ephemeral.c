// A small ring with sequence numbers, as the backlog's, that lives only while it holds something.
#include "node/hub/ephemeral.h"

#include "cluster/base/mem.h"
#include "node/hub/backlog.h"

struct ephemeral *ephemerals_at(const struct ephemerals *ephemerals, uint64_t seq) {
    CHECK(seq >= ephemerals->first_seq && seq < ephemerals_end(ephemerals));
    return &ephemerals->slots[seq % EPHEMERALS_MAX];
}

static void drop_oldest(struct ephemerals *ephemerals) {
    struct ephemeral *oldest = ephemerals_at(ephemerals, ephemerals->first_seq);
    ephemerals->bytes -= oldest->entry.message->size;
    entry_release(&oldest->entry);
    ephemerals->first_seq++;
    ephemerals->count--;
}

void ephemerals_append(struct ephemerals *ephemerals, struct message *message, uint64_t after_seq,
                       size_t *held) {
    while (ephemerals->count > 0 && (ephemerals->count == EPHEMERALS_MAX ||
                                     ephemerals->bytes + message->size > EPHEMERAL_BYTES_MAX)) {
        drop_oldest(ephemerals);
    }
    if (ephemerals->slots == NULL) {
        ephemerals->slots = mem_alloc_array(EPHEMERALS_MAX, sizeof(struct ephemeral));
    }
    uint64_t seq = ephemerals_end(ephemerals);
    ephemerals->count++;
    struct ephemeral *slot = ephemerals_at(ephemerals, seq);
    entry_hold(&slot->entry, message, held);
    slot->after_seq = after_seq;
    ephemerals->bytes += message->size;
}

void ephemerals_clear(struct ephemerals *ephemerals) {
    while (ephemerals->count > 0) {
        drop_oldest(ephemerals);
    }
    mem_free(ephemerals->slots);
    ephemerals->slots = NULL;
}
