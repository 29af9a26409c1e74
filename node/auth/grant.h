// What a client may do: what everybody may (--anonymous, --anonymous-publish), and what its token
// adds to that.
//
// A token that is not accepted counts as none. That is told where one would have been needed, and
// always in the same words: nobody learns how far a forged one got.
#ifndef FRESHET_NODE_AUTH_GRANT_H
#define FRESHET_NODE_AUTH_GRANT_H

#include "cluster/base/slice.h"
#include "node/auth/jwt.h"
#include "node/config.h"
#include "node/http/request.h"

#include <stdbool.h>
#include <stdint.h>

// Small, by value; who keeps one takes its rights away at grant_ends_ms: nothing here looks at the
// clock again. Zeroed memory may be released.
struct grant {
    const struct config *config; // borrowed
    struct jwt_claims *claims;   // owned; NULL: what everybody may, and no more
    bool is_token_bad;           // there was a token, and it was not accepted
};

// Why not: 401 `token` (one is needed, or a new one) or 403 `forbidden` (this one does not do).
struct grant_problem {
    int status;
    const char *code; // static
    char detail[384];
};

// By the token of `Authorization: Bearer`, else of the cookie --auth-cookie, where cookies count
// (origin.h). `now_ms` is the wall clock's.
void grant_from_request(const struct request *request, const struct config *config, int64_t now_ms,
                        struct grant *grant_r);

// By this token. UV_EACCES: it is not accepted, and *grant_r is what everybody has.
int grant_from_token(struct slice token, const struct config *config, int64_t now_ms,
                     struct grant *grant_r);

void grant_release(struct grant *grant);

// Its token has ended: from now on it is what everybody has.
void grant_end(struct grant *grant);

bool grant_allows(const struct grant *grant, enum jwt_right right, struct slice channel);

// The same, with the words for the client: UV_EACCES when it may not.
int grant_check(const struct grant *grant, enum jwt_right right, struct slice channel,
                struct grant_problem *problem_r);

// Whether everybody may read the channel: then its answers may be shared, and no token's end ends
// the reading.
bool grant_is_public(const struct grant *grant, struct slice channel);

// When the token ends, by the wall clock; INT64_MAX: never.
int64_t grant_ends_ms(const struct grant *grant);
struct slice grant_subject(const struct grant *grant); // empty: nobody in particular

// What a client hears whose token has ended, or was not accepted.
void grant_problem_bad_token(struct grant_problem *problem_r);

#endif
