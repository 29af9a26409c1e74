// Turning requests away: the answer and its counter.
#ifndef FRESHET_NODE_TRANSPORT_REFUSAL_H
#define FRESHET_NODE_TRANSPORT_REFUSAL_H

#include "node/http/exchange.h"
#include "node/transport/open_request.h"
#include "node/transport/transport.h"

#include <stdbool.h>
#include <stdint.h>

// Reads what the client asks for, by what its token and --anonymous permit, and counts what lasts
// among what the client holds: streams, and polls that wait. False: it was refused and answered, and
// there is nothing to release.
bool open_or_refuse(struct exchange *exchange, const struct service *service, enum open_use use,
                    struct open_request *open_r);

// Counts the exchange among what the client holds. False: that is enough, and it was told so.
bool hold_or_turn_away(struct exchange *exchange, const struct grant *grant);

// The request itself is wrong: 400, 401 or 403.
void refusal_answer(struct exchange *exchange, const struct service *service,
                    const struct open_problem *problem);

// The token has ended meanwhile: 401.
void refusal_answer_ended(struct exchange *exchange, const struct service *service);

// What a hub's on_refused said: counts it, and names it for clients.
const char *refusal_count(const struct service *service, int error);

// 503 with Retry-After, for that error; 500 for a right that is missing.
void refusal_answer_busy(struct exchange *exchange, const struct service *service, int error);

// 503 `behind`: `min` was not reached.
void refusal_answer_behind(struct exchange *exchange, const struct service *service);

// When a client that is told to come back should: `retry` give or take a third, its own draw, so
// that clients that were turned away together do not come back together.
uint64_t retry_delay_ms(const struct config *config);

// The same for a drain: anywhere in the drain window.
uint64_t drain_delay_ms(const struct config *config);

#endif
