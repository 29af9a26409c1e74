// The hash map, against an array that says what should be in it; and SipHash by its vectors.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/base/clock.h"
#include "cluster/base/map.h"
#include "cluster/base/mem.h"
#include "cluster/base/siphash.h"

enum { NAMES = 100000 };

struct entry {
    char name[24];
    bool is_in;
    bool was_seen;
};

static struct entry *make_entries(void) {
    struct entry *entries = mem_alloc_array(NAMES, sizeof(*entries));
    for (int i = 0; i < NAMES; i++) {
        snprintf(entries[i].name, sizeof(entries[i].name), "room:%d", i);
    }
    return entries;
}

static void put(struct map *map, struct entry *entry) {
    map_put(map, slice_of(entry->name), entry);
    entry->is_in = true;
}

static void take(struct map *map, struct entry *entry) {
    assert_ptr_equal(map_remove(map, slice_of(entry->name)), entry->is_in ? entry : NULL);
    entry->is_in = false;
}

// The map and the entries agree: by name, by count, and by visiting all.
static void assert_agrees(const struct map *map, struct entry *entries) {
    size_t count = 0;
    for (int i = 0; i < NAMES; i++) {
        void *expected = entries[i].is_in ? &entries[i] : NULL;
        assert_ptr_equal(map_get(map, slice_of(entries[i].name)), expected);
        count += entries[i].is_in;
        entries[i].was_seen = false;
    }
    assert_int_equal(map->count, count);
    assert_true(map->count * 4 <= map->capacity * 3);
    size_t at = 0;
    for (struct entry *entry; (entry = map_next(map, &at)) != NULL; count--) {
        assert_true(entry->is_in && !entry->was_seen);
        entry->was_seen = true;
    }
    assert_int_equal(count, 0);
}

static void zeroed_memory_is_an_empty_map(void **state) {
    (void)state;
    struct map map = {0};
    size_t at = 0;
    assert_null(map_get(&map, SLICE("a")));
    assert_null(map_remove(&map, SLICE("a")));
    assert_null(map_next(&map, &at));
    map_release(&map);
    assert_null(map.slots);
}

static void a_hundred_thousand_names_come_and_go(void **state) {
    (void)state;
    struct map map = {0};
    struct entry *entries = make_entries();
    for (int i = 0; i < NAMES; i++) {
        put(&map, &entries[i]);
    }
    assert_agrees(&map, entries);
    for (int i = 0; i < NAMES; i += 3) {
        take(&map, &entries[i]);
    }
    assert_agrees(&map, entries);
    for (int i = NAMES - 1; i >= 0; i -= 2) {
        take(&map, &entries[i]);
    }
    assert_agrees(&map, entries);
    for (int i = 0; i < NAMES; i++) {
        if (!entries[i].is_in) {
            put(&map, &entries[i]);
        }
    }
    assert_agrees(&map, entries);
    size_t full = map.capacity;
    for (int i = 0; i < NAMES; i++) {
        take(&map, &entries[i]);
    }
    assert_agrees(&map, entries);
    assert_true(map.capacity < full / 1000);
    map_release(&map);
    mem_free(entries);
}

// Few names and many changes: each hole is closed in a map that is nearly full or nearly empty.
static void random_changes_agree_with_the_oracle(void **state) {
    (void)state;
    struct map map = {0};
    struct entry *entries = make_entries();
    for (int round = 0; round < 200000; round++) {
        uint64_t names = 1 + (uint64_t)round / 4000;
        struct entry *entry = &entries[clock_random(names)];
        if (entry->is_in) {
            take(&map, entry);
        } else {
            put(&map, entry);
        }
        for (uint64_t i = 0; i < names; i++) {
            void *expected = entries[i].is_in ? &entries[i] : NULL;
            assert_ptr_equal(map_get(&map, slice_of(entries[i].name)), expected);
        }
    }
    assert_agrees(&map, entries);
    map_release(&map);
    mem_free(entries);
}

