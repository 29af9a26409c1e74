// What a WebSocket's client may do, asked anew with each command: its token may be exchanged for
// another while it is connected, and ends.
#include "node/transport/refusal.h"
#include "node/transport/websocket.h"

bool websocket_check_right(struct websocket *websocket, const struct ws_command *command,
                           enum jwt_right right) {
    struct grant_problem problem;
    if (grant_check(&websocket->grant, right, command->channel, &problem) < 0) {
        websocket_refuse(websocket, command,
                         problem.status == 401 ? REFUSE_TOKEN : REFUSE_FORBIDDEN, problem.code,
                         problem.detail);
        return false;
    }
    return true;
}

// It cannot stay as what it was: then everybody would connect first and show a token later.
static void refuse_user(struct websocket *websocket, const struct ws_command *command) {
    websocket_answer_error(websocket, command->ref, SLICE_NONE, "too-many",
                           "this user has as many connections as it may", true);
    websocket_bye(websocket, WS_CLOSE_TOO_MANY, "too-many",
                  retry_delay_ms(websocket->service->config), CLOSE_TOO_MANY);
}

bool websocket_show_token(struct websocket *websocket, const struct ws_command *command) {
    const struct service *service = websocket->service;
    struct grant grant;
    if (grant_from_token(command->token, service->config, hub_wall_ms(service->hub), &grant) < 0) {
        struct grant_problem problem;
        grant_problem_bad_token(&problem);
        websocket_refuse(websocket, command, REFUSE_TOKEN, problem.code, problem.detail);
        return false;
    }
    if (!exchange_hold_for(websocket->exchange, grant_subject(&grant))) {
        grant_release(&grant);
        refuse_user(websocket, command);
        return false;
    }
    grant_release(&websocket->grant);
    websocket->grant = grant;
    websocket_start_tick(websocket);
    return true;
}

void websocket_check_channels(struct websocket *websocket) {
    LIST_FOREACH(node, &websocket->channels) {
        struct ws_channel *channel = LIST_ENTRY(node, struct ws_channel, node);
        struct slice name = subscriber_channel(&channel->subscriber);
        struct grant_problem problem;
        if (grant_check(&websocket->grant, JWT_SUBSCRIBE, name, &problem) < 0) {
            websocket_answer_error(websocket, bytes_slice(&channel->ref), name, problem.code,
                                   problem.detail, false);
            websocket_remove_channel(channel);
        }
    }
}

int64_t websocket_granted_ms(const struct websocket *websocket) {
    return grant_ends_ms(&websocket->grant) - hub_wall_ms(websocket->service->hub);
}

static bool needs_grant(struct websocket *websocket) {
    LIST_FOREACH(node, &websocket->channels) {
        const struct ws_channel *channel = LIST_ENTRY(node, struct ws_channel, node);
        if (!grant_is_public(&websocket->grant, subscriber_channel(&channel->subscriber))) {
            return true;
        }
    }
    return false;
}

bool websocket_outlive_grant(struct websocket *websocket) {
    if (needs_grant(websocket)) {
        websocket_bye(websocket, WS_CLOSE_TOKEN, "token",
                      retry_delay_ms(websocket->service->config), CLOSE_TOKEN);
        return false;
    }
    grant_end(&websocket->grant);
    (void)exchange_hold_for(websocket->exchange, SLICE_NONE); // there is always room for nobody
    return true;
}
