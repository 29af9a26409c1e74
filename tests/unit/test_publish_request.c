// POST /publish: what is read from a body and a URL, and what is refused.
#include "cluster/base/json.h"
#include "node/api/publication.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

#define assert_slice(s, text) assert_true(slice_equal((s), slice_of(text)))

static struct fault fault;

static int read_request(const struct publish_source *source, struct publish_request *request_r) {
    fault = (struct fault){0};
    return publish_request_read(source, request_r, &fault);
}

static struct publish_request read_well(const struct publish_source *source) {
    struct publish_request request;
    if (read_request(source, &request) < 0) {
        fail_msg("%.*s: %s", SLICE_ARGS(source->body), fault.detail);
    }
    return request;
}

static struct publish_request read_json(const char *body) {
    return read_well(&(struct publish_source){.body = slice_of(body)});
}

static void assert_refused(const struct publish_source *source, int status, const char *code,
                           const char *detail) {
    struct publish_request request;
    if (read_request(source, &request) != UV_EINVAL) {
        fail_msg("taken: %.*s ?%.*s", SLICE_ARGS(source->body), SLICE_ARGS(source->query));
    }
    if (fault.status != status || strcmp(fault.code, code) != 0 ||
        strstr(fault.detail, detail) == NULL) {
        fail_msg("%.*s ?%.*s: %d %s %s", SLICE_ARGS(source->body), SLICE_ARGS(source->query),
                 fault.status, fault.code, fault.detail);
    }
}

static void json_data_is_taken_byte_for_byte(void **state) {
    (void)state;
    static const char *const values[] = {
        "{\"b\" : [1.0,  2e400, \"\\u00e9\\/\"],\"a\":null}",
        "null",
        "\"text\"",
        "-0.0",
        "[ ]",
        "12345678901234567890123",
        "false",
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char body[256];
        snprintf(body, sizeof(body), " { \"data\" :\t%s , \"channel\":\"news\" } \n", values[i]);
        struct publish_request request = read_json(body);
        assert_false(request.is_array);
        assert_int_equal(request.count, 1);
        assert_slice(request.items[0].call.channel, "news");
        assert_slice(request.items[0].call.data, values[i]);
        assert_int_equal(request.items[0].call.type, MESSAGE_JSON);
        publish_request_release(&request);
    }
}

static void all_members_of_a_publication(void **state) {
    (void)state;
    struct publish_request request =
        read_json("{\"channel\":\"a\\u00e9\\ud83d\\ude00\",\"data\":\"x\\ny\",\"type\":\"text\","
                  "\"event\":\"tick\",\"once\":\"k\\\"1\",\"if\":\"1795375878745123-42\","
                  "\"history\":100000,\"ttl\":2592000}");
    struct publish_call *call = &request.items[0].call;
    assert_slice(call->channel, "a\xc3\xa9\xf0\x9f\x98\x80");
    assert_slice(call->data, "x\ny");
    assert_int_equal(call->type, MESSAGE_TEXT);
    assert_slice(call->event, "tick");
    assert_slice(call->once, "k\"1");
    assert_slice(call->if_head, "1795375878745123-42");
    assert_int_equal(call->history, 100000);
    assert_int_equal(call->ttl_s, 2592000);
    publish_request_release(&request);
}

static void the_type_counts_wherever_it_stands(void **state) {
    (void)state;
    struct publish_request request =
        read_json("{\"data\":\"AP\\/+\",\"type\":\"binary\",\"channel\":\"a\"}");
    assert_true(slice_equal(request.items[0].call.data, slice_make("\x00\xff\xfe", 3)));
    publish_request_release(&request);
}

static void null_is_as_good_as_absent(void **state) {
    (void)state;
    struct publish_request request = read_json("{\"channel\":\"a\",\"data\":1,\"event\":null,"
                                               "\"type\":null,\"ttl\":null,\"if\":null}");
    assert_int_equal(request.items[0].call.event.len, 0);
    assert_int_equal(request.items[0].call.ttl_s, 0);
    publish_request_release(&request);
}

