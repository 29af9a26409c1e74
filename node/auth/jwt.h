// Signed tokens: the compact form of a JSON Web Token (RFC 7515, RFC 7519), HS256 and nothing else.
// Sans-I/O.
//
// The algorithm is fixed by the key. The token's header must agree and decides nothing: `kid`,
// `jwk`, `jku` and `x5u` are not looked at, `crit` is refused. No claim is looked at before the
// signature was found right.
#ifndef FRESHET_NODE_AUTH_JWT_H
#define FRESHET_NODE_AUTH_JWT_H

#include "cluster/base/slice.h"
#include "node/config.h"

#include <stdint.h>

enum {
    JWT_BYTES_MAX = 8192,
    JWT_SUBJECT_BYTES_MAX = 200,
    JWT_PATTERNS_MAX = 100, // of one claim
    JWT_PATTERN_BYTES_MAX = 200,
};

// What is wrong with a token: for tests and the debug log. Clients never hear which it is.
#define JWT_PROBLEM_MAP(X)                                                                         \
    X(NONE, "fine")                                                                                \
    X(FORM, "not a compact token of at most 8 KiB")                                                \
    X(HEADER, "its header is not that of a plain HS256 token")                                     \
    X(SIGNATURE, "signed by none of the keys")                                                     \
    X(CLAIMS, "a claim is not of its type, or too long")                                           \
    X(AUDIENCE, "made for another audience")                                                       \
    X(EARLY, "not valid yet")                                                                      \
    X(EXPIRED, "expired")

#define JWT_ENUM_PROBLEM(name, text) JWT_##name,
enum jwt_problem { JWT_PROBLEM_MAP(JWT_ENUM_PROBLEM) JWT_PROBLEMS };
#undef JWT_ENUM_PROBLEM

// The claims that are lists of channel patterns.
#define JWT_RIGHT_MAP(X)                                                                           \
    X(SUBSCRIBE, "subscribe")                                                                      \
    X(PUBLISH, "publish")                                                                          \
    X(PRESENCE, "presence")

#define JWT_ENUM_RIGHT(name, text) JWT_##name,
enum jwt_right { JWT_RIGHT_MAP(JWT_ENUM_RIGHT) JWT_RIGHTS };
#undef JWT_ENUM_RIGHT

// One allocation: everything points into it.
struct jwt_claims {
    int64_t ends_ms;     // `exp` by the wall clock; INT64_MAX: never
    const char *subject; // "" without `sub`
    struct config_list patterns[JWT_RIGHTS];
};

// Whoever signed with one of `keys` is believed. JWT_NONE: *claims_r is the caller's to destroy.
// Else it is NULL.
enum jwt_problem jwt_read(struct slice token, const struct config_list *keys, int64_t now_ms,
                          struct jwt_claims **claims_r);
void jwt_claims_destroy(struct jwt_claims **claims); // fine when it is NULL

const char *jwt_problem_text(enum jwt_problem problem);
const char *jwt_right_name(enum jwt_right right); // as the claim is called

#endif
