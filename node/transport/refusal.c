// Refusals.
#include "node/transport/refusal.h"

#include "cluster/base/clock.h"
#include "cluster/base/error.h"

#include <string.h>

void refusal_answer(struct exchange *exchange, const struct service *service,
                    const struct open_problem *problem) {
    enum refuse_reason reason = problem->status == 401   ? REFUSE_TOKEN
                                : problem->status == 403 ? REFUSE_FORBIDDEN
                                                         : REFUSE_BAD_REQUEST;
    metrics_add(&service->metrics->refused[reason], 1);
    exchange_field(exchange, "Cache-Control", SLICE("no-store"));
    if (problem->status == 401) {
        exchange_field(exchange, "WWW-Authenticate", SLICE("Bearer"));
    }
    exchange_problem(exchange, problem->status, problem->code, "%s", problem->detail);
}

void refusal_answer_ended(struct exchange *exchange, const struct service *service) {
    struct grant_problem why;
    grant_problem_bad_token(&why);
    struct open_problem problem = {.status = why.status, .code = why.code};
    memcpy(problem.detail, why.detail, sizeof(why.detail));
    refusal_answer(exchange, service, &problem);
}

bool hold_or_turn_away(struct exchange *exchange, const struct grant *grant) {
    enum refuse_reason why;
    if (exchange_hold(exchange, grant_subject(grant), &why)) {
        return true;
    }
    exchange_turn_away(exchange, why);
    return false;
}

static bool is_held(enum open_use use, const struct open_request *open) {
    return use == OPEN_SSE || use == OPEN_STREAM ||
           (use == OPEN_POLL && (open->wait_ms > 0 || open->has_min));
}

bool open_or_refuse(struct exchange *exchange, const struct service *service, enum open_use use,
                    struct open_request *open_r) {
    const struct request *request = exchange_request(exchange);
    struct grant grant;
    struct open_problem problem;
    grant_from_request(request, service->config, hub_wall_ms(service->hub), &grant);
    bool is_open = open_request_read(open_r, request, use, &grant, &problem) == 0;
    if (!is_open) {
        refusal_answer(exchange, service, &problem);
    } else if (is_held(use, open_r)) {
        is_open = hold_or_turn_away(exchange, &grant);
    }
    grant_release(&grant);
    if (!is_open) {
        open_request_release(open_r);
    }
    return is_open;
}

const char *refusal_count(const struct service *service, int error) {
    bool is_overload = error == E_OVERLOADED;
    metrics_add(&service->metrics->refused[is_overload ? REFUSE_JOINS : REFUSE_UNAVAILABLE], 1);
    return is_overload ? "overloaded" : error == E_RIGHTS ? "rights" : "unavailable";
}

static void prepare(struct exchange *exchange) {
    exchange_field(exchange, "Cache-Control", SLICE("no-store"));
    exchange_field(exchange, "Retry-After", SLICE("1"));
}

void refusal_answer_busy(struct exchange *exchange, const struct service *service, int error) {
    const char *code = refusal_count(service, error);
    if (error == E_RIGHTS) { // a moment will not help
        exchange_field(exchange, "Cache-Control", SLICE("no-store"));
        exchange_problem(exchange, 500, code, "%s", error_text(error));
        return;
    }
    prepare(exchange);
    exchange_problem(exchange, 503, code, "%s; try again in a moment", error_text(error));
}

void refusal_answer_behind(struct exchange *exchange, const struct service *service) {
    metrics_add(&service->metrics->refused[REFUSE_BEHIND], 1);
    prepare(exchange);
    exchange_problem(exchange, 503, "behind", "the channel's head is still below min");
}

uint64_t retry_delay_ms(const struct config *config) {
    uint64_t third = config->retry_ms / 3;
    return config->retry_ms - third + clock_random(2 * third + 1);
}

uint64_t drain_delay_ms(const struct config *config) {
    return 1 + clock_random(config->drain_window_ms);
}