static void wrong_members_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *body;
        const char *detail;
    } cases[] = {
        {"1", "a publication is an object"},
        {"\"x\"", "a publication is an object"},
        {"{}", "are needed"},
        {"{\"channel\":\"a\"}", "are needed"},
        {"{\"data\":1}", "are needed"},
        {"{\"channel\":null,\"data\":1}", "are needed"},
        {"{\"channel\":\"a\",\"data\":1,\"x\":1}", "are known"},
        {"{\"channel\":\"a\",\"data\":1,\"Type\":\"text\"}", "are known"},
        {"{\"channel\":\"a\",\"data\":1,\"data\":2}", "\"data\" is given twice"},
        {"{\"channel\":\"a\",\"channel\":\"b\",\"data\":2}", "\"channel\" is given twice"},
        {"{\"channel\":1,\"data\":1}", "\"channel\" must be a string"},
        {"{\"channel\":\"\",\"data\":1}", "\"channel\" must be 1-200"},
        {"{\"channel\":\"a b\",\"data\":1}", "\"channel\" must be 1-200"},
        {"{\"channel\":\"a\\u0000\",\"data\":1}", "\"channel\" must be 1-200"},
        {"{\"channel\":\"\\ud800\",\"data\":1}", "half of a surrogate pair"},
        {"{\"channel\":\"\\udc00\\ud800\",\"data\":1}", "half of a surrogate pair"},
        {"{\"channel\":\"a\",\"data\":1,\"type\":\"JSON\"}", "json, text or binary"},
        {"{\"channel\":\"a\",\"data\":1,\"type\":\"text\"}", "must be a string"},
        {"{\"channel\":\"a\",\"data\":\"\\udfff\",\"type\":\"text\"}", "must be a string"},
        {"{\"channel\":\"a\",\"data\":{},\"type\":\"binary\"}", "must be a string"},
        {"{\"channel\":\"a\",\"data\":\"AA\",\"type\":\"binary\"}", "base64"},
        {"{\"channel\":\"a\",\"data\":1,\"event\":\"\"}", "\"event\""},
        {"{\"channel\":\"a\",\"data\":1,\"event\":\"reset\"}", "\"event\""},
        {"{\"channel\":\"a\",\"data\":1,\"event\":\"a\\nb\"}", "\"event\""},
        {"{\"channel\":\"a\",\"data\":1,\"once\":\"\"}", "\"once\""},
        {"{\"channel\":\"a\",\"data\":1,\"if\":\"1-01\"}", "\"if\""},
        {"{\"channel\":\"a\",\"data\":1,\"history\":0}", "\"history\" must be 1 to"},
        {"{\"channel\":\"a\",\"data\":1,\"history\":100001}", "\"history\" must be 1 to"},
        {"{\"channel\":\"a\",\"data\":1,\"history\":1.0}", "\"history\" must be 1 to"},
        {"{\"channel\":\"a\",\"data\":1,\"history\":\"5\"}", "\"history\" must be a number"},
        {"{\"channel\":\"a\",\"data\":1,\"ttl\":2592001}", "\"ttl\" must be 1 to"},
        {"{\"channel\":\"a\",\"data\":1,\"ttl\":-1}", "\"ttl\" must be 1 to"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_refused(&(struct publish_source){.body = slice_of(cases[i].body)}, 400,
                       "bad-request", cases[i].detail);
    }
}

static void what_is_no_json_is_refused_as_such(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "",
        " ",
        "news",
        "{\"channel\":\"a\",\"data\":NaN}",
        "{\"channel\":\"a\",\"data\":1}}",
        "{\"channel\":\"a\",\"data\":\"\x80\"}",
        "{'channel':'a','data':1}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_refused(&(struct publish_source){.body = slice_of(bodies[i])}, 400, "json",
                       "not JSON");
    }
    char deep[JSON_DEPTH_MAX + 2] = "";
    memset(deep, '[', JSON_DEPTH_MAX + 1);
    assert_refused(&(struct publish_source){.body = slice_of(deep)}, 400, "json", "1000 levels");
}

static void a_raw_body_is_the_data(void **state) {
    (void)state;
    struct publish_request request = read_well(&(struct publish_source){
        .query = SLICE("channel=a%2Cb+c&event=tick&once=k&if=none&history=5&ttl=60"),
        .body = SLICE("{\"as\": 1} "),
    });
    struct publish_call *call = &request.items[0].call;
    assert_slice(call->channel, "a,b+c");
    assert_slice(call->data, "{\"as\": 1} ");
    assert_int_equal(call->type, MESSAGE_JSON);
    assert_slice(call->event, "tick");
    assert_slice(call->once, "k");
    assert_slice(call->if_head, "none");
    assert_int_equal(call->history, 5);
    assert_int_equal(call->ttl_s, 60);
    publish_request_release(&request);
}

