// Many senders, one receiver. Senders push on an atomic stack; the receiver takes the stack whole
// and turns it over, which gives the order of posting. Nobody pops single letters, so there is no
// ABA problem, and no lock.
#include "cluster/base/mailbox.h"

#include <stdatomic.h>
#include <stdint.h>

#include "cluster/base/check.h"
#include "cluster/base/mem.h"

enum { MAILBOX_MAGIC = 0x3a11b0c5 };

// One turn of the loop delivers no more, so that a flood of letters does not starve its sockets.
enum { LETTERS_PER_TURN = 4096 };

struct mailbox {
    uint32_t magic;
    uv_async_t async;
    _Atomic(struct letter *) stack; // posted, the latest first; any thread
    struct letter *queue;           // taken from the stack, in order; the receiver's alone
};

static struct letter *take_all_posted(struct mailbox *mailbox) {
    struct letter *stack = atomic_exchange_explicit(&mailbox->stack, NULL, memory_order_acquire);
    struct letter *queue = NULL;
    while (stack != NULL) {
        struct letter *letter = stack;
        stack = letter->next;
        letter->next = queue;
        queue = letter;
    }
    return queue;
}

static struct letter *next_letter(struct mailbox *mailbox) {
    if (mailbox->queue == NULL) {
        mailbox->queue = take_all_posted(mailbox);
    }
    struct letter *letter = mailbox->queue;
    if (letter != NULL) {
        mailbox->queue = letter->next;
        letter->next = NULL;
    }
    return letter;
}

static void on_async(uv_async_t *async) {
    struct mailbox *mailbox = async->data;
    CHECK_OBJ(mailbox, MAILBOX_MAGIC);
    for (int i = 0; i < LETTERS_PER_TURN; i++) {
        struct letter *letter = next_letter(mailbox);
        if (letter == NULL) {
            return;
        }
        letter->on_delivery(letter);
    }
    // Senders wake the loop only for the first letter on an empty stack: the rest is up to us.
    if (!uv_is_closing((uv_handle_t *)async)) {
        uv_async_send(async);
    }
}

static void on_closed(uv_handle_t *handle) {
    struct mailbox *mailbox = handle->data;
    CHECK_OBJ(mailbox, MAILBOX_MAGIC);
    mailbox->magic = 0;
    mem_free(mailbox);
}

int mailbox_open(uv_loop_t *loop, struct mailbox **mailbox_r) {
    struct mailbox *mailbox = mem_alloc(sizeof(*mailbox));
    mailbox->magic = MAILBOX_MAGIC;
    mailbox->async.data = mailbox;
    atomic_init(&mailbox->stack, NULL);
    int error = uv_async_init(loop, &mailbox->async, on_async);
    if (error < 0) {
        mem_free(mailbox);
        return error;
    }
    *mailbox_r = mailbox;
    return 0;
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter) {
    CHECK_OBJ(mailbox, MAILBOX_MAGIC);
    CHECK(letter->on_delivery != NULL);
    struct letter *top = atomic_load_explicit(&mailbox->stack, memory_order_relaxed);
    do {
        letter->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->stack, &top, letter,
                                                    memory_order_release, memory_order_relaxed));
    // The letter is no longer ours. On a stack that was not empty somebody else's wake-up is still
    // under way: this one is spared.
    if (top == NULL) {
        uv_async_send(&mailbox->async);
    }
}

void mailbox_close(struct mailbox **mailbox) {
    struct mailbox *closing = *mailbox;
    CHECK_OBJ(closing, MAILBOX_MAGIC);
    *mailbox = NULL;
    for (struct letter *letter; (letter = next_letter(closing)) != NULL;) {
        letter->on_delivery(letter);
    }
    uv_close((uv_handle_t *)&closing->async, on_closed);
}
