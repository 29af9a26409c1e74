// Three parts, of which the last signs the first two. Nothing is allocated for a token that is too
// long, and nothing of a token whose signature is wrong is read but its header.
#include "node/auth/jwt.h"

#include "cluster/base/base64.h"
#include "cluster/base/bytes.h"
#include "cluster/base/mem.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <uv.h>

enum { SIGNATURE_BYTES = 32 };

// Where NumericDate (RFC 7519, section 2) ends for us; whoever writes more means "never".
static const double SECONDS_MAX = 1e12;

// Base64url without padding (RFC 7515, section 2), in its one right spelling.
static int decode_base64url(struct bytes *bytes, struct slice text) {
    struct bytes plain = {0};
    char *to = bytes_reserve(&plain, text.len + 2);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        // '\0' is in no alphabet: what only the other one has is refused.
        to[i] = c == '-' ? '+' : c == '_' ? '/' : strchr("+/=", c) != NULL ? '\0' : c;
    }
    plain.len = text.len;
    while (plain.len % 4 != 0 && plain.len < text.len + 2) {
        plain.data[plain.len++] = '=';
    }
    int error = base64_decode(bytes, bytes_slice(&plain));
    bytes_release(&plain);
    return error;
}

// A part of the token as a JSON object; NULL when it is none, or says something twice.
static json_t *decode_object(struct slice part) {
    struct bytes text = {0};
    json_t *object = NULL;
    if (part.len > 0 && decode_base64url(&text, part) == 0 && text.len > 0) {
        object = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    }
    bytes_release(&text);
    return object;
}

static struct slice string_of(const json_t *value) {
    return slice_make(json_string_value(value), json_string_length(value));
}

static bool is_hs256(struct slice part) {
    json_t *header = decode_object(part);
    bool is_fine = slice_equal(string_of(json_object_get(header, "alg")), SLICE("HS256")) &&
                   json_object_get(header, "crit") == NULL;
    json_decref(header);
    return is_fine;
}

// Every key is tried, whichever fits, and each comparison takes its full time.
static bool is_signed(struct slice text, struct slice part, const struct config_list *keys) {
    struct bytes given = {0};
    bool is_fine = false;
    if (part.len > 0 && decode_base64url(&given, part) == 0 && given.len == SIGNATURE_BYTES) {
        for (size_t i = 0; i < keys->count; i++) {
            unsigned char due[EVP_MAX_MD_SIZE];
            unsigned len = 0;
            const char *key = keys->items[i];
            bool is_made = HMAC(EVP_sha256(), key, (int)strlen(key),
                                (const unsigned char *)text.data, text.len, due, &len) != NULL;
            is_fine |= is_made && len == SIGNATURE_BYTES &&
                       CRYPTO_memcmp(due, given.data, SIGNATURE_BYTES) == 0;
        }
    }
    bytes_release(&given);
    return is_fine;
}

// ---- Claims -------------------------------------------------------------------------------------

static bool is_absent(const json_t *claim) {
    return claim == NULL || json_is_null(claim);
}

// A NumericDate in ms, with fractions; `otherwise` without the claim. A null is no date: who means
// "never ends" leaves the claim out, and who lost the date while writing must not get that.
static int read_date(const json_t *payload, const char *name, int64_t otherwise, int64_t *ms_r) {
    const json_t *claim = json_object_get(payload, name);
    *ms_r = otherwise;
    if (claim == NULL) {
        return 0;
    }
    if (!json_is_number(claim)) {
        return UV_EINVAL;
    }
    double seconds = json_number_value(claim);
    *ms_r = seconds >= SECONDS_MAX    ? INT64_MAX
            : seconds <= -SECONDS_MAX ? INT64_MIN
                                      : (int64_t)(seconds * 1000);
    return 0;
}

// The n-th string of a claim that is one string or an array of them; NULL at the end, and for what
// is no string.
static const json_t *nth_string(const json_t *claim, size_t n) {
    const json_t *value = json_is_array(claim) ? json_array_get(claim, n) : n == 0 ? claim : NULL;
    return json_is_string(value) ? value : NULL;
}

static size_t count_of(const json_t *claim) {
    return json_is_array(claim) ? json_array_size(claim) : is_absent(claim) ? 0 : 1;
}

// A token that names whom it is for must name us (RFC 7519, section 4.1.3).
static bool is_for_us(const json_t *payload) {
    const json_t *claim = json_object_get(payload, "aud");
    bool is_named = is_absent(claim);
    for (size_t i = 0; i < count_of(claim); i++) {
        is_named |= slice_equal(string_of(nth_string(claim, i)), SLICE("freshet"));
    }
    return is_named;
}

