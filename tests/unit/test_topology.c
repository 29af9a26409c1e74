// The option `redis`: every form that CONTRACT.md names, and a reason for every text that is none.
#include "cluster/topology.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <uv.h>

#define DIGITS_50 "01234567890123456789012345678901234567890123456789"

struct good {
    const char *url;
    const char *description;
    const char *user;
    const char *password;
};

static void check_text(const char *actual, const char *expected) {
    if (expected == NULL) {
        assert_null(actual);
    } else {
        assert_non_null(actual);
        assert_string_equal(actual, expected);
    }
}

static void every_documented_form_is_parsed(void **state) {
    (void)state;
    static const struct good goods[] = {
        {"redis://redis", "redis://redis:6379/0", NULL, NULL},
        {"redis://redis/", "redis://redis:6379/0", NULL, NULL},
        {"redis://10.0.0.1:7000/15", "redis://10.0.0.1:7000/15", NULL, NULL},
        {"redis://:secret@host", "redis://host:6379/0", NULL, "secret"},
        {"redis://me:secret@host:1/2", "redis://host:1/2", "me", "secret"},
        {"redis://me:@host", "redis://host:6379/0", "me", ""},
        {"redis://:@host", "redis://host:6379/0", NULL, NULL},
        {"redis://m%3ae:s%40%2F%3F%3a@host", "redis://host:6379/0", "m:e", "s@/?:"},
        {"redis://:a@b:c@host", "redis://host:6379/0", NULL, "a@b:c"},
        {"redis://[::1]", "redis://[::1]:6379/0", NULL, NULL},
        {"redis://me:pw@[2001:db8::2]:6380/1", "redis://[2001:db8::2]:6380/1", "me", "pw"},
        {"unix:/run/redis.sock", "unix:/run/redis.sock", NULL, NULL},
        {"unix:///run/redis.sock", "unix:///run/redis.sock", NULL, NULL},
        {"unix:/a%20b?db=3", "unix:/a b?db=3", NULL, NULL},
        {"unix:/s?password=p%26w&user=me&db=0", "unix:/s", "me", "p&w"},
        {"unix:/s?password=pw", "unix:/s", NULL, "pw"},
        {"unix:/s?user=me&password=", "unix:/s", "me", ""},
        {"unix:/" DIGITS_50 DIGITS_50 "123456", "unix:/" DIGITS_50 DIGITS_50 "123456", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        struct redis_address address;
        const char *why = "";
        int error = redis_address_parse(slice_of(goods[i].url), &address, &why);
        if (error != 0) {
            fail_msg("%s: %s", goods[i].url, why);
        }
        char text[REDIS_DESCRIPTION_MAX];
        redis_address_describe(&address, text, sizeof(text));
        assert_string_equal(text, goods[i].description);
        check_text(address.user, goods[i].user);
        check_text(address.password, goods[i].password);
        redis_address_release(&address);
    }
}

static void what_is_no_address_is_refused_with_a_reason_and_without_the_secret(void **state) {
    (void)state;
    static const char *const bads[] = {
        "",
        "redis",
        "redis:",
        "redis:/host",
        "redis://",
        "redis://:6379",
        "redis://:s3cret@",
        "redis://s3cret@host",
        "REDIS://host",
        "rediss://host",
        "http://host",
        "redis://host:0",
        "redis://host:65536",
        "redis://host:6379x",
        "redis://host:-1",
        "redis://host/x",
        "redis://host/1/2",
        "redis://host/-1",
        "redis://host/99999999999",
        "redis://host?db=1",
        "redis://host#1",
        "redis://:s3cret%@host",
        "redis://:s3cret%4@host",
        "redis://:s3cret%zz@host",
        "redis://:s3cret%00@host",
        "redis://%zz:s3cret@host",
        "redis://:s3cret/x@host",
        "redis://::1",
        "redis://::1:6379",
        "redis://[::1",
        "redis://[]",
        "redis://[::1]6379",
        "redis://ho st",
        "redis://a,b",
        "unix:",
        "unix:run/redis.sock",
        "unix://host/run/redis.sock",
        "unix:/s?",
        "unix:/s?db=",
        "unix:/s?db=x",
        "unix:/s?user=me",
        "unix:/s?nonsense=1",
        "unix:/s?password=s3cret&password=s3cret",
        "unix:/s%00",
        "unix:/" DIGITS_50 DIGITS_50 "1234567", // 108 bytes
    };
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        struct redis_address address;
        const char *why = NULL;
        int error = redis_address_parse(slice_of(bads[i]), &address, &why);
        if (error != UV_EINVAL) {
            fail_msg("accepted: %s", bads[i]);
        }
        assert_non_null(why);
        assert_true(strlen(why) > 10);
        assert_null(strstr(why, "s3cret"));
    }
}

