// Tokens: who signed them, what they say, and everything that must not be believed.
#include "tests/unit/jwt_fixture.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/auth/jwt.h"

static char *key_items[] = {KEY, OLD_KEY};
static const struct config_list keys = {key_items, 2};

static enum jwt_problem read_text(struct slice token) {
    struct jwt_claims *claims;
    enum jwt_problem problem = jwt_read(token, &keys, now_ms, &claims);
    assert_true((claims != NULL) == (problem == JWT_NONE));
    jwt_claims_destroy(&claims);
    return problem;
}

static void expect(enum jwt_problem due, const char *token, const char *what) {
    enum jwt_problem problem = read_text(slice_of(token));
    if (problem != due) {
        fail_msg("%s: %s", what, jwt_problem_text(problem));
    }
}

static struct jwt_claims *read_well(const char *payload) {
    struct jwt_claims *claims;
    assert_int_equal(jwt_read(slice_of(mint(payload)), &keys, now_ms, &claims), JWT_NONE);
    return claims;
}

static void all_claims_are_read(void **state) {
    (void)state;
    struct jwt_claims *claims =
        read_well("{\"sub\":\"j\\u00f6rg\",\"iat\":\"ignored\",\"exp\":1700000060.5,"
                  "\"nbf\":1700000000,\"subscribe\":[\"news*\",\"chat:\\u0061\"],"
                  "\"publish\":\"chat:a\",\"presence\":[]}");
    assert_string_equal(claims->subject, "j\xc3\xb6rg");
    assert_int_equal(claims->ends_ms, now_ms + 60500);
    assert_int_equal(claims->patterns[JWT_SUBSCRIBE].count, 2);
    assert_string_equal(claims->patterns[JWT_SUBSCRIBE].items[0], "news*");
    assert_string_equal(claims->patterns[JWT_SUBSCRIBE].items[1], "chat:a");
    assert_int_equal(claims->patterns[JWT_PUBLISH].count, 1);
    assert_string_equal(claims->patterns[JWT_PUBLISH].items[0], "chat:a");
    assert_int_equal(claims->patterns[JWT_PRESENCE].count, 0);
    jwt_claims_destroy(&claims);
}

static void no_claim_is_needed(void **state) {
    (void)state;
    struct jwt_claims *claims = read_well("{\"sub\":null}");
    assert_string_equal(claims->subject, "");
    assert_true(claims->ends_ms == INT64_MAX);
    for (enum jwt_right i = 0; i < JWT_RIGHTS; i++) {
        assert_int_equal(claims->patterns[i].count, 0);
    }
    jwt_claims_destroy(&claims);
    assert_null(claims);
}

static void any_of_the_keys_will_do(void **state) {
    (void)state;
    expect(JWT_NONE, mint_with(HEADER, "{}", OLD_KEY), "the older key");
    expect(JWT_SIGNATURE, mint_with(HEADER, "{}", KEY "x"), "a longer key");
    expect(JWT_SIGNATURE, mint_with(HEADER, "{}", ""), "an empty key");
    struct jwt_claims *claims;
    assert_int_equal(jwt_read(slice_of(mint("{}")), &(struct config_list){0}, now_ms, &claims),
                     JWT_SIGNATURE);
}

// The header cannot choose the algorithm, nor the key.
static void forged_headers(void **state) {
    (void)state;
    static const struct {
        const char *header;
        enum jwt_problem due;
    } cases[] = {
        {"{\"alg\":\"none\"}", JWT_HEADER},
        {"{\"alg\":\"None\"}", JWT_HEADER},
        {"{\"alg\":\"NONE\"}", JWT_HEADER},
        {"{\"alg\":\"nOnE\"}", JWT_HEADER},
        {"{\"alg\":\"\"}", JWT_HEADER},
        {"{\"alg\":\"hs256\"}", JWT_HEADER},
        {"{\"alg\":\"HS256 \"}", JWT_HEADER},
        {"{\"alg\":\"HS512\"}", JWT_HEADER},
        {"{\"alg\":\"RS256\"}", JWT_HEADER},
        {"{\"alg\":[\"HS256\"]}", JWT_HEADER},
        {"{\"alg\":null}", JWT_HEADER},
        {"{\"ALG\":\"HS256\"}", JWT_HEADER},
        {"{\"typ\":\"JWT\"}", JWT_HEADER},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"alg\":\"none\"}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"typ\":\"JWT\",\"typ\":\"JWT\"}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"crit\":null}", JWT_HEADER},
        {"[\"HS256\"]", JWT_HEADER},
        {"\"HS256\"", JWT_HEADER},
        {"HS256", JWT_HEADER},
        {"{\"alg\":\"HS256\"", JWT_HEADER},
        {"{\"alg\":\"HS256\"}x", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}", JWT_NONE},
        {"{\"alg\":\"HS256\",\"kid\":\"' or 1=1 --\",\"jku\":\"http://127.0.0.1:1/\"}", JWT_NONE},
        {"{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"eA\"},\"x5u\":\"x\"}", JWT_NONE},
        {"{\"alg\":\"HS256\"}", JWT_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect(cases[i].due, mint_with(cases[i].header, "{}", KEY), cases[i].header);
    }
    // What such a header names is not the key.
    expect(JWT_SIGNATURE,
           mint_with("{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"eA\"}}", "{}", "x"),
           "jwk");
    expect(JWT_SIGNATURE, mint_with("{\"alg\":\"HS256\",\"kid\":\"/dev/null\"}", "{}", ""), "kid");
}

