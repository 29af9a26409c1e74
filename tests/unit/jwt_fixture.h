// Makes tokens for the tests of node/auth: any header, any payload, any signature.
#ifndef FRESHET_TESTS_UNIT_JWT_FIXTURE_H
#define FRESHET_TESTS_UNIT_JWT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "cluster/base/base64.h"
#include "cluster/base/bytes.h"
#include "node/config.h"

#define KEY     "0123456789abcdef0123456789abcdef"
#define OLD_KEY "an older key, which still counts for a while"
#define HEADER  "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

// It is always this second.
static const int64_t now_ms = INT64_C(1700000000) * 1000;

// Base64url without padding.
static inline void append_base64url(struct bytes *bytes, struct slice data) {
    struct bytes text = {0};
    base64_append(&text, data);
    for (size_t i = 0; i < text.len && text.data[i] != '='; i++) {
        char c = text.data[i];
        bytes_append_char(bytes, c == '+' ? '-' : c == '/' ? '_' : c);
    }
    bytes_release(&text);
}

// Signs what stands in `token` by this digest, and adds the signature.
static inline void sign(struct bytes *token, const char *key, const EVP_MD *digest) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    assert_non_null(HMAC(digest, key, (int)strlen(key), (const unsigned char *)token->data,
                         token->len, mac, &len));
    bytes_append_char(token, '.');
    append_base64url(token, slice_make(mac, len));
}

// The token's text, with a NUL behind it; valid until the next call but three.
static inline const char *mint_with(const char *header, const char *payload, const char *key) {
    static struct bytes kept[4];
    static unsigned at;
    struct bytes *token = &kept[at++ % 4];
    bytes_release(token);
    append_base64url(token, slice_of(header));
    bytes_append_char(token, '.');
    append_base64url(token, slice_of(payload));
    sign(token, key, EVP_sha256());
    bytes_append_char(token, '\0');
    return token->data;
}

static inline const char *mint(const char *payload) {
    return mint_with(HEADER, payload, KEY);
}

#endif
