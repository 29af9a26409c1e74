// Grants: where the token is looked for, what it adds to what everybody may, and what is said to
// those who may not.
#include "tests/unit/jwt_fixture.h"

#include <stdio.h>
#include <uv.h>

#include "node/auth/grant.h"

#define APP "https://app.example.com"

static char *anonymous[] = {"public:*"};
static char *anonymous_publish[] = {"box"};
static char *key_items[] = {OLD_KEY, KEY};
static char *origins[] = {APP, "*"};

static struct config config = {
    .anonymous = {anonymous, 1},
    .anonymous_publish = {anonymous_publish, 1},
    .auth_keys = {key_items, 2},
    .auth_cookie = "freshet",
    .origins = {origins, 2},
};

static void add(struct request *request, const char *name, const char *value) {
    request->fields[request->field_count++] = (struct http_field){slice_of(name), slice_of(value)};
}

static struct grant grant_of(const struct request *request) {
    struct grant grant;
    grant_from_request(request, &config, now_ms, &grant);
    return grant;
}

// Who the request's token says it is from; "" for nobody.
static void expect_subject(const struct request *request, const char *subject) {
    struct grant grant = grant_of(request);
    struct slice found = grant_subject(&grant);
    if (!slice_equal(found, slice_of(subject))) {
        fail_msg("%.*s, not %s", SLICE_ARGS(found), subject);
    }
    grant_release(&grant);
}

