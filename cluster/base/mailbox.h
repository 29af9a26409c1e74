// The only crossing between threads: each loop owns one mailbox, any thread may post to it.
//
// A letter is embedded in what it carries and belongs to the mailbox from post to delivery. Letters
// of one sender are delivered in the order they were posted. What bounds a mailbox is its senders:
// each kind of letter is either one per object (calls) or counted (batches, see cluster/fanout.h).
#ifndef FRESHET_CLUSTER_BASE_MAILBOX_H
#define FRESHET_CLUSTER_BASE_MAILBOX_H

#include <uv.h>

struct letter {
    struct letter *next;                        // the mailbox's while posted
    void (*on_delivery)(struct letter *letter); // runs on the receiving loop; may free the letter
};

struct mailbox;

// On the loop's own thread. 0, or what uv_async_init says. An open mailbox keeps the loop running.
int mailbox_open(uv_loop_t *loop, struct mailbox **mailbox_r);

// Any thread. Never blocks, never fails. on_delivery must be set.
void mailbox_post(struct mailbox *mailbox, struct letter *letter);

// On the loop's own thread, after every sender has stopped. Delivers what is still there, then
// closes; the memory goes when the loop has run the close callback. NULLs *mailbox.
void mailbox_close(struct mailbox **mailbox);

#endif
