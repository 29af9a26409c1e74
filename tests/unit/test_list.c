// Intrusive lists.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/base/list.h"

struct item {
    int number;
    struct list node;
};

static void fill(struct list *head, struct item *items, int from, int count) {
    list_init(head);
    for (int i = 0; i < count; i++) {
        items[i].number = from + i;
        list_append(head, &items[i].node);
    }
}

// The numbers in the list as one decimal number, in order, checked backwards as well.
static long numbers(struct list *head) {
    long forward = 0;
    LIST_FOREACH(node, head) {
        forward = forward * 10 + LIST_ENTRY(node, struct item, node)->number;
    }
    long backward = 0;
    long unit = 1;
    for (struct list *node = head->prev; node != head; node = node->prev, unit *= 10) {
        backward += unit * LIST_ENTRY(node, struct item, node)->number;
    }
    assert_int_equal(forward, backward);
    return forward;
}

static void an_empty_list_has_nothing(void **state) {
    (void)state;
    struct list head;
    list_init(&head);
    assert_true(list_is_empty(&head));
    assert_null(list_first(&head));
    assert_null(list_pop(&head));
    assert_int_equal(numbers(&head), 0);
}

static void append_keeps_the_order_and_pop_takes_the_first(void **state) {
    (void)state;
    struct list head;
    struct item items[4];
    fill(&head, items, 1, 4);
    assert_int_equal(numbers(&head), 1234);
    assert_ptr_equal(list_first(&head), &items[0].node);
    assert_ptr_equal(list_pop(&head), &items[0].node);
    assert_int_equal(numbers(&head), 234);
}

static void insert_before_a_node(void **state) {
    (void)state;
    struct list head;
    struct item items[3];
    fill(&head, items, 1, 3);
    struct item between = {.number = 9};
    list_insert_before(&items[1].node, &between.node);
    assert_int_equal(numbers(&head), 1923);
}

static void a_removed_node_is_in_no_list(void **state) {
    (void)state;
    struct list head;
    struct item items[3];
    fill(&head, items, 1, 3);
    assert_true(list_is_linked(&items[1].node));
    list_remove(&items[1].node);
    assert_false(list_is_linked(&items[1].node));
    assert_int_equal(numbers(&head), 13);
    list_remove(&items[1].node); // again: harmless
    assert_int_equal(numbers(&head), 13);
    list_remove(&items[0].node);
    list_remove(&items[2].node);
    assert_true(list_is_empty(&head));
}

static void splice_moves_all_behind_the_others(void **state) {
    (void)state;
    struct list to;
    struct list from;
    struct item first[2];
    struct item second[3];
    fill(&to, first, 1, 2);
    fill(&from, second, 3, 3);
    list_splice(&to, &from);
    assert_int_equal(numbers(&to), 12345);
    assert_true(list_is_empty(&from));
    list_splice(&to, &from); // nothing left
    assert_int_equal(numbers(&to), 12345);
    list_splice(&from, &to); // into an empty list
    assert_int_equal(numbers(&from), 12345);
    assert_true(list_is_empty(&to));
}

static void the_body_of_a_loop_may_remove_its_node(void **state) {
    (void)state;
    struct list head;
    struct item items[5];
    fill(&head, items, 1, 5);
    LIST_FOREACH(node, &head) {
        if (LIST_ENTRY(node, struct item, node)->number % 2 == 1) {
            list_remove(node);
        }
    }
    assert_int_equal(numbers(&head), 24);
    LIST_FOREACH(node, &head) {
        list_remove(node);
    }
    assert_true(list_is_empty(&head));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_list_has_nothing),
        cmocka_unit_test(append_keeps_the_order_and_pop_takes_the_first),
        cmocka_unit_test(insert_before_a_node),
        cmocka_unit_test(a_removed_node_is_in_no_list),
        cmocka_unit_test(splice_moves_all_behind_the_others),
        cmocka_unit_test(the_body_of_a_loop_may_remove_its_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
