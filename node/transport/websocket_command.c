// What a client asks for on a WebSocket. Each command is answered, by `ok` or by `error`, with its
// ref if it had one.
//
// Error codes, and whether to try again:
//   json, msgpack        not a command's language                                        no
//   bad-request          a command that cannot be understood                             no
//   unsupported          a command that this node does not know how to do                no
//   token                a token is needed (auth), or a new one                          no
//   forbidden            the token lacks the right, or there is no token that could help no
//   subscribed           this connection has subscribed to the channel already           no
//   not-subscribed       unsubscribe: nothing to end. subscribe: ended before it began   no
//   too-many-channels    as many as a connection may have                                no
//   too-large            the data is larger than 1 MiB                                   no
//   conflict             publish: `if` named another head, which `head` tells            no
//   rights               Redis does not let the node publish here                        no
//   too-many             auth: its user has as many connections as it may; a close follows yes
//   unavailable          Redis is away, nothing was done                                 yes
//   overloaded           too many of these at the moment                                 yes
//   unknown              publish: sent and not answered; repeat it with the same `once`  yes
#include "node/transport/websocket.h"

// ---- Answers ------------------------------------------------------------------------------------

void websocket_answer_error(struct websocket *websocket, struct slice ref, struct slice channel,
                            const char *code, const char *message, bool is_worth_retry) {
    struct bytes bytes = {0};
    struct object object = object_begin(&bytes, websocket_language(websocket));
    if (ref.len > 0) {
        object_raw(&object, "ref", ref);
    }
    object_text(&object, "type", SLICE("error"));
    if (channel.len > 0) {
        object_text(&object, "channel", channel);
    }
    object_text(&object, "code", slice_of(code));
    object_text(&object, "message", slice_of(message));
    object_bool(&object, "retry", is_worth_retry);
    object_end(&object);
    websocket_send_object(websocket, &bytes);
}

void websocket_refuse(struct websocket *websocket, const struct ws_command *command,
                      enum refuse_reason counted, const char *code, const char *message) {
    metrics_add(&websocket->service->metrics->refused[counted], 1);
    websocket_answer_error(websocket, command->ref, command->channel, code, message, false);
}

static void answer_ok(struct websocket *websocket, struct ws_command *command) {
    struct bytes bytes = {0};
    struct object object = object_begin(&bytes, websocket_language(websocket));
    if (command->ref.len > 0) {
        object_raw(&object, "ref", command->ref);
    }
    object_text(&object, "type", SLICE("ok"));
    if (command->channel.len > 0) {
        object_text(&object, "channel", command->channel);
    }
    object_end(&object);
    websocket_send_object(websocket, &bytes);
}

// ---- Commands -----------------------------------------------------------------------------------

static void subscribe(struct websocket *websocket, struct ws_command *command) {
    const struct config *config = websocket->service->config;
    if (!websocket_check_right(websocket, command, JWT_SUBSCRIBE)) {
        return;
    }
    if (websocket_find_channel(websocket, command->channel) != NULL) {
        websocket_refuse(websocket, command, REFUSE_BAD_REQUEST, "subscribed",
                         "this connection reads the channel already");
    } else if (websocket->channel_count >= config->channels_per_connection) {
        websocket_refuse(websocket, command, REFUSE_BAD_REQUEST, "too-many-channels",
                         "this connection reads as many channels as it may");
    } else {
        uint64_t max = config->page_messages;
        bool is_rewind = command->since.kind == CURSOR_HEAD && command->rewind > 0;
        struct subscriber_start start = {
            .kind = is_rewind ? CURSOR_REWIND : command->since.kind,
            .since = command->since.position,
            .rewind = (uint32_t)(command->rewind < max ? command->rewind : max),
            .is_patient = true,
        };
        websocket_add_channel(websocket, command->channel, command->ref, &start);
    }
}

static void unsubscribe(struct websocket *websocket, struct ws_command *command) {
    struct ws_channel *channel = websocket_find_channel(websocket, command->channel);
    if (channel == NULL) {
        websocket_refuse(websocket, command, REFUSE_BAD_REQUEST, "not-subscribed",
                         "this connection does not read the channel");
        return;
    }
    if (!channel->is_told) {
        websocket_answer_error(websocket, bytes_slice(&channel->ref), command->channel,
                               "not-subscribed", "unsubscribed before it began", false);
    }
    websocket_remove_channel(channel);
    answer_ok(websocket, command);
}

static void publish(struct websocket *websocket, struct ws_command *command) {
    if (websocket_check_right(websocket, command, JWT_PUBLISH)) {
        websocket_publish(websocket, command);
    }
}

static void history(struct websocket *websocket, struct ws_command *command) {
    if (websocket_check_right(websocket, command, JWT_SUBSCRIBE)) {
        websocket_history(websocket, command);
    }
}

// One that is not accepted changes nothing: what was shown before holds until its end.
static void auth(struct websocket *websocket, struct ws_command *command) {
    if (websocket_show_token(websocket, command)) {
        answer_ok(websocket, command);
        websocket_check_channels(websocket);
    }
}

static void refuse_unsupported(struct websocket *websocket, struct ws_command *command) {
    websocket_refuse(websocket, command, REFUSE_BAD_REQUEST, "unsupported",
                     "this node does not know how to do that");
}

void websocket_command(struct websocket *websocket, struct slice payload) {
    static void (*const handlers[WS_COMMANDS])(struct websocket *, struct ws_command *) = {
        [WS_SUBSCRIBE] = subscribe,    [WS_UNSUBSCRIBE] = unsubscribe,     [WS_PUBLISH] = publish,
        [WS_HISTORY] = history,        [WS_PRESENCE] = refuse_unsupported, [WS_AUTH] = auth,
        [WS_PING_COMMAND] = answer_ok,
    };
    struct ws_command command;
    struct ws_fault fault;
    if (ws_command_read(payload, websocket->protocol, &command, &fault) < 0) {
        metrics_add(&websocket->service->metrics->refused[REFUSE_BAD_REQUEST], 1);
        websocket_answer_error(websocket, command.ref, SLICE_NONE, fault.code, fault.message,
                               false);
    } else {
        handlers[command.type](websocket, &command);
    }
    ws_command_release(&command);
}
