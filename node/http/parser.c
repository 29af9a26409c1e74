// The head is first cut out, byte by byte, by a scanner that knows lines and nothing else; only a
// whole head is given to llhttp, in one piece, and then checked. Bodies are read by hand.
//
//   START ─CR─> BLANK_LF ─> BLANK      an empty line before the request
//   START, BLANK ─> LINE ─CR─> LINE_LF ─> LINE_START ─> LINE      one round per line
//   LINE_START ─CR─> END_LF ─LF─> HEAD ─ take_head ─> BODY, CHUNKS or DONE
//   any ─ an http_failure ─> FAILED
#include "node/http/parser.h"

#include "cluster/base/bytes.h"
#include "cluster/base/check.h"
#include "cluster/base/mem.h"
#include "node/http/chunked.h"
#include "node/http/head.h"
#include "node/http/syntax.h"

enum { MAGIC = 0x70617273, METHOD_BYTES_MAX = 32, HEAD_BYTES_FIRST = 1024 };

enum parser_state {
    STATE_START,
    STATE_BLANK_LF,
    STATE_BLANK,
    STATE_LINE,
    STATE_LINE_LF,
    STATE_LINE_START,
    STATE_END_LF,
    STATE_HEAD, // whole, not yet read
    STATE_BODY,
    STATE_CHUNKS,
    STATE_DONE,
    STATE_FAILED,
};

struct parser {
    uint32_t magic;
    enum parser_state state;
    struct parser_limits limits;
    struct http_failure failure;
    bool has_method; // the first space has come
    bool has_line;   // the request line is whole
    bool has_head;   // the request is known but for its body
    bool wants_continue;
    uint64_t body_left; // of a body with Content-Length
    struct chunked chunked;
    struct bytes head; // owned
    struct bytes body; // owned; its length is charged to the budget
    struct request request;
};

static const struct http_failure BAD_LINE_END = {
    400, "bad-request", "Lines end with CR LF, and hold no other control characters."};
static const struct http_failure BAD_FOLD = {400, "bad-request",
                                             "A header line must not begin with white space."};
static const struct http_failure BAD_CHUNK = {400, "bad-request", "The chunked body is malformed."};
static const struct http_failure LONG_TARGET = {
    431, "head-too-large", "The request target is too long; POST takes more channels."};
static const struct http_failure LONG_HEAD = {431, "head-too-large",
                                              "The request's head is too large."};
static const struct http_failure LONG_BODY = {413, "too-large", "The request's body is too large."};
static const struct http_failure NO_BUDGET = {
    503, "overloaded", "Too many request bodies are held at the moment. Try again."};

struct parser *parser_create(const struct parser_limits *limits) {
    struct parser *parser = mem_alloc(sizeof(*parser));
    parser->magic = MAGIC;
    parser->limits = *limits;
    return parser;
}

void parser_destroy(struct parser **parser) {
    struct parser *mine = *parser;
    *parser = NULL;
    CHECK_OBJ(mine, MAGIC);
    *mine->limits.body_budget += mine->body.len;
    bytes_release(&mine->head);
    bytes_release(&mine->body);
    mine->magic = 0;
    mem_free(mine);
}

// What is not HTTP at all is found at its first byte, not at the end of its first "line".
static bool is_fine_in_method(struct parser *parser, char c) {
    if (parser->has_method) {
        return true;
    }
    parser->has_method = c == ' ';
    return parser->head.len < METHOD_BYTES_MAX &&
           (parser->has_method ? parser->head.len > 0 : syntax_is_token_char(c));
}