static void bearers(void **state) {
    (void)state;
    static const struct {
        const char *before;
        const char *after;
        bool counts;
    } cases[] = {
        {"Bearer ", "", true},   {"bearer ", "", true},   {"BEARER   ", " ", true},
        {"Bearer", "", false},   {"Basic ", "", false},   {"Bearer \"", "\"", false},
        {"Bearer ", ",", false}, {"Bearer: ", "", false}, {"", "", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char value[512];
        snprintf(value, sizeof(value), "%s%s%s", cases[i].before, mint("{\"sub\":\"ann\"}"),
                 cases[i].after);
        struct request request = {.method = HTTP_METHOD_POST};
        add(&request, "authorization", value);
        expect_subject(&request, cases[i].counts ? "ann" : "");
    }
}

static void cookies(void **state) {
    (void)state;
    const char *token = mint("{\"sub\":\"ann\"}");
    static const struct {
        const char *before;
        const char *after;
        bool counts;
    } cases[] = {
        {"freshet=", "", true},
        {"a=b; freshet=", "; c=d", true},
        {"a=b;freshet=", ";c=d", true},
        {"freshet=\"", "\"", true},
        {"freshet=; freshet=", "", true},
        {"Freshet=", "", false},
        {"xfreshet=", "", false},
        {"freshet2=", "", false},
        {"freshet =", "", false},
        {"a=\"freshet=", "\"", false},
        {"freshet", "", false},
        {"freshet=x; freshet=", "", false}, // the first one counts
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char value[512];
        snprintf(value, sizeof(value), "%s%s%s", cases[i].before, token, cases[i].after);
        struct request request = {.method = HTTP_METHOD_GET};
        add(&request, "Cookie", value);
        expect_subject(&request, cases[i].counts ? "ann" : "");
    }
}

static void a_cookie_needs_an_origin_where_any_page_could_send_it(void **state) {
    (void)state;
    char cookie[512];
    snprintf(cookie, sizeof(cookie), "freshet=%s", mint("{\"sub\":\"ann\"}"));
    static const char *const others[] = {NULL, "https://evil.test", "null"};
    for (size_t i = 0; i < 3; i++) {
        struct request request = {.method = HTTP_METHOD_POST};
        add(&request, "Cookie", cookie);
        if (others[i] != NULL) {
            add(&request, "Origin", others[i]);
        }
        expect_subject(&request, "");
        request.method = HTTP_METHOD_GET;
        expect_subject(&request, others[i] == NULL ? "ann" : "");
        add(&request, "Upgrade", "websocket");
        expect_subject(&request, "");
    }
    struct request request = {.method = HTTP_METHOD_POST};
    add(&request, "Cookie", cookie);
    add(&request, "Origin", APP);
    expect_subject(&request, "ann");
}

static void the_field_goes_before_the_cookie(void **state) {
    (void)state;
    char cookie[512];
    char bearer[512];
    snprintf(cookie, sizeof(cookie), "freshet=%s", mint("{\"sub\":\"cookie\"}"));
    snprintf(bearer, sizeof(bearer), "Bearer %s", mint("{\"sub\":\"field\"}"));
    struct request request = {.method = HTTP_METHOD_GET};
    add(&request, "Cookie", cookie);
    add(&request, "Authorization", "Basic dTpw"); // a proxy's
    expect_subject(&request, "cookie");
    request.fields[1].value = slice_of(bearer);
    expect_subject(&request, "field");
    request.fields[1].value = SLICE("Bearer nonsense");
    expect_subject(&request, "");
}

static void patterns_are_literal_but_for_the_star(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        const char *channel;
        bool allows;
    } cases[] = {
        {"news.a", "news.a", true},
        {"news.a", "news.b", false},
        {"news.a", "news.*", false},
        {"news.a", "news?a", false},
        {"news.a", "news[.]a", false},
        {"news.a", "News.a", false},
        {"news.a", "news.a2", false},
        {"news.a", "xnews.a", false},
        {"news[ab]", "newsa", false},
        {"news[ab]", "news[ab]", true},
        {"?", "a", false},
        {"?", "?", true},
        {".", "a", false},
        {"a\\\\*", "a\\x", true},
        {"a\\\\*", "a*", false},
        {"*", "anything", true},
        {"news.*", "news.", true},
        {"news.*", "news", false},
        {"*.a", "news.a", true},
        {"a*b*c", "aXbYc", true},
        {"a*b*c", "acb", false},
        {"%", "a", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char payload[128];
        struct grant grant;
        snprintf(payload, sizeof(payload), "{\"subscribe\":\"%s\"}", cases[i].pattern);
        assert_int_equal(grant_from_token(slice_of(mint(payload)), &config, now_ms, &grant), 0);
        if (grant_allows(&grant, JWT_SUBSCRIBE, slice_of(cases[i].channel)) != cases[i].allows) {
            fail_msg("%s for %s", cases[i].pattern, cases[i].channel);
        }
        grant_release(&grant);
    }
}

static void a_token_adds_to_what_everybody_may(void **state) {
    (void)state;
    struct grant grant;
    assert_int_equal(
        grant_from_token(slice_of(mint("{\"sub\":\"ann\",\"exp\":1700000009,"
                                       "\"subscribe\":[\"a\",\"b:*\"],\"publish\":\"p\","
                                       "\"presence\":\"a\"}")),
                         &config, now_ms, &grant),
        0);
    static const struct {
        enum jwt_right right;
        const char *channel;
        bool allows;
    } cases[] = {
        {JWT_SUBSCRIBE, "a", true},       {JWT_SUBSCRIBE, "b:1", true},
        {JWT_SUBSCRIBE, "p", false},      {JWT_SUBSCRIBE, "public:x", true},
        {JWT_SUBSCRIBE, "box", false},    {JWT_PUBLISH, "p", true},
        {JWT_PUBLISH, "a", false},        {JWT_PUBLISH, "box", true},
        {JWT_PUBLISH, "public:x", false}, {JWT_PRESENCE, "a", true},
        {JWT_PRESENCE, "b:1", false},     {JWT_PRESENCE, "public:x", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct grant_problem problem = {0};
        struct slice channel = slice_of(cases[i].channel);
        assert_int_equal(grant_allows(&grant, cases[i].right, channel), cases[i].allows);
        assert_int_equal(grant_check(&grant, cases[i].right, channel, &problem),
                         cases[i].allows ? 0 : UV_EACCES);
        assert_int_equal(problem.status, cases[i].allows ? 0 : 403);
    }
    assert_true(grant_is_public(&grant, SLICE("public:x")));
    assert_false(grant_is_public(&grant, SLICE("a")));
    assert_int_equal(grant_ends_ms(&grant), now_ms + 9000);
    grant_release(&grant);
}

static struct grant_problem refusal(const struct grant *grant, enum jwt_right right) {
    struct grant_problem problem = {0};
    assert_int_equal(grant_check(grant, right, SLICE("secret"), &problem), UV_EACCES);
    return problem;
}

static void expect_refusal(const struct grant *grant, enum jwt_right right, int status,
                           const char *code, const char *says) {
    struct grant_problem problem = refusal(grant, right);
    assert_int_equal(problem.status, status);
    assert_string_equal(problem.code, code);
    if (strstr(problem.detail, says) == NULL) {
        fail_msg("%s", problem.detail);
    }
}

static void whoever_may_not_is_told_what_is_missing(void **state) {
    (void)state;
    struct grant grant;
    struct request request = {.method = HTTP_METHOD_GET};
    grant = grant_of(&request);
    expect_refusal(&grant, JWT_SUBSCRIBE, 401, "token",
                   "\"subscribe\" has a pattern for channel secret");
    expect_refusal(&grant, JWT_PUBLISH, 401, "token", "\"publish\"");
    assert_true(grant_ends_ms(&grant) == INT64_MAX);
    grant_release(&grant);
    assert_int_equal(grant_from_token(slice_of(mint("{}")), &config, now_ms, &grant), 0);
    expect_refusal(&grant, JWT_SUBSCRIBE, 403, "forbidden",
                   "\"subscribe\" has no pattern for channel secret");
    expect_refusal(&grant, JWT_PRESENCE, 403, "forbidden", "\"presence\"");
    grant_release(&grant);
    struct config closed = {.auth_cookie = "freshet"};
    grant_from_request(&request, &closed, now_ms, &grant);
    expect_refusal(&grant, JWT_SUBSCRIBE, 403, "forbidden", "--anonymous ");
    expect_refusal(&grant, JWT_PUBLISH, 403, "forbidden", "--anonymous-publish ");
    expect_refusal(&grant, JWT_PRESENCE, 403, "forbidden", "--auth-key");
    grant_release(&grant);
}

static void nobody_is_told_why_a_token_is_not_accepted(void **state) {
    (void)state;
    const char *const tokens[] = {
        "",
        "nonsense",
        mint_with("{\"alg\":\"none\"}", "{\"subscribe\":\"*\"}", KEY),
        mint_with(HEADER, "{\"subscribe\":\"*\"}", "another key"),
        mint("{\"exp\":1,\"subscribe\":\"*\"}"),
        mint("{\"subscribe\":7}"),
    };
    struct grant_problem first;
    grant_problem_bad_token(&first);
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        struct grant grant;
        assert_int_equal(grant_from_token(slice_of(tokens[i]), &config, now_ms, &grant), UV_EACCES);
        struct grant_problem problem = refusal(&grant, JWT_SUBSCRIBE);
        assert_int_equal(problem.status, 401);
        assert_string_equal(problem.code, first.code);
        assert_string_equal(problem.detail, first.detail);
        // It counts as none where none is needed.
        assert_true(grant_allows(&grant, JWT_SUBSCRIBE, SLICE("public:x")));
        grant_release(&grant);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bearers),
        cmocka_unit_test(cookies),
        cmocka_unit_test(a_cookie_needs_an_origin_where_any_page_could_send_it),
        cmocka_unit_test(the_field_goes_before_the_cookie),
        cmocka_unit_test(patterns_are_literal_but_for_the_star),
        cmocka_unit_test(a_token_adds_to_what_everybody_may),
        cmocka_unit_test(whoever_may_not_is_told_what_is_missing),
        cmocka_unit_test(nobody_is_told_why_a_token_is_not_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