// The public half of an RSA key is no secret: as an HMAC key it must not count.
static void signed_with_a_public_key(void **state) {
    (void)state;
    EVP_PKEY *pair = EVP_RSA_gen(2048);
    BIO *pem = BIO_new(BIO_s_mem());
    char *text;
    assert_int_equal(PEM_write_bio_PUBKEY(pem, pair), 1);
    assert_int_equal(BIO_write(pem, "", 1), 1);
    BIO_get_mem_data(pem, &text);
    expect(JWT_SIGNATURE, mint_with(HEADER, "{}", text), "HS256 by a public key");
    expect(JWT_HEADER, mint_with("{\"alg\":\"RS256\"}", "{}", text), "the same as RS256");
    BIO_free(pem);
    EVP_PKEY_free(pair);
}

static void every_single_bit_counts(void **state) {
    (void)state;
    char *token = strdup(mint("{\"sub\":\"a\",\"subscribe\":\"*\"}"));
    assert_non_null(token);
    size_t len = strlen(token);
    for (size_t i = 0; i < len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            token[i] = (char)(token[i] ^ (1 << bit));
            if (read_text(slice_make(token, len)) == JWT_NONE) {
                fail_msg("bit %u of byte %zu does not count", bit, i);
            }
            token[i] = (char)(token[i] ^ (1 << bit));
        }
        if (read_text(slice_make(token, i)) == JWT_NONE) {
            fail_msg("cut at %zu", i);
        }
    }
    expect(JWT_NONE, token, "as it was");
    free(token);
}

static void other_forms_are_none(void **state) {
    (void)state;
    const char *token = mint("{}");
    const char *dot = strrchr(token, '.');
    char text[512];
    static const char *const behind[] = {"=", ".", ".x", " ", "\n", "A"};
    for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
        snprintf(text, sizeof(text), "%s%s", token, behind[i]);
        assert_true(read_text(slice_of(text)) != JWT_NONE);
    }
    snprintf(text, sizeof(text), "%.*s.", (int)(dot - token), token);
    expect(JWT_SIGNATURE, text, "an empty signature");
    snprintf(text, sizeof(text), "%.*s", (int)(dot - token), token);
    expect(JWT_FORM, text, "no signature");
    snprintf(text, sizeof(text), " %s", token);
    expect(JWT_HEADER, text, "a space before it");
    static const char *const others[] = {"", ".", "..", "...", "a", "a.b.c", "e30.e30.", ".e30."};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_true(read_text(slice_of(others[i])) != JWT_NONE);
    }
}

// HS384 and a short MAC, whatever the header says.
static void signatures_of_another_length(void **state) {
    (void)state;
    const EVP_MD *digests[] = {EVP_sha1(), EVP_sha384(), EVP_sha512()};
    for (size_t i = 0; i < 3; i++) {
        struct bytes token = {0};
        append_base64url(&token, SLICE(HEADER));
        bytes_append(&token, SLICE(".e30"));
        sign(&token, KEY, digests[i]);
        assert_int_equal(read_text(bytes_slice(&token)), JWT_SIGNATURE);
        bytes_release(&token);
    }
}

static void large_tokens(void **state) {
    (void)state;
    static char payload[100 * 1024];
    int len = snprintf(payload, sizeof(payload), "{\"x\":\"%6000s\"}", "");
    assert_true(len > 6000);
    expect(JWT_NONE, mint(payload), "just below 8 KiB");
    snprintf(payload, sizeof(payload), "{\"x\":\"%6200s\"}", "");
    expect(JWT_FORM, mint(payload), "just above 8 KiB");
    memset(payload, '[', sizeof(payload) - 1);
    expect(JWT_FORM, payload, "100 KiB");
    payload[6000] = '\0';
    expect(JWT_CLAIMS, mint(payload), "6,000 arrays in each other");
}

