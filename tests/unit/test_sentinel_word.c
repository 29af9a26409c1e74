// Whom to believe when Sentinels do not agree, and how little of what they say is believed at all.
#include "cluster/sentinel_word.h"

#include "cluster/base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <uv.h>

// ---- Whom to believe -------------------------------------------------------------------------------

struct said {
    const char *host; // NULL: nothing; "!host": it is doubted
    uint64_t epoch;
};

static struct sentinel_word word_of(struct said said) {
    struct sentinel_word word = {.is_said = said.host != NULL, .epoch = said.epoch};
    if (word.is_said) {
        word.is_doubted = said.host[0] == '!';
        snprintf(word.host, sizeof(word.host), "%s", said.host + (word.is_doubted ? 1 : 0));
        snprintf(word.port, sizeof(word.port), "6379");
    }
    return word;
}

struct vote {
    const char *what;
    struct said followed;
    struct said says[5];
    size_t count;
    bool may_go_back;
    const char *chosen; // NULL: what is followed stays
};

static void check_votes(const struct vote *votes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct vote *vote = &votes[i];
        struct sentinel_word words[5];
        for (size_t k = 0; k < vote->count; k++) {
            words[k] = word_of(vote->says[k]);
        }
        struct sentinel_word followed = word_of(vote->followed);
        const struct sentinel_word *chosen =
            sentinel_choose(words, vote->count, &followed, vote->may_go_back);
        const char *host = chosen != NULL ? chosen->host : NULL;
        if ((host == NULL) != (vote->chosen == NULL) ||
            (host != NULL && strcmp(host, vote->chosen) != 0)) {
            fail_msg("%s: %s", vote->what, host != NULL ? host : "none");
        }
    }
}

static void the_newest_epoch_is_believed(void **state) {
    (void)state;
    static const struct vote votes[] = {
        {"nobody says anything", {"a", 3}, {{0}}, 3, true, NULL},
        {"nobody ever said anything", {0}, {{0}}, 3, true, NULL},
        {"the first word", {0}, {{0}, {"a", 0}}, 3, false, "a"},
        {"all agree", {"a", 3}, {{"a", 3}, {"a", 3}, {"a", 3}}, 3, false, NULL},
        {"one has heard of a switch", {"a", 3}, {{"a", 3}, {"b", 4}, {"a", 3}}, 3, false, "b"},
        {"one has not yet", {"b", 4}, {{"a", 3}, {"b", 4}, {"b", 4}}, 3, false, NULL},
        {"only one that has not is left", {"b", 4}, {{"a", 3}, {0}, {0}}, 3, false, NULL},
        {"not even later", {"b", 4}, {{"a", 3}, {0}, {0}}, 3, true, NULL},
        {"nor a lone one of two", {"b", 4}, {{"a", 3}, {0}}, 2, true, NULL},
        {"most went back, too early", {"b", 4}, {{"a", 0}, {"a", 0}, {0}}, 3, false, NULL},
        {"most were set up anew", {"b", 4}, {{"a", 0}, {"a", 0}, {0}}, 3, true, "a"},
        {"one is wrong within the epoch", {"a", 0}, {{"a", 0}, {"b", 0}, {"b", 0}}, 3, true, "b"},
        {"but has time to mend", {"a", 0}, {{"a", 0}, {"b", 0}, {"b", 0}}, 3, false, NULL},
        {"but do not agree", {"b", 4}, {{"a", 0}, {"c", 0}, {0}}, 3, true, NULL},
        {"nor by their epoch", {"b", 4}, {{"a", 1}, {"a", 0}, {0}}, 3, true, NULL},
        {"the same server, newer", {"a", 3}, {{"a", 4}}, 1, false, "a"},
        {"several newer", {"a", 3}, {{"b", 4}, {"c", 6}, {"b", 5}, {"b", 4}}, 4, false, "c"},
        {"one epoch, two names", {"a", 3}, {{"b", 3}, {"b", 3}, {"a", 3}}, 3, false, NULL},
        {"one epoch, another name", {"a", 3}, {{"b", 3}, {"b", 3}, {0}}, 3, false, "b"},
        {"at first most win", {0}, {{"b", 3}, {"a", 3}, {"a", 3}}, 3, false, "a"},
        {"at first the newest wins", {0}, {{"b", 4}, {"a", 3}, {"a", 3}}, 3, false, "b"},
    };
    check_votes(votes, sizeof(votes) / sizeof(votes[0]));
}