static void keys_are_bytes_and_borrowed(void **state) {
    (void)state;
    struct map map = {0};
    char key[] = "a\0b";
    int value;
    int empty;
    map_put(&map, slice_make(key, 3), &value);
    map_put(&map, SLICE_NONE, &empty);
    assert_ptr_equal(map_get(&map, SLICE("a\0b")), &value);
    assert_ptr_equal(map_get(&map, SLICE("")), &empty);
    assert_null(map_get(&map, SLICE("a")));
    assert_null(map_get(&map, SLICE("a\0c")));
    size_t found = 0;
    for (size_t i = 0; i < map.capacity; i++) {
        found += map.slots[i].value == &value && map.slots[i].key.data == key;
    }
    assert_int_equal(found, 1);
    assert_ptr_equal(map_remove(&map, SLICE("a\0b")), &value);
    assert_null(map_remove(&map, SLICE("a\0b")));
    map_release(&map);
}

// Whether a child that does it is ended by a failed check.
static bool is_fatal(void (*misuse)(struct map *map), struct map *map) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        fclose(stderr);
        misuse(map);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void put_again(struct map *map) {
    map_put(map, SLICE("here"), map);
}

static void put_null(struct map *map) {
    map_put(map, SLICE("nothing"), NULL);
}

static void put_fresh(struct map *map) {
    map_put(map, SLICE("fresh"), map);
}

static void misuse_is_fatal(void **state) {
    (void)state;
    struct map map = {0};
    map_put(&map, SLICE("here"), &map);
    assert_true(is_fatal(put_again, &map));
    assert_true(is_fatal(put_null, &map));
    assert_false(is_fatal(put_fresh, &map));
    map_release(&map);
}

// Key 00..0f, input 00..(len - 1). For 2-4 as published by the authors (vectors.h); for 1-3 as in
// the tests of Rust's standard library, which hashes with it.
static void siphash_gives_the_published_answers(void **state) {
    (void)state;
    static const struct {
        size_t len;
        uint64_t of_2_4;
        uint64_t of_1_3;
    } vectors[] = {
        {0, 0x726fdb47dd0e0e31, 0xabac0158050fc4dc},  {1, 0x74f839c593dc67fd, 0xc9f49bf37d57ca93},
        {7, 0xab0200f58b01d137, 0xd3927d989bb11140},  {8, 0x93f5f5799a932462, 0x369095118d299a8e},
        {9, 0x9e0082df0ba9e4b0, 0x25a48eb36c063de4},  {15, 0xa129ca6149be45e5, 0xd320d86d2a519956},
        {16, 0x3f2acc7f57c29bdb, 0xcc4fdd1a7d908b66}, {63, 0x958a324ceb064572, 0x9d199062b7bbb3a8},
    };
    const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    unsigned char input[64];
    for (unsigned i = 0; i < sizeof(input); i++) {
        input[i] = (unsigned char)i;
    }
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct slice s = slice_make(input, vectors[i].len);
        assert_true(siphash(key, s, 2, 4) == vectors[i].of_2_4);
        assert_true(siphash(key, s, 1, 3) == vectors[i].of_1_3);
    }
}

static void the_hash_is_stable_and_keyed(void **state) {
    (void)state;
    const uint64_t no_key[2] = {0, 0};
    assert_true(map_hash(SLICE("news")) == map_hash(SLICE("news")));
    assert_true(map_hash(SLICE("news")) != map_hash(SLICE("newt")));
    assert_true(map_hash(SLICE("news")) != siphash(no_key, SLICE("news"), 1, 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_memory_is_an_empty_map),
        cmocka_unit_test(a_hundred_thousand_names_come_and_go),
        cmocka_unit_test(random_changes_agree_with_the_oracle),
        cmocka_unit_test(keys_are_bytes_and_borrowed),
        cmocka_unit_test(misuse_is_fatal),
        cmocka_unit_test(siphash_gives_the_published_answers),
        cmocka_unit_test(the_hash_is_stable_and_keyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