static void times(void **state) {
    (void)state;
    static const struct {
        const char *payload;
        enum jwt_problem due;
    } cases[] = {
        {"{\"exp\":1700000000}", JWT_EXPIRED}, // RFC 7519: only before that second
        {"{\"exp\":1700000000.001}", JWT_NONE},
        {"{\"exp\":1}", JWT_EXPIRED},
        {"{\"exp\":0}", JWT_EXPIRED},
        {"{\"exp\":-1e300}", JWT_EXPIRED},
        {"{\"exp\":1e300}", JWT_NONE},
        {"{\"exp\":9007199254740993}", JWT_NONE},
        {"{\"exp\":\"1800000000\"}", JWT_CLAIMS},
        {"{\"exp\":true}", JWT_CLAIMS},
        {"{\"exp\":null}", JWT_CLAIMS}, // no NumericDate, and not "never"
        {"{\"exp\":[1800000000]}", JWT_CLAIMS},
        {"{\"exp\":1800000000,\"exp\":1}", JWT_CLAIMS},
        {"{\"exp\":1e400}", JWT_CLAIMS},
        {"{\"nbf\":1700000001}", JWT_EARLY},
        {"{\"nbf\":1e300}", JWT_EARLY},
        {"{\"nbf\":1700000000}", JWT_NONE},
        {"{\"nbf\":\"now\"}", JWT_CLAIMS},
        {"{\"nbf\":null}", JWT_CLAIMS},
        {"{\"nbf\":1700000001,\"exp\":1}", JWT_EARLY},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect(cases[i].due, mint(cases[i].payload), cases[i].payload);
    }
}

static void claims_of_another_type(void **state) {
    (void)state;
    static const struct {
        const char *payload;
        enum jwt_problem due;
    } cases[] = {
        {"[]", JWT_CLAIMS},
        {"null", JWT_CLAIMS},
        {"", JWT_CLAIMS},
        {"{\"sub\":7}", JWT_CLAIMS},
        {"{\"sub\":\"\\u0000\"}", JWT_CLAIMS},
        {"{\"sub\":\"\xff\"}", JWT_CLAIMS},
        {"{\"subscribe\":7}", JWT_CLAIMS},
        {"{\"subscribe\":{\"a\":true}}", JWT_CLAIMS},
        {"{\"subscribe\":[\"a\",7]}", JWT_CLAIMS},
        {"{\"subscribe\":[[\"a\"]]}", JWT_CLAIMS},
        {"{\"subscribe\":\"\"}", JWT_CLAIMS},
        {"{\"publish\":true}", JWT_CLAIMS},
        {"{\"presence\":[null]}", JWT_CLAIMS},
        {"{\"subscribe\":\"a\",\"subscribe\":\"b\"}", JWT_CLAIMS},
        {"{\"aud\":\"another\"}", JWT_AUDIENCE},
        {"{\"aud\":[\"another\",7]}", JWT_AUDIENCE},
        {"{\"aud\":[]}", JWT_AUDIENCE},
        {"{\"aud\":7}", JWT_AUDIENCE},
        {"{\"aud\":\"freshet\"}", JWT_NONE},
        {"{\"aud\":[\"another\",\"freshet\"]}", JWT_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect(cases[i].due, mint(cases[i].payload), cases[i].payload);
    }
}

// `count` patterns of `len` bytes each.
static enum jwt_problem read_patterns(int count, int len) {
    static char payload[1 << 15];
    int at = snprintf(payload, sizeof(payload), "{\"publish\":[");
    for (int i = 0; i < count; i++) {
        at += snprintf(payload + at, sizeof(payload) - (size_t)at, "%s\"%0*d\"", i > 0 ? "," : "",
                       len, i);
    }
    snprintf(payload + at, sizeof(payload) - (size_t)at, "]}");
    return read_text(slice_of(mint(payload)));
}

static void bounds(void **state) {
    (void)state;
    assert_int_equal(read_patterns(100, 50), JWT_NONE);
    assert_int_equal(read_patterns(101, 50), JWT_CLAIMS);
    assert_int_equal(read_patterns(2, 200), JWT_NONE);
    assert_int_equal(read_patterns(2, 201), JWT_CLAIMS);
    char payload[256];
    snprintf(payload, sizeof(payload), "{\"sub\":\"%0200d\"}", 7);
    assert_int_equal(read_text(slice_of(mint(payload))), JWT_NONE);
    snprintf(payload, sizeof(payload), "{\"sub\":\"%0201d\"}", 7);
    assert_int_equal(read_text(slice_of(mint(payload))), JWT_CLAIMS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_claims_are_read),
        cmocka_unit_test(no_claim_is_needed),
        cmocka_unit_test(any_of_the_keys_will_do),
        cmocka_unit_test(forged_headers),
        cmocka_unit_test(signed_with_a_public_key),
        cmocka_unit_test(every_single_bit_counts),
        cmocka_unit_test(other_forms_are_none),
        cmocka_unit_test(signatures_of_another_length),
        cmocka_unit_test(large_tokens),
        cmocka_unit_test(times),
        cmocka_unit_test(claims_of_another_type),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