// x is left over from earlier, by epoch 9; a and b are named by those that were set up anew.
static void what_was_given_up_does_not_count(void **state) {
    (void)state;
    static const struct vote votes[] = {
        {"no proof for long", {"x", 9}, {{"x", 9}, {"a", 0}, {"a", 0}}, 3, true, "a"},
        {"not yet", {"x", 9}, {{"x", 9}, {"a", 0}, {"a", 0}}, 3, false, NULL},
        {"nor against half", {"x", 9}, {{"x", 9}, {"x", 9}, {"a", 0}, {"a", 0}}, 4, true, NULL},
        {"nor by half of all", {"x", 9}, {{"a", 0}, {"a", 0}, {0}, {0}}, 4, true, NULL},
        {"not taken back", {"a", 0}, {{"!x", 9}, {"a", 0}, {"a", 0}}, 3, false, NULL},
        {"nor much later", {"a", 0}, {{"!x", 9}, {"a", 0}, {"a", 0}}, 3, true, NULL},
        {"nor when others are away", {"a", 0}, {{"!x", 9}, {0}, {0}}, 3, true, NULL},
        {"nor at half", {"a", 0}, {{"!x", 9}, {"!x", 9}, {"a", 0}, {0}}, 4, true, NULL},
        {"a switch meanwhile", {"a", 0}, {{"!x", 9}, {"b", 1}, {"a", 0}}, 3, false, "b"},
        {"heard alone", {"a", 0}, {{"!x", 9}, {"b", 1}, {0}}, 3, false, "b"},
        {"heard by all", {"b", 1}, {{"!x", 9}, {"b", 1}, {"b", 1}}, 3, false, NULL},
        {"a newer epoch of it", {"a", 0}, {{"x", 10}, {"a", 0}, {"a", 0}}, 3, false, "x"},
        {"proven after all", {"a", 0}, {{"x", 9}, {"a", 0}, {"a", 0}}, 3, false, "x"},
        {"most say it now", {"a", 0}, {{"!x", 9}, {"!x", 9}, {"a", 0}}, 3, false, "x"},
        {"another left over", {"a", 0}, {{"!x", 9}, {"y", 8}, {"a", 0}}, 3, false, "y"},
    };
    check_votes(votes, sizeof(votes) / sizeof(votes[0]));
}

// A partition holds the old master and one Sentinel; the new one cannot be reached for long.
static void the_old_master_is_not_followed_as_long_as_most_name_the_new_one(void **state) {
    (void)state;
    static const struct vote votes[] = {
        {"most heard", {"b", 4}, {{"a", 3}, {"b", 4}, {"b", 4}}, 3, true, NULL},
        {"one of them is away", {"b", 4}, {{"a", 3}, {"b", 4}, {0}}, 3, true, NULL},
        {"both are away", {"b", 4}, {{"a", 3}, {0}, {0}}, 3, true, NULL},
        {"two lag", {"b", 4}, {{"a", 3}, {"a", 3}, {"b", 4}, {"b", 4}, {0}}, 5, true, NULL},
    };
    check_votes(votes, sizeof(votes) / sizeof(votes[0]));
}

static void a_doubt_is_remembered_as_long_as_the_word_is_the_last(void **state) {
    (void)state;
    struct sentinel_word words[3] = {{0}};
    struct sentinel_word x = word_of((struct said){"x", 9});
    struct sentinel_word newer = word_of((struct said){"x", 10});
    struct sentinel_word other = word_of((struct said){"y", 9});
    sentinel_take(words, 3, 0, &x);
    sentinel_doubt(words, 3, &x, true);
    assert_true(words[0].is_doubted);
    assert_false(words[1].is_doubted); // nothing was said, nothing is doubted
    words[0].is_said = false;          // silent for a while
    sentinel_take(words, 3, 0, &x);
    assert_true(words[0].is_said && words[0].is_doubted);
    sentinel_take(words, 3, 1, &x); // said by another one
    assert_true(words[1].is_doubted);
    sentinel_take(words, 3, 2, &other);
    assert_false(words[2].is_doubted);
    sentinel_take(words, 3, 0, &newer);
    assert_false(words[0].is_doubted);
    sentinel_doubt(words, 3, &words[1], false); // proven
    assert_false(words[1].is_doubted);
    sentinel_doubt(words, 3, &words[1], true);
    sentinel_take(words, 3, 1, &other); // nobody's last word any more
    sentinel_take(words, 3, 1, &x);
    assert_false(words[1].is_doubted);
}

// ---- What is believed ------------------------------------------------------------------------------

