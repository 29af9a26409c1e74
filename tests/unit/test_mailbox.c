// The mailbox, with real threads and a real loop: exactly once, in order per sender, at most so
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// many a turn, nothing left behind by close.
#include <stdbool.h>
#include <uv.h>

#include "cluster/base/check.h"
#include "cluster/base/mailbox.h"
#include "cluster/base/mem.h"

enum { SENDERS = 4, LETTERS = 50000 };

struct office {
    uv_loop_t loop;
    struct mailbox *mailbox;
    int expected[SENDERS]; // the next number of each sender
    int received;
    int until;  // stops the loop at so many
    int turns;  // of the loop, while it counts
    int repost; // deliveries that still post their letter again
};

struct note {
    struct letter letter;
    struct office *office;
    int sender;
    int number;
};

struct sender {
    struct office *office;
    int id;
};

static void office_init(struct office *office) {
    *office = (struct office){.until = -1};
    assert_int_equal(uv_loop_init(&office->loop), 0);
    assert_int_equal(mailbox_open(&office->loop, &office->mailbox), 0);
}

// Closes what is open and proves that the loop holds nothing any more.
static void office_release(struct office *office) {
    if (office->mailbox != NULL) {
        mailbox_close(&office->mailbox);
    }
    assert_null(office->mailbox);
    assert_int_equal(uv_run(&office->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&office->loop), 0);
}

static void on_note(struct letter *letter) {
    struct note *note = CONTAINER_OF(letter, struct note, letter);
    struct office *office = note->office;
    assert_int_equal(note->number, office->expected[note->sender]);
    office->expected[note->sender]++;
    office->received++;
    mem_free(note);
    if (office->received == office->until) {
        uv_stop(&office->loop);
    }
}

static void post_note(struct office *office, int sender, int number) {
    struct note *note = mem_alloc(sizeof(*note));
    *note = (struct note){{NULL, on_note}, office, sender, number};
    mailbox_post(office->mailbox, &note->letter);
}

static void send_all(void *arg) {
    struct sender *sender = arg;
    for (int i = 0; i < LETTERS; i++) {
        post_note(sender->office, sender->id, i);
    }
}

static void start_senders(struct office *office, uv_thread_t *threads, struct sender *senders) {
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){office, i};
        assert_int_equal(uv_thread_create(&threads[i], send_all, &senders[i]), 0);
    }
}

static void join_senders(uv_thread_t *threads) {
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(uv_thread_join(&threads[i]), 0);
    }
}

// The loop sleeps between letters, so a wake-up that is lost hangs this test.
static void letters_of_many_threads_arrive_once_and_in_order(void **state) {
    (void)state;
    struct office office;
    uv_thread_t threads[SENDERS];
    struct sender senders[SENDERS];
    office_init(&office);
    office.until = SENDERS * LETTERS;
    start_senders(&office, threads, senders);
    uv_run(&office.loop, UV_RUN_DEFAULT);
    join_senders(threads);
    assert_int_equal(office.received, SENDERS * LETTERS);
    office_release(&office);
    assert_int_equal(office.received, SENDERS * LETTERS);
}

static void close_delivers_what_is_left(void **state) {
    (void)state;
    struct office office;
    uv_thread_t threads[SENDERS];
    struct sender senders[SENDERS];
    office_init(&office);
    start_senders(&office, threads, senders);
    join_senders(threads);
    uv_run(&office.loop, UV_RUN_NOWAIT); // one turn: some are taken off the stack, not delivered
    assert_true(office.received > 0 && office.received < SENDERS * LETTERS);
    mailbox_close(&office.mailbox);
    assert_int_equal(office.received, SENDERS * LETTERS);
    office_release(&office);
    assert_int_equal(office.received, SENDERS * LETTERS);
}

static void on_turn(uv_prepare_t *prepare) {
    ((struct office *)prepare->data)->turns++;
}

static void a_flood_is_spread_over_turns_of_the_loop(void **state) {
    (void)state;
    struct office office;
    office_init(&office);
    uv_prepare_t prepare;
    uv_prepare_init(&office.loop, &prepare);
    prepare.data = &office;
    uv_prepare_start(&prepare, on_turn);
    office.until = LETTERS;
    for (int i = 0; i < LETTERS; i++) {
        post_note(&office, 0, i);
    }
    uv_run(&office.loop, UV_RUN_DEFAULT);
    assert_int_equal(office.received, LETTERS);
    assert_true(office.turns >= LETTERS / 4096);
    uv_close((uv_handle_t *)&prepare, NULL);
    office_release(&office);
}

static void on_boomerang(struct letter *letter) {
    struct note *note = CONTAINER_OF(letter, struct note, letter);
    struct office *office = note->office;
    office->received++;
    if (office->repost-- > 0) {
        mailbox_post(office->mailbox, letter);
    } else {
        uv_stop(&office->loop);
    }
}

static void a_delivery_may_post_its_letter_again(void **state) {
    (void)state;
    struct office office;
    office_init(&office);
    office.repost = 10000;
    struct note note = {.letter = {NULL, on_boomerang}, .office = &office};
    mailbox_post(office.mailbox, &note.letter);
    uv_run(&office.loop, UV_RUN_DEFAULT);
    assert_int_equal(office.received, 10001);
    office_release(&office);
}

static void on_last_orders(struct letter *letter) {
    struct note *note = CONTAINER_OF(letter, struct note, letter);
    mailbox_close(&note->office->mailbox);
}

static void a_delivery_may_close_the_mailbox(void **state) {
    (void)state;
    struct office office;
    office_init(&office);
    struct note note = {.letter = {NULL, on_last_orders}, .office = &office};
    post_note(&office, 0, 0);
    mailbox_post(office.mailbox, &note.letter);
    post_note(&office, 0, 1);
    post_note(&office, 0, 2);
    assert_int_equal(uv_run(&office.loop, UV_RUN_DEFAULT), 0); // ends: nothing is open
    assert_int_equal(office.received, 3);
    office_release(&office);
}

static void an_unused_mailbox_closes(void **state) {
    (void)state;
    struct office office;
    office_init(&office);
    office_release(&office);
    assert_int_equal(office.received, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_of_many_threads_arrive_once_and_in_order),
        cmocka_unit_test(close_delivers_what_is_left),
        cmocka_unit_test(a_flood_is_spread_over_turns_of_the_loop),
        cmocka_unit_test(a_delivery_may_post_its_letter_again),
        cmocka_unit_test(a_delivery_may_close_the_mailbox),
        cmocka_unit_test(an_unused_mailbox_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