static bool is_control(char c) {
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

static const struct http_failure *scan_text(struct parser *parser, char c) {
    parser->state = STATE_LINE;
    if (is_control(c)) {
        return parser->head.len == 0 ? &HEAD_BAD_LINE : &BAD_LINE_END;
    }
    return is_fine_in_method(parser, c) ? NULL : &HEAD_BAD_LINE;
}

static const struct http_failure *scan_lf(struct parser *parser, char c, enum parser_state next) {
    parser->state = next;
    return c == '\n' ? NULL : &BAD_LINE_END;
}

// The scanner's step. NULL, or what is wrong with c where it comes.
static const struct http_failure *scan(struct parser *parser, char c) {
    switch (parser->state) {
    case STATE_BLANK_LF:
        return scan_lf(parser, c, STATE_BLANK);
    case STATE_LINE_LF:
        return scan_lf(parser, c, STATE_LINE_START);
    case STATE_END_LF:
        return scan_lf(parser, c, STATE_HEAD);
    case STATE_LINE_START:
        if (c == ' ' || c == '\t') {
            return &BAD_FOLD;
        }
        break;
    default:
        break;
    }
    bool is_between = parser->state == STATE_START || parser->state == STATE_LINE_START;
    if (c == '\r' && (is_between || parser->state == STATE_LINE)) {
        parser->state = parser->state == STATE_START        ? STATE_BLANK_LF
                        : parser->state == STATE_LINE_START ? STATE_END_LF
                                                            : STATE_LINE_LF;
        return NULL;
    }
    return scan_text(parser, c);
}

static const struct http_failure *take_head(struct parser *parser) {
    const struct http_failure *failure = head_take(&parser->request, bytes_slice(&parser->head));
    if (failure != NULL) {
        return failure;
    }
    parser->has_head = true;
    struct head_framing framing;
    failure = head_take_framing(&parser->request, &framing);
    if (failure == NULL && framing.length > parser->limits.body_bytes) {
        failure = &LONG_BODY;
    }
    parser->body_left = framing.length;
    parser->wants_continue = framing.wants_continue;
    parser->state = framing.is_chunked   ? STATE_CHUNKS
                    : framing.length > 0 ? STATE_BODY
                                         : STATE_DONE;
    return failure;
}

// One byte of the head; what it completes is read at once.
static const struct http_failure *feed_head_byte(struct parser *parser, char c) {
    if (parser->head.len == parser->limits.head_bytes) {
        return parser->has_line ? &LONG_HEAD : &LONG_TARGET;
    }
    const struct http_failure *failure = scan(parser, c);
    if (failure != NULL || !parser_has_begun(parser)) {
        return failure;
    }
    bytes_append_char(&parser->head, c);
    if (parser->state == STATE_LINE_START && !parser->has_line) {
        parser->has_line = true;
        return head_take_line(&parser->request,
                              slice_make(parser->head.data, parser->head.len - 2));
    }
    return parser->state == STATE_HEAD ? take_head(parser) : NULL;
}

static const struct http_failure *keep_body(struct parser *parser, struct slice data) {
    if (data.len > parser->limits.body_bytes - parser->body.len) {
        return &LONG_BODY;
    }
    if (data.len > *parser->limits.body_budget) {
        return &NO_BUDGET;
    }
    *parser->limits.body_budget -= data.len;
    bytes_append(&parser->body, data);
    return NULL;
}

static const struct http_failure *feed_body(struct parser *parser, struct slice *input) {
    size_t len = input->len < parser->body_left ? input->len : (size_t)parser->body_left;
    const struct http_failure *failure = keep_body(parser, slice_make(input->data, len));
    *input = slice_from(*input, len);
    parser->body_left -= len;
    if (parser->body_left == 0) {
        parser->state = STATE_DONE;
    }
    return failure;
}

static const struct http_failure *feed_chunks(struct parser *parser, struct slice *input) {
    struct slice data;
    if (chunked_feed(&parser->chunked, input, &data) != 0) {
        return &BAD_CHUNK;
    }
    if (parser->chunked.state == CHUNKED_END) {
        parser->state = STATE_DONE;
    }
    // A chunk that is too large is refused at its size line, however much of it came with that.
    uint64_t to_come = parser->chunked.state == CHUNKED_DATA ? parser->chunked.left : 0;
    bool is_long = data.len + to_come > parser->limits.body_bytes - parser->body.len;
    return is_long ? &LONG_BODY : keep_body(parser, data);
}

enum parser_result parser_feed(struct parser *parser, struct slice *input) {
    CHECK_OBJ(parser, MAGIC);
    const struct http_failure *failure = NULL;
    if (parser->head.cap == 0) {
        bytes_reserve(&parser->head, input->len < HEAD_BYTES_FIRST ? input->len : HEAD_BYTES_FIRST);
    }
    while (failure == NULL && input->len > 0 && parser->state < STATE_DONE) {
        if (parser->state == STATE_BODY) {
            failure = feed_body(parser, input);
        } else if (parser->state == STATE_CHUNKS) {
            failure = feed_chunks(parser, input);
        } else {
            failure = feed_head_byte(parser, input->data[0]);
            *input = slice_from(*input, 1);
        }
    }
    if (failure != NULL) {
        parser->state = STATE_FAILED;
        parser->failure = *failure;
    }
    parser->request.body = bytes_slice(&parser->body);
    return parser->state == STATE_DONE     ? PARSER_DONE
           : parser->state == STATE_FAILED ? PARSER_FAILED
                                           : PARSER_MORE;
}

const struct request *parser_request(const struct parser *parser) {
    CHECK_OBJ(parser, MAGIC);
    CHECK(parser->has_head);
    return &parser->request;
}

const struct http_failure *parser_failure(const struct parser *parser) {
    CHECK_OBJ(parser, MAGIC);
    CHECK(parser->state == STATE_FAILED);
    return &parser->failure;
}

bool parser_has_begun(const struct parser *parser) {
    return parser->state > STATE_BLANK;
}

bool parser_has_head(const struct parser *parser) {
    return parser->has_head;
}

size_t parser_body_bytes(const struct parser *parser) {
    return parser->body.len;
}

bool parser_take_continue(struct parser *parser) {
    bool wants = parser->wants_continue && parser->body.len == 0;
    parser->wants_continue = false;
    return wants;
}
