// Who is no WebSocket client, or speaks another version, is refused before anything is allocated.
// Extensions are declined by not naming them in the answer (RFC 6455, section 9.1).
#include "node/transport/ws_handshake.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <uv.h>

#include "cluster/base/base64.h"
#include "cluster/base/check.h"
#include "node/http/syntax.h"

enum { KEY_BYTES = 16, SHA1_BYTES = 20 };

static const char *const protocol_names[] = {
    [WS_RAW] = "",
    [WS_JSON] = "freshet.v1",
    [WS_MSGPACK] = "freshet.v1.msgpack",
};

struct slice ws_protocol_name(enum ws_protocol protocol) {
    return slice_of(protocol_names[protocol]);
}

static int refuse(struct open_problem *problem, int status, const char *code, const char *detail) {
    problem->status = status;
    problem->code = code;
    snprintf(problem->detail, sizeof(problem->detail), "%s", detail);
    return UV_EINVAL;
}

// Whether one of the fields of that name lists the token.
static bool has_token(const struct request *request, struct slice name, struct slice token) {
    struct slice value;
    for (size_t at = 0; request_field_next(request, name, &at, &value);) {
        if (syntax_list_has(value, token)) {
            return true;
        }
    }
    return false;
}

// The only field of that name.
static bool single_field(const struct request *request, struct slice name, struct slice *value_r) {
    struct slice second;
    size_t at = 0;
    return request_field_next(request, name, &at, value_r) &&
           !request_field_next(request, name, &at, &second);
}

static bool is_key(struct slice key) {
    struct bytes nonce = {0};
    bool is_whole = base64_decode(&nonce, key) == 0 && nonce.len == KEY_BYTES;
    bytes_release(&nonce);
    return is_whole;
}

// The first that we know, in the client's order of preference (section 4.2.2).
static int choose_protocol(const struct request *request, enum ws_protocol *protocol_r) {
    bool is_offered = false;
    struct slice list;
    for (size_t at = 0; request_field_next(request, SLICE("Sec-WebSocket-Protocol"), &at, &list);) {
        is_offered = true;
        while (list.data != NULL) {
            struct slice name = slice_trim(slice_cut(&list, ','));
            for (enum ws_protocol known = WS_JSON; known <= WS_MSGPACK; known++) {
                if (slice_equal(name, ws_protocol_name(known))) {
                    *protocol_r = known;
                    return 0;
                }
            }
        }
    }
    *protocol_r = WS_RAW;
    return is_offered ? UV_EINVAL : 0;
}

int ws_handshake_read(const struct request *request, enum ws_protocol *protocol_r,
                      struct open_problem *problem_r) {
    struct slice version;
    struct slice key;
    if (request->method != HTTP_METHOD_GET || request->http_minor != 1) {
        return refuse(problem_r, 400, "handshake", "a WebSocket is opened by GET with HTTP/1.1");
    }
    if (!has_token(request, SLICE("Upgrade"), SLICE("websocket")) ||
        !has_token(request, SLICE("Connection"), SLICE("Upgrade"))) {
        return refuse(problem_r, 426, "upgrade-required",
                      "this path is for WebSocket clients; /sse, /stream and /poll need none");
    }
    if (!single_field(request, SLICE("Sec-WebSocket-Version"), &version) ||
        !slice_equal(version, SLICE("13"))) {
        return refuse(problem_r, 426, "upgrade-required",
                      "the version of the WebSocket protocol spoken here is 13");
    }
    if (!single_field(request, SLICE("Sec-WebSocket-Key"), &key) || !is_key(key)) {
        return refuse(problem_r, 400, "handshake",
                      "exactly one Sec-WebSocket-Key of 16 bytes in base64 is needed");
    }
    if (choose_protocol(request, protocol_r) < 0) {
        return refuse(problem_r, 400, "subprotocol",
                      "the subprotocols spoken here are freshet.v1 and freshet.v1.msgpack; offer "
                      "none for raw payloads");
    }
    return 0;
}

// Section 4.2.2, step 5.4.
void ws_handshake_accept(const struct request *request, char accept_r[static WS_ACCEPT_BYTES]) {
    struct slice key;
    CHECK(single_field(request, SLICE("Sec-WebSocket-Key"), &key));
    struct bytes text = {0};
    bytes_append(&text, key);
    bytes_append(&text, SLICE("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    CHECK(EVP_Digest(text.data, text.len, digest, &len, EVP_sha1(), NULL) == 1);
    CHECK(len == SHA1_BYTES);
    bytes_clear(&text);
    base64_append(&text, slice_make(digest, len));
    CHECK(text.len == WS_ACCEPT_BYTES);
    memcpy(accept_r, text.data, WS_ACCEPT_BYTES);
    bytes_release(&text);
}