static void every_prefix_of_an_address_is_parsed_or_refused_within_its_bounds(void **state) {
    (void)state;
    static const char url[] = "redis://us%65r:p%40ss@[2001:db8::1]:6379/12";
    for (size_t len = 0; len <= strlen(url); len++) {
        char *exact = test_malloc(len + 1); // so that ASan sees a read behind the end
        memcpy(exact, url, len);
        struct redis_address address;
        const char *why = NULL;
        if (redis_address_parse(slice_make(exact, len), &address, &why) == 0) {
            redis_address_release(&address);
        } else {
            assert_non_null(why);
        }
        test_free(exact);
    }
}

static void a_description_is_cut_to_its_buffer(void **state) {
    (void)state;
    struct redis_address address;
    const char *why;
    assert_int_equal(redis_address_parse(SLICE("redis://:pw@example:6379"), &address, &why), 0);
    char text[12];
    redis_address_describe(&address, text, sizeof(text));
    assert_string_equal(text, "redis://exa");
    redis_address_release(&address);
    assert_null(address.host);
}

// ---- Sentinel ----------------------------------------------------------------------------------------

struct good_sentinel {
    const char *url;
    const char *description;
    const char *user;
    const char *password;
    const char *sentinel_user;
    const char *sentinel_password;
};

static void every_form_with_sentinels_is_parsed(void **state) {
    (void)state;
    static const struct good_sentinel goods[] = {
        {"redis+sentinel://a/m", "redis+sentinel://a:26379/m/0", NULL, NULL, NULL, NULL},
        {"redis+sentinel://a/m/", "redis+sentinel://a:26379/m/0", NULL, NULL, NULL, NULL},
        {"redis+sentinel://a,b:1,[::1],[2001:db8::2]:9/my-master_1.x/3",
         "redis+sentinel://a:26379,b:1,[::1]:26379,[2001:db8::2]:9/my-master_1.x/3", NULL, NULL,
         NULL, NULL},
        {"redis+sentinel://:pw@a,b/m", "redis+sentinel://a:26379,b:26379/m/0", NULL, "pw", NULL,
         NULL},
        {"redis+sentinel://me:p%40w@a,b/m?sentinel-password=x%26y",
         "redis+sentinel://a:26379,b:26379/m/0", "me", "p@w", NULL, "x&y"},
        {"redis+sentinel://a/m/2?sentinel-user=s&sentinel-password=t",
         "redis+sentinel://a:26379/m/2", NULL, NULL, "s", "t"},
        {"redis+sentinel://a/m?sentinel-password=t&sentinel-user=s", "redis+sentinel://a:26379/m/0",
         NULL, NULL, "s", "t"},
        {"redis+sentinel://a/m?sentinel-password=", "redis+sentinel://a:26379/m/0", NULL, NULL,
         NULL, NULL},
        {"redis://me:pw@host/2", "redis://host:6379/2", "me", "pw", NULL, NULL},
        {"unix:/s", "unix:/s", NULL, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        struct topology topology;
        const char *why = "";
        if (topology_parse(slice_of(goods[i].url), &topology, &why) != 0) {
            fail_msg("%s: %s", goods[i].url, why);
        }
        char text[REDIS_DESCRIPTION_MAX];
        topology_describe(&topology, text, sizeof(text));
        assert_string_equal(text, goods[i].description);
        check_text(topology.server.user, goods[i].user);
        check_text(topology.server.password, goods[i].password);
        bool is_sentinel = topology.master_name != NULL;
        assert_int_equal(is_sentinel, topology.sentinel_count > 0);
        assert_int_equal(redis_address_is_known(&topology.server), !is_sentinel);
        for (size_t k = 0; k < topology.sentinel_count; k++) {
            assert_int_equal(topology.sentinels[k].role, REDIS_ROLE_SENTINEL);
            check_text(topology.sentinels[k].user, goods[i].sentinel_user);
            check_text(topology.sentinels[k].password, goods[i].sentinel_password);
        }
        topology_release(&topology);
    }
}

#define HOSTS_8 "a,b,c,d,e,f,g,h"

static void what_names_no_sentinels_is_refused_with_a_reason_and_without_the_secret(void **state) {
    (void)state;
    static const char *const bads[] = {
        "redis+sentinel://",
        "redis+sentinel:///m",
        "redis+sentinel://a",
        "redis+sentinel://a/",
        "redis+sentinel://a//1",
        "redis+sentinel://a,/m",
        "redis+sentinel://,a/m",
        "redis+sentinel://a,,b/m",
        "redis+sentinel://:s3cret@/m",
        "redis+sentinel://s3cret@a/m",
        "redis+sentinel://:s3cret/x@a/m",
        "redis+sentinel://:s3cret%zz@a/m",
        "redis+sentinel://a:0/m",
        "redis+sentinel://a:65536/m",
        "redis+sentinel://a:x/m",
        "redis+sentinel://a b/m",
        "redis+sentinel://::1/m",
        "redis+sentinel://[::1/m",
        "redis+sentinel://a/m y",
        "redis+sentinel://a/m%20",
        "redis+sentinel://a/m/x",
        "redis+sentinel://a/m/1/2",
        "redis+sentinel://a/m#1",
        "redis+sentinel://a/m?",
        "redis+sentinel://a/m?db=1",
        "redis+sentinel://a/m?sentinel-user=me",
        "redis+sentinel://a/m?sentinel-password=s3cret&sentinel-password=s3cret",
        "redis+sentinel://a/m?sentinel-password=s3cret%",
        "redis+sentinel://a/m?sentinel-user=%00&sentinel-password=s3cret",
        "redis+sentinel://" HOSTS_8 "," HOSTS_8 ",q/m",
        "redis+sentinel://a/" DIGITS_50 DIGITS_50 DIGITS_50 DIGITS_50 "1",
        "redis-sentinel://a/m",
        "rediss+sentinel://a/m",
    };
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        struct topology topology;
        const char *why = NULL;
        if (topology_parse(slice_of(bads[i]), &topology, &why) != UV_EINVAL) {
            fail_msg("accepted: %s", bads[i]);
        }
        assert_non_null(why);
        assert_true(strlen(why) > 10);
        assert_null(strstr(why, "s3cret"));
    }
}

