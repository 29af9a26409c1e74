// Tokens. The first byte chooses: even ("r"), the rest is a token as a stranger sends it, and must
// never be believed; odd ("s"), it is a header, a line end and the claims, signed here: no fuzzer
// would find a signature.
#include "tests/fuzz/fuzz.h"

#include "cluster/base/base64.h"
#include "cluster/base/check.h"
#include "node/auth/jwt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

static const int64_t now_ms = INT64_C(1700000000) * 1000;

static char key[] = "a key by which nothing in the corpus is signed";
static char *key_items[] = {"another key, tried first", key};
static const struct config_list keys = {key_items, 2};

static void append_base64url(struct bytes *bytes, struct slice data) {
    struct bytes text = {0};
    base64_append(&text, data);
    for (size_t i = 0; i < text.len && text.data[i] != '='; i++) {
        char c = text.data[i];
        bytes_append_char(bytes, c == '+' ? '-' : c == '/' ? '_' : c);
    }
    bytes_release(&text);
}

static void sign(struct bytes *token) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    CHECK(HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)token->data, token->len,
               mac, &len) != NULL);
    bytes_append_char(token, '.');
    append_base64url(token, slice_make(mac, len));
}

static void check_claims(const struct jwt_claims *claims) {
    CHECK(claims->ends_ms > now_ms);
    CHECK(strlen(claims->subject) <= JWT_SUBJECT_BYTES_MAX);
    for (enum jwt_right right = 0; right < JWT_RIGHTS; right++) {
        const struct config_list *patterns = &claims->patterns[right];
        CHECK(patterns->count <= JWT_PATTERNS_MAX);
        for (size_t i = 0; i < patterns->count; i++) {
            size_t len = strlen(patterns->items[i]);
            CHECK(len > 0 && len <= JWT_PATTERN_BYTES_MAX);
        }
    }
}

static void read_forged(struct slice token) {
    struct jwt_claims *claims;
    enum jwt_problem problem = jwt_read(token, &keys, now_ms, &claims);
    CHECK(problem == JWT_FORM || problem == JWT_HEADER || problem == JWT_SIGNATURE);
    CHECK(claims == NULL);
}

static void read_signed(struct slice input) {
    struct bytes token = {0};
    append_base64url(&token, slice_cut(&input, '\n'));
    bytes_append_char(&token, '.');
    append_base64url(&token, input);
    sign(&token);
    struct jwt_claims *claims;
    enum jwt_problem problem = jwt_read(bytes_slice(&token), &keys, now_ms, &claims);
    CHECK(problem < JWT_PROBLEMS && problem != JWT_SIGNATURE);
    CHECK((claims != NULL) == (problem == JWT_NONE));
    if (claims != NULL) {
        check_claims(claims);
    }
    jwt_claims_destroy(&claims);
    bytes_release(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = slice_make(data, size);
    if ((fuzz_take_byte(&input) & 1) != 0) {
        read_signed(input);
    } else {
        read_forged(input);
    }
    return 0;
}
