// Refusals.
#include "node/transport/refusal.h"

#include "cluster/base/clock.h"
#include "cluster/base/error.h"

void refusal_answer(struct exchange *exchange, const struct service *service,
                    const struct open_problem *problem) {
    enum refuse_reason reason = problem->status == 403 ? REFUSE_FORBIDDEN : REFUSE_BAD_REQUEST;
    metrics_add(&service->metrics->refused[reason], 1);
    exchange_field(exchange, "Cache-Control", SLICE("no-store"));
    exchange_problem(exchange, problem->status, problem->code, "%s", problem->detail);
}

const char *refusal_count(const struct service *service, int error) {
    bool is_overload = error == E_OVERLOADED;
    metrics_add(&service->metrics->refused[is_overload ? REFUSE_JOINS : REFUSE_UNAVAILABLE], 1);
    return is_overload ? "overloaded" : "unavailable";
}

static void prepare(struct exchange *exchange) {
    exchange_field(exchange, "Cache-Control", SLICE("no-store"));
    exchange_field(exchange, "Retry-After", SLICE("1"));
}

void refusal_answer_busy(struct exchange *exchange, const struct service *service, int error) {
    const char *code = refusal_count(service, error);
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