static void every_prefix_of_a_list_of_sentinels_is_parsed_or_refused(void **state) {
    (void)state;
    static const char url[] =
        "redis+sentinel://us%65r:p%40ss@[::1]:1,b/name/12?sentinel-user=%41&sentinel-password=%42";
    for (size_t len = 0; len <= strlen(url); len++) {
        char *exact = test_malloc(len + 1); // so that ASan sees a read behind the end
        memcpy(exact, url, len);
        struct topology topology;
        const char *why = NULL;
        if (topology_parse(slice_make(exact, len), &topology, &why) == 0) {
            topology_release(&topology);
        } else {
            assert_non_null(why);
        }
        test_free(exact);
    }
}

static void a_description_of_sentinels_is_cut_to_its_buffer(void **state) {
    (void)state;
    struct topology topology;
    const char *why;
    assert_int_equal(topology_parse(SLICE("redis+sentinel://:pw@ab,cd/m"), &topology, &why), 0);
    static const char whole[] = "redis+sentinel://ab:26379,cd:26379/m/0";
    for (size_t size = 1; size <= sizeof(whole); size++) {
        char *text = test_malloc(size); // so that ASan sees a write behind the end
        topology_describe(&topology, text, size);
        assert_int_equal(strlen(text), size - 1);
        assert_memory_equal(text, whole, size - 1);
        test_free(text);
    }
    topology_release(&topology);
    assert_null(topology.master_name);
}

static void a_server_can_take_the_place_of_another(void **state) {
    (void)state;
    struct topology topology;
    const char *why;
    assert_int_equal(topology_parse(SLICE("redis+sentinel://:pw@a/m/4"), &topology, &why), 0);
    char text[REDIS_DESCRIPTION_MAX];
    redis_address_set_server(&topology.server, "10.0.0.1", "7000");
    redis_address_set_server(&topology.server, "::1", "7001");
    redis_address_describe(&topology.server, text, sizeof(text));
    assert_string_equal(text, "redis://[::1]:7001/4");
    check_text(topology.server.password, "pw");
    redis_address_describe(&topology.sentinels[0], text, sizeof(text));
    assert_string_equal(text, "sentinel://a:26379");
    topology_release(&topology);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_documented_form_is_parsed),
        cmocka_unit_test(what_is_no_address_is_refused_with_a_reason_and_without_the_secret),
        cmocka_unit_test(every_prefix_of_an_address_is_parsed_or_refused_within_its_bounds),
        cmocka_unit_test(a_description_is_cut_to_its_buffer),
        cmocka_unit_test(every_form_with_sentinels_is_parsed),
        cmocka_unit_test(what_names_no_sentinels_is_refused_with_a_reason_and_without_the_secret),
        cmocka_unit_test(every_prefix_of_a_list_of_sentinels_is_parsed_or_refused),
        cmocka_unit_test(a_description_of_sentinels_is_cut_to_its_buffer),
        cmocka_unit_test(a_server_can_take_the_place_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