static void a_raw_body_has_the_type_of_the_url_then_of_its_content_type_then_json(void **state) {
    (void)state;
    static const struct {
        const char *query;
        const char *content_type;
        enum message_type type;
    } cases[] = {
        {"channel=a", "", MESSAGE_JSON},
        {"channel=a", "application/json", MESSAGE_JSON},
        {"channel=a", "application/x-www-form-urlencoded", MESSAGE_JSON},
        {"channel=a", "text/plain; charset=utf-8", MESSAGE_TEXT},
        {"channel=a", "Text/HTML", MESSAGE_TEXT},
        {"channel=a", "application/octet-stream", MESSAGE_BINARY},
        {"channel=a", "Application/Octet-Stream ; x=y", MESSAGE_BINARY},
        {"channel=a&type=binary", "text/plain", MESSAGE_BINARY},
        {"channel=a&type=json", "text/plain", MESSAGE_JSON},
        {"type=text&channel=a", "application/json", MESSAGE_TEXT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct publish_request request = read_well(&(struct publish_source){
            .query = slice_of(cases[i].query),
            .body = SLICE("1"),
            .content_type = slice_of(cases[i].content_type),
        });
        assert_int_equal(request.items[0].call.type, cases[i].type);
        publish_request_release(&request);
    }
}

static void a_raw_body_may_be_anything_when_binary_and_empty_when_text(void **state) {
    (void)state;
    struct slice any = slice_make("\x00\xff\r\n", 4);
    struct publish_request request =
        read_well(&(struct publish_source){.query = SLICE("channel=a&type=binary"), .body = any});
    assert_true(slice_equal(request.items[0].call.data, any));
    publish_request_release(&request);
    request = read_well(&(struct publish_source){.query = SLICE("channel=a&type=text")});
    assert_int_equal(request.items[0].call.data.len, 0);
    publish_request_release(&request);
    assert_refused(&(struct publish_source){.query = SLICE("channel=a&type=text"), .body = any},
                   400, "bad-request", "UTF-8");
}

static void wrong_urls_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *query;
        const char *detail;
    } cases[] = {
        {"type=json", "channel= is needed"},          {"channel=", "\"channel\" must be"},
        {"channel=a&channel=b", "given twice"},       {"channel=a&x=1", "are known"},
        {"channel=%zz", "percent-encoding"},          {"channel=a%20b", "\"channel\" must be"},
        {"channel=a&data=1", "the body is the data"}, {"channel=a&history=x", "\"history\""},
        {"channel=a&event=hello", "\"event\""},       {"channel=a&if=0", "\"if\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_refused(
            &(struct publish_source){.query = slice_of(cases[i].query), .body = SLICE("1")}, 400,
            "bad-request", cases[i].detail);
    }
}

static void a_key_is_once(void **state) {
    (void)state;
    struct publish_source source = {.body = SLICE("{\"channel\":\"a\",\"data\":1}"),
                                    .idempotency_key = SLICE("key 1")};
    struct publish_request request = read_well(&source);
    assert_slice(request.items[0].call.once, "key 1");
    publish_request_release(&request);

    source.body = SLICE("{\"channel\":\"a\",\"data\":1,\"once\":\"key 1\"}");
    request = read_well(&source);
    publish_request_release(&request);

    source.body = SLICE("{\"channel\":\"a\",\"data\":1,\"once\":\"another\"}");
    assert_refused(&source, 400, "bad-request", "contradict");

    char long_key[ONCE_BYTES_MAX + 2];
    memset(long_key, 'k', sizeof(long_key));
    source.body = SLICE("{\"channel\":\"a\",\"data\":1}");
    source.idempotency_key = slice_make(long_key, ONCE_BYTES_MAX);
    request = read_well(&source);
    publish_request_release(&request);
    source.idempotency_key.len++;
    assert_refused(&source, 400, "bad-request", "1-200 bytes");
    source.idempotency_key.len = 0;
    assert_refused(&source, 400, "bad-request", "1-200 bytes");

    source.idempotency_key = SLICE("key");
    source.body = SLICE("[]");
    assert_refused(&source, 400, "bad-request", "array");
}

static void an_array_has_a_fault_for_each_of_its_own(void **state) {
    (void)state;
    struct publish_request request = read_json(
        "[ {\"channel\":\"a\",\"data\":[1,\"]\"]} , 5, {\"channel\":\"b\"},"
        "{\"channel\":\"c\",\"data\":\"x\",\"type\":\"text\",\"once\":\"1\"}, [], null ]");
    assert_true(request.is_array);
    assert_int_equal(request.count, 6);
    assert_int_equal(request.items[0].fault.status, 0);
    assert_slice(request.items[0].call.data, "[1,\"]\"]");
    assert_int_equal(request.items[1].fault.status, 400);
    assert_int_equal(request.items[2].fault.status, 400);
    assert_int_equal(request.items[3].fault.status, 0);
    assert_slice(request.items[3].call.data, "x");
    assert_int_equal(request.items[4].fault.status, 400);
    assert_int_equal(request.items[5].fault.status, 400);
    publish_request_release(&request);

    request = read_json(" [ ] ");
    assert_true(request.is_array);
    assert_int_equal(request.count, 0);
    publish_request_release(&request);
}