static redisReply *reply_of(const char *bytes) {
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, bytes, strlen(bytes)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

static void the_epoch_is_found_among_the_fields(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        int error;
    } cases[] = {
        {"*4\r\n$4\r\nname\r\n$1\r\nm\r\n$12\r\nconfig-epoch\r\n$2\r\n17\r\n", 0},
        {"*2\r\n$12\r\nconfig-epoch\r\n$2\r\n-1\r\n", E_PROTOCOL},
        {"*2\r\n$12\r\nconfig-epoch\r\n$20\r\n99999999999999999999\r\n", E_PROTOCOL},
        {"*2\r\n$12\r\nconfig-epoch\r\n:17\r\n", E_PROTOCOL},
        {"*1\r\n$12\r\nconfig-epoch\r\n", E_PROTOCOL},
        {"*2\r\n$4\r\nname\r\n$12\r\nconfig-epoch\r\n", E_PROTOCOL},
        {"*0\r\n", E_PROTOCOL},
        {"$-1\r\n", E_PROTOCOL},
        {"-ERR No such master with that name\r\n", E_REDIS},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        redisReply *reply = reply_of(cases[i].bytes);
        uint64_t epoch = 0;
        assert_int_equal(sentinel_word_read_epoch(reply, &epoch), cases[i].error);
        if (cases[i].error == 0) {
            assert_int_equal(epoch, 17);
        }
        freeReplyObject(reply);
    }
}

static void an_address_is_a_host_and_a_port(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        int error;
        const char *host;
        const char *port;
    } cases[] = {
        {"*2\r\n$8\r\n10.0.0.1\r\n$4\r\n6379\r\n", 0, "10.0.0.1", "6379"},
        {"*2\r\n$3\r\n::1\r\n$5\r\n65535\r\n", 0, "::1", "65535"},
        {"*2\r\n$9\r\nredis-0.r\r\n$1\r\n1\r\n", 0, "redis-0.r", "1"},
        {"*-1\r\n", UV_ENOENT, NULL, NULL},
        {"$-1\r\n", UV_ENOENT, NULL, NULL},
        {"-NOPERM this user may not\r\n", E_REDIS, NULL, NULL},
        {"*2\r\n$0\r\n\r\n$4\r\n6379\r\n", E_PROTOCOL, NULL, NULL},
        {"*2\r\n$3\r\na b\r\n$4\r\n6379\r\n", E_PROTOCOL, NULL, NULL},
        {"*2\r\n$2\r\na\n\r\n$4\r\n6379\r\n", E_PROTOCOL, NULL, NULL},
        {"*2\r\n$1\r\na\r\n$1\r\n0\r\n", E_PROTOCOL, NULL, NULL},
        {"*2\r\n$1\r\na\r\n$5\r\n65536\r\n", E_PROTOCOL, NULL, NULL},
        {"*2\r\n$1\r\na\r\n:6379\r\n", E_PROTOCOL, NULL, NULL},
        {"*1\r\n$1\r\na\r\n", E_PROTOCOL, NULL, NULL},
        {"*3\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\n1\r\n", E_PROTOCOL, NULL, NULL},
        {"+OK\r\n", E_PROTOCOL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        redisReply *reply = reply_of(cases[i].bytes);
        struct sentinel_word word = {0};
        if (sentinel_word_read_address(reply, &word) != cases[i].error) {
            fail_msg("case %zu", i);
        }
        if (cases[i].error == 0) {
            assert_string_equal(word.host, cases[i].host);
            assert_string_equal(word.port, cases[i].port);
        }
        freeReplyObject(reply);
    }
}

static void a_host_has_255_bytes_at_most(void **state) {
    (void)state;
    for (int len = REDIS_HOST_BYTES_MAX - 1; len <= REDIS_HOST_BYTES_MAX + 1; len++) {
        char bytes[400];
        struct sentinel_word word = {0};
        snprintf(bytes, sizeof(bytes), "*2\r\n$%d\r\n%0*d\r\n$4\r\n6379\r\n", len, len, 0);
        redisReply *reply = reply_of(bytes);
        int error = sentinel_word_read_address(reply, &word);
        assert_int_equal(error, len <= REDIS_HOST_BYTES_MAX ? 0 : E_PROTOCOL);
        assert_int_equal(strlen(word.host), error == 0 ? len : 0);
        freeReplyObject(reply);
    }
}

static void a_switch_is_told_by_the_name_of_the_master(void **state) {
    (void)state;
    assert_true(sentinel_is_switch_of(SLICE("m 10.0.0.1 6379 10.0.0.2 6379"), "m"));
    assert_true(sentinel_is_switch_of(SLICE("m"), "m"));
    assert_false(sentinel_is_switch_of(SLICE("m2 10.0.0.1 6379 10.0.0.2 6379"), "m"));
    assert_false(sentinel_is_switch_of(SLICE("x m 1 m 2"), "m"));
    assert_false(sentinel_is_switch_of(SLICE_NONE, "m"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_epoch_is_believed),
        cmocka_unit_test(what_was_given_up_does_not_count),
        cmocka_unit_test(the_old_master_is_not_followed_as_long_as_most_name_the_new_one),
        cmocka_unit_test(a_doubt_is_remembered_as_long_as_the_word_is_the_last),
        cmocka_unit_test(the_epoch_is_found_among_the_fields),
        cmocka_unit_test(an_address_is_a_host_and_a_port),
        cmocka_unit_test(a_host_has_255_bytes_at_most),
        cmocka_unit_test(a_switch_is_told_by_the_name_of_the_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