// Adds what the claim needs of the allocation.
static int measure_patterns(const json_t *claim, size_t *count, size_t *text_bytes) {
    size_t here = count_of(claim);
    if (here > JWT_PATTERNS_MAX) {
        return UV_EINVAL;
    }
    for (size_t i = 0; i < here; i++) {
        size_t len = json_string_length(nth_string(claim, i));
        if (len == 0 || len > JWT_PATTERN_BYTES_MAX) {
            return UV_EINVAL;
        }
        *text_bytes += len + 1;
    }
    *count += here;
    return 0;
}

// jansson lets no NUL into a string.
static char *put_string(char **text, const json_t *value) {
    char *at = *text;
    size_t len = json_string_length(value);
    if (len > 0) {
        memcpy(at, json_string_value(value), len);
    }
    *text += len + 1;
    return at;
}

static int read_claims(const json_t *payload, struct jwt_claims **claims_r) {
    const json_t *subject = json_object_get(payload, "sub");
    size_t count = 0;
    size_t text_bytes = json_string_length(subject) + 1;
    int64_t ends_ms;
    int error = read_date(payload, "exp", INT64_MAX, &ends_ms);
    if (error < 0 || (!is_absent(subject) && !json_is_string(subject)) ||
        json_string_length(subject) > JWT_SUBJECT_BYTES_MAX) {
        return UV_EINVAL;
    }
    for (enum jwt_right i = 0; i < JWT_RIGHTS && error == 0; i++) {
        error = measure_patterns(json_object_get(payload, jwt_right_name(i)), &count, &text_bytes);
    }
    if (error < 0) {
        return error;
    }
    struct jwt_claims *claims = mem_alloc(sizeof(*claims) + count * sizeof(char *) + text_bytes);
    char **items = (char **)(claims + 1);
    char *text = (char *)(items + count);
    claims->ends_ms = ends_ms;
    claims->subject = put_string(&text, subject);
    for (enum jwt_right i = 0; i < JWT_RIGHTS; i++) {
        const json_t *claim = json_object_get(payload, jwt_right_name(i));
        claims->patterns[i].items = items;
        claims->patterns[i].count = count_of(claim);
        for (size_t j = 0; j < claims->patterns[i].count; j++) {
            *items++ = put_string(&text, nth_string(claim, j));
        }
    }
    *claims_r = claims;
    return 0;
}

static enum jwt_problem read_payload(struct slice part, int64_t now_ms,
                                     struct jwt_claims **claims_r) {
    json_t *payload = decode_object(part);
    int64_t begins_ms;
    enum jwt_problem problem = JWT_NONE;
    if (!json_is_object(payload) || read_date(payload, "nbf", INT64_MIN, &begins_ms) < 0) {
        problem = JWT_CLAIMS;
    } else if (!is_for_us(payload)) {
        problem = JWT_AUDIENCE;
    } else if (now_ms < begins_ms) {
        problem = JWT_EARLY;
    } else if (read_claims(payload, claims_r) < 0) {
        problem = JWT_CLAIMS;
    } else if (now_ms >= (*claims_r)->ends_ms) {
        jwt_claims_destroy(claims_r);
        problem = JWT_EXPIRED;
    }
    json_decref(payload);
    return problem;
}

enum jwt_problem jwt_read(struct slice token, const struct config_list *keys, int64_t now_ms,
                          struct jwt_claims **claims_r) {
    *claims_r = NULL;
    if (token.len == 0 || token.len > JWT_BYTES_MAX) {
        return JWT_FORM;
    }
    struct slice rest = token;
    struct slice header = slice_cut(&rest, '.');
    struct slice payload = rest.data == NULL ? SLICE_NONE : slice_cut(&rest, '.');
    struct slice signature = rest;
    if (signature.data == NULL || memchr(signature.data, '.', signature.len) != NULL) {
        return JWT_FORM;
    }
    if (!is_hs256(header)) {
        return JWT_HEADER;
    }
    if (!is_signed(slice_make(token.data, header.len + 1 + payload.len), signature, keys)) {
        return JWT_SIGNATURE;
    }
    return read_payload(payload, now_ms, claims_r);
}

void jwt_claims_destroy(struct jwt_claims **claims) {
    mem_free(*claims);
    *claims = NULL;
}

const char *jwt_problem_text(enum jwt_problem problem) {
#define PROBLEM_TEXT(name, text) [JWT_##name] = (text),
    static const char *const texts[] = {JWT_PROBLEM_MAP(PROBLEM_TEXT)};
#undef PROBLEM_TEXT
    return texts[problem];
}

const char *jwt_right_name(enum jwt_right right) {
#define RIGHT_NAME(name, text) [JWT_##name] = (text),
    static const char *const names[] = {JWT_RIGHT_MAP(RIGHT_NAME)};
#undef RIGHT_NAME
    return names[right];
}
