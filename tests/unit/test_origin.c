// Origins: which of them are let in, and when a cookie counts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/auth/origin.h"

static char *listed_items[] = {"https://app.example.com", "http://localhost:3000", "app://desk"};
static const struct config_list listed = {listed_items, 3};
static char *star_items[] = {"*", "https://app.example.com"};
static const struct config_list star = {star_items, 2};

static struct request from(const char *host, const char *origin) {
    struct request request = {.method = HTTP_METHOD_GET};
    if (host != NULL) {
        request.fields[request.field_count++] = (struct http_field){SLICE("Host"), slice_of(host)};
    }
    if (origin != NULL) {
        request.fields[request.field_count++] =
            (struct http_field){SLICE("origin"), slice_of(origin)};
    }
    return request;
}

static void expect(enum origin due, const char *host, const char *origin,
                   const struct config_list *list) {
    struct request request = from(host, origin);
    enum origin found = origin_of(&request, list);
    if (found != due) {
        fail_msg("%s at %s: %d, not %d", origin, host, (int)found, (int)due);
    }
}

static void listed_ones_to_the_byte(void **state) {
    (void)state;
    static const char *const foreign[] = {
        "https://app.example.com.evil.test",
        "https://good.app.example.com",
        "https://evilapp.example.com",
        "https://app.example.co",
        "https://app.example.com:443",
        "https://app.example.com:8443",
        "https://app.example.com/",
        "https://app.example.com.",
        "https://APP.example.com",
        "HTTPS://app.example.com",
        "http://app.example.com",
        "https://user@app.example.com",
        "https://example.com",
        "app.example.com",
        "https://app.example.com https://evil.test",
        "http://localhost",
        "http://localhost:3001",
        "null",
        "*",
        "",
    };
    expect(ORIGIN_LISTED, "node:8080", "https://app.example.com", &listed);
    expect(ORIGIN_LISTED, "node:8080", "http://localhost:3000", &listed);
    expect(ORIGIN_LISTED, "node:8080", "app://desk", &listed);
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        expect(ORIGIN_FOREIGN, "node:8080", foreign[i], &listed);
        expect(ORIGIN_ANY, "node:8080", foreign[i], &star);
    }
    expect(ORIGIN_FOREIGN, "node:8080", "https://app.example.com", &(struct config_list){0});
    expect(ORIGIN_LISTED, "node:8080", "https://app.example.com", &star);
}

static void the_requests_own_host(void **state) {
    (void)state;
    expect(ORIGIN_OWN, "node:8080", "http://node:8080", &listed);
    expect(ORIGIN_OWN, "node:8080", "https://node:8080", &listed);
    expect(ORIGIN_OWN, "push.example.com", "https://push.example.com", &(struct config_list){0});
    expect(ORIGIN_OWN, "node:8080", "http://node:8080", &star);
    expect(ORIGIN_OWN, "[::1]:80", "http://[::1]:80", &listed);
    expect(ORIGIN_OWN, "h.example:443", "https://h.example", &listed); // nginx's $host:$server_port
    expect(ORIGIN_OWN, "h.example:80", "http://h.example", &listed);
    expect(ORIGIN_OWN, "[::1]:443", "https://[::1]", &listed);
    static const char *const foreign[] = {
        "http://node", "http://node:80",   "ftp://node:8080",  "node:8080",  "http://node:8080/",
        "http://",     "http://Node:8080", "Http://node:8080", "//node:8080"};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        expect(ORIGIN_FOREIGN, "node:8080", foreign[i], &listed);
    }
    expect(ORIGIN_FOREIGN, "Node:8080", "http://Node:8080", &listed);
    expect(ORIGIN_FOREIGN, "h.example:443", "http://h.example", &listed); // another scheme's port
    expect(ORIGIN_FOREIGN, "h.example:80", "https://h.example", &listed);
    expect(ORIGIN_FOREIGN, "h.example:8443", "https://h.example", &listed);
    expect(ORIGIN_FOREIGN, "h.example:443", "https://h.exampl", &listed);
    expect(ORIGIN_FOREIGN, "h.example", "https://h.example:443", &listed); // no browser writes it
    expect(ORIGIN_FOREIGN, ":443", "https://", &listed);
    expect(ORIGIN_FOREIGN, "", "http://", &listed);
    expect(ORIGIN_FOREIGN, NULL, "http://", &listed); // HTTP/1.0
}

static void none_and_two(void **state) {
    (void)state;
    expect(ORIGIN_NONE, "node:8080", NULL, &listed);
    struct request request = from("node:8080", "https://app.example.com");
    request.fields[request.field_count++] =
        (struct http_field){SLICE("Origin"), SLICE("https://app.example.com")};
    assert_int_equal(origin_of(&request, &listed), ORIGIN_FOREIGN);
}

static void when_a_cookie_counts(void **state) {
    (void)state;
    static const struct {
        enum origin origin;
        enum http_method method;
        bool is_upgrade;
        bool counts;
    } cases[] = {
        {ORIGIN_NONE, HTTP_METHOD_GET, false, true},
        {ORIGIN_NONE, HTTP_METHOD_HEAD, false, true},
        {ORIGIN_NONE, HTTP_METHOD_GET, true, false},
        {ORIGIN_NONE, HTTP_METHOD_POST, false, false},
        {ORIGIN_NONE, HTTP_METHOD_OTHER, false, false},
        {ORIGIN_OWN, HTTP_METHOD_GET, true, true},
        {ORIGIN_OWN, HTTP_METHOD_POST, false, true},
        {ORIGIN_LISTED, HTTP_METHOD_GET, false, true},
        {ORIGIN_LISTED, HTTP_METHOD_GET, true, true},
        {ORIGIN_LISTED, HTTP_METHOD_POST, false, true},
        {ORIGIN_ANY, HTTP_METHOD_GET, false, false},
        {ORIGIN_ANY, HTTP_METHOD_GET, true, false},
        {ORIGIN_ANY, HTTP_METHOD_POST, false, false},
        {ORIGIN_FOREIGN, HTTP_METHOD_GET, false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct request request = {.method = cases[i].method};
        if (cases[i].is_upgrade) {
            request.fields[request.field_count++] =
                (struct http_field){SLICE("upgrade"), SLICE("websocket")};
        }
        if (origin_lets_cookies_count(cases[i].origin, &request) != cases[i].counts) {
            fail_msg("case %zu", i);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_ones_to_the_byte),
        cmocka_unit_test(the_requests_own_host),
        cmocka_unit_test(none_and_two),
        cmocka_unit_test(when_a_cookie_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
