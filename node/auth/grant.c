// Finding the token, and asking it.
#include "node/auth/grant.h"

#include "cluster/base/log.h"
#include "node/auth/origin.h"

#include <stdio.h>
#include <uv.h>

// ---- Where tokens are ---------------------------------------------------------------------------

// RFC 6750, section 2.1. Other schemes are somebody else's: a proxy's, for example.
static bool find_bearer(const struct request *request, struct slice *token_r) {
    struct slice field;
    size_t at = 0;
    while (request_field_next(request, SLICE("Authorization"), &at, &field)) {
        struct slice scheme = slice_cut(&field, ' ');
        if (slice_equal_nocase(scheme, SLICE("Bearer"))) {
            *token_r = slice_trim(field);
            return true;
        }
    }
    return false;
}

// RFC 6265, section 4.2. Of several with the name, the first: browsers put the most specific there.
static bool find_cookie(const struct request *request, struct slice name, struct slice *value_r) {
    struct slice field;
    size_t at = 0;
    while (request_field_next(request, SLICE("Cookie"), &at, &field)) {
        while (field.data != NULL) {
            struct slice value = slice_trim(slice_cut(&field, ';'));
            if (!slice_equal(slice_cut(&value, '='), name) || value.len == 0) {
                continue; // an empty one is how some log out
            }
            bool is_quoted =
                value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"';
            *value_r = is_quoted ? slice_make(value.data + 1, value.len - 2) : value;
            return true;
        }
    }
    return false;
}

static bool find_token(const struct request *request, const struct config *config,
                       struct slice *token_r) {
    if (find_bearer(request, token_r)) {
        return true;
    }
    return find_cookie(request, slice_of(config->auth_cookie), token_r) &&
           origin_lets_cookies_count(origin_of(request, &config->origins), request);
}

int grant_from_token(struct slice token, const struct config *config, int64_t now_ms,
                     struct grant *grant_r) {
    *grant_r = (struct grant){.config = config};
    enum jwt_problem problem = jwt_read(token, &config->auth_keys, now_ms, &grant_r->claims);
    if (problem == JWT_NONE) {
        return 0;
    }
    log_debug("auth", "a token was not accepted: %s", jwt_problem_text(problem));
    grant_r->is_token_bad = true;
    return UV_EACCES;
}

void grant_from_request(const struct request *request, const struct config *config, int64_t now_ms,
                        struct grant *grant_r) {
    struct slice token;
    *grant_r = (struct grant){.config = config};
    if (config->auth_keys.count > 0 && find_token(request, config, &token)) {
        (void)grant_from_token(token, config, now_ms, grant_r); // told where one is needed
    }
}

void grant_release(struct grant *grant) {
    jwt_claims_destroy(&grant->claims);
}

void grant_end(struct grant *grant) {
    jwt_claims_destroy(&grant->claims);
    grant->is_token_bad = true;
}

// ---- What they permit ---------------------------------------------------------------------------

// Nobody is told who else is there without a token that says so.
static bool is_open_to_all(const struct config *config, enum jwt_right right,
                           struct slice channel) {
    return (right == JWT_SUBSCRIBE && config_list_matches(&config->anonymous, channel)) ||
           (right == JWT_PUBLISH && config_list_matches(&config->anonymous_publish, channel));
}

bool grant_allows(const struct grant *grant, enum jwt_right right, struct slice channel) {
    return is_open_to_all(grant->config, right, channel) ||
           (grant->claims != NULL && config_list_matches(&grant->claims->patterns[right], channel));
}

bool grant_is_public(const struct grant *grant, struct slice channel) {
    return is_open_to_all(grant->config, JWT_SUBSCRIBE, channel);
}

void grant_problem_bad_token(struct grant_problem *problem_r) {
    *problem_r = (struct grant_problem){401, "token", "the token is not accepted; get a new one"};
}

// No token can help on a node that has no key.
static void explain_closed(enum jwt_right right, struct slice channel,
                           struct grant_problem *problem_r) {
    static const char *const options[] = {
        [JWT_SUBSCRIBE] = "--anonymous", [JWT_PUBLISH] = "--anonymous-publish"};
    problem_r->status = 403;
    problem_r->code = "forbidden";
    if (right == JWT_PRESENCE) {
        snprintf(problem_r->detail, sizeof(problem_r->detail),
                 "presence needs a token, and this node has no --auth-key to read one: channel "
                 "%.*s",
                 SLICE_ARGS(channel));
    } else {
        snprintf(problem_r->detail, sizeof(problem_r->detail),
                 "no %s pattern of this node matches, and it has no --auth-key to read tokens: "
                 "channel %.*s",
                 options[right], SLICE_ARGS(channel));
    }
}

int grant_check(const struct grant *grant, enum jwt_right right, struct slice channel,
                struct grant_problem *problem_r) {
    const char *name = jwt_right_name(right);
    if (grant_allows(grant, right, channel)) {
        return 0;
    }
    if (grant->is_token_bad) {
        grant_problem_bad_token(problem_r);
    } else if (grant->config->auth_keys.count == 0) {
        explain_closed(right, channel, problem_r);
    } else if (grant->claims == NULL) {
        *problem_r = (struct grant_problem){401, "token", ""};
        snprintf(problem_r->detail, sizeof(problem_r->detail),
                 "a token is needed whose \"%s\" has a pattern for channel %.*s", name,
                 SLICE_ARGS(channel));
    } else {
        *problem_r = (struct grant_problem){403, "forbidden", ""};
        snprintf(problem_r->detail, sizeof(problem_r->detail),
                 "the token's \"%s\" has no pattern for channel %.*s", name, SLICE_ARGS(channel));
    }
    return UV_EACCES;
}

int64_t grant_ends_ms(const struct grant *grant) {
    return grant->claims == NULL ? INT64_MAX : grant->claims->ends_ms;
}

struct slice grant_subject(const struct grant *grant) {
    return grant->claims == NULL ? SLICE_NONE : slice_of(grant->claims->subject);
}