static void an_array_of_1000_is_taken_and_one_more_is_not(void **state) {
    (void)state;
    struct bytes body = {0};
    bytes_append_char(&body, '[');
    for (int i = 0; i < PUBLICATIONS_MAX; i++) {
        bytes_append_format(&body, "%s{\"channel\":\"a\",\"data\":%d}", i == 0 ? "" : ",", i);
    }
    bytes_append_char(&body, ']');
    struct publish_request request =
        read_well(&(struct publish_source){.body = bytes_slice(&body)});
    assert_int_equal(request.count, PUBLICATIONS_MAX);
    assert_slice(request.items[999].call.data, "999");
    publish_request_release(&request);
    body.len--;
    bytes_append(&body, SLICE(",{}]"));
    assert_refused(&(struct publish_source){.body = bytes_slice(&body)}, 400, "bad-request",
                   "at most 1000");
    bytes_release(&body);
}

static void data_of_a_mebibyte_is_taken_and_one_byte_more_is_413(void **state) {
    (void)state;
    size_t len = DATA_BYTES_MAX + 1;
    char *data = malloc(len);
    assert_non_null(data);
    memset(data, 'x', len);
    struct publish_source source = {.query = SLICE("channel=a&type=text"),
                                    .body = slice_make(data, DATA_BYTES_MAX)};
    struct publish_request request = read_well(&source);
    publish_request_release(&request);
    source.body.len = len;
    assert_refused(&source, 413, "too-large", "1048577 bytes");
    free(data);
}

// All that is decoded lies behind the body in one buffer that must not move; the reader checks it.
static void any_mixture_of_strings_fits_into_the_memory_of_the_request(void **state) {
    (void)state;
    static const char *const datas[] = {"\"\"", "\"AAAA\"", "\"\\u0041\\/+8=\"", "\"////////\""};
    static const char *const types[] = {"text", "binary"};
    for (unsigned seed = 0; seed < 256; seed++) {
        struct bytes body = {0};
        bytes_append_char(&body, '[');
        for (unsigned i = 0, bits = seed; i < 4; i++, bits >>= 2) {
            bytes_append_format(&body, "%s{\"channel\":\"c%u\",\"data\":%s,\"type\":\"%s\"}",
                                i == 0 ? "" : ",", i, datas[bits & 3], types[(seed >> i) & 1]);
        }
        bytes_append_char(&body, ']');
        struct publish_request request =
            read_well(&(struct publish_source){.body = bytes_slice(&body)});
        for (unsigned i = 0; i < 4; i++) {
            char name[8];
            snprintf(name, sizeof(name), "c%u", i);
            assert_slice(request.items[i].call.channel, name);
        }
        publish_request_release(&request);
        bytes_release(&body);
    }
}

static void every_cut_of_a_body_is_refused_and_none_reads_beyond_it(void **state) {
    (void)state;
    static const char body[] = "[{\"channel\":\"a\\u00e9\",\"data\":{\"x\":[1,\"\\\\\\\"\"]},"
                               "\"type\":\"json\",\"once\":\"1\",\"ttl\":5}]";
    for (size_t len = 0; len < sizeof(body) - 1; len++) {
        // On the heap and of just that size, so that the sanitizer sees one byte too many.
        char *cut = malloc(len + 1);
        assert_non_null(cut);
        memcpy(cut, body, len);
        char *exact = realloc(cut, len == 0 ? 1 : len);
        assert_non_null(exact);
        assert_refused(&(struct publish_source){.body = slice_make(exact, len)}, 400, "json", "");
        free(exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_data_is_taken_byte_for_byte),
        cmocka_unit_test(all_members_of_a_publication),
        cmocka_unit_test(the_type_counts_wherever_it_stands),
        cmocka_unit_test(null_is_as_good_as_absent),
        cmocka_unit_test(wrong_members_are_refused),
        cmocka_unit_test(what_is_no_json_is_refused_as_such),
        cmocka_unit_test(a_raw_body_is_the_data),
        cmocka_unit_test(a_raw_body_has_the_type_of_the_url_then_of_its_content_type_then_json),
        cmocka_unit_test(a_raw_body_may_be_anything_when_binary_and_empty_when_text),
        cmocka_unit_test(wrong_urls_are_refused),
        cmocka_unit_test(a_key_is_once),
        cmocka_unit_test(an_array_has_a_fault_for_each_of_its_own),
        cmocka_unit_test(an_array_of_1000_is_taken_and_one_more_is_not),
        cmocka_unit_test(data_of_a_mebibyte_is_taken_and_one_byte_more_is_413),
        cmocka_unit_test(any_mixture_of_strings_fits_into_the_memory_of_the_request),
        cmocka_unit_test(every_cut_of_a_body_is_refused_and_none_reads_beyond_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
