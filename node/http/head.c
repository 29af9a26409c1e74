// llhttp is run once over the whole head, so that its spans lie where the head lies.
#include "node/http/head.h"

#include <llhttp.h>
#include <string.h>

#include "node/http/syntax.h"

struct run {
    struct request *request;
    bool is_past_name; // of the last field
    bool has_many_fields;
};

const struct http_failure HEAD_BAD_LINE = {400, "bad-request",
                                           "The request line must read: METHOD target HTTP/1.1"};
static const struct http_failure BAD_VERSION = {505, "version",
                                                "Only HTTP/1.0 and HTTP/1.1 are spoken here."};
static const struct http_failure BAD_METHOD = {501, "method", "This method is not known here."};
static const struct http_failure BAD_TARGET = {400, "bad-request",
                                               "The request target is not a valid URL."};
static const struct http_failure BAD_FIELD = {400, "bad-request", "A header field is malformed."};
static const struct http_failure BAD_HOST = {400, "bad-request",
                                             "Exactly one valid Host field is required."};
static const struct http_failure BAD_LENGTH = {
    400, "bad-request", "Content-Length must be one number, and no Transfer-Encoding beside it."};
static const struct http_failure BAD_CODING = {
    400, "bad-request", "Transfer-Encoding may only be `chunked`, once, and on HTTP/1.1."};
static const struct http_failure BAD_EXPECT = {417, "expectation",
                                               "The only expectation known here is 100-continue."};
static const struct http_failure MANY_FIELDS = {431, "head-too-large",
                                                "The request has more than 64 header fields."};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

const struct http_failure *head_take_line(struct request *request, struct slice line) {
    struct slice version = line;
    struct slice method = slice_cut(&version, ' ');
    struct slice target = slice_cut(&version, ' ');
    if (!syntax_is_token(method) || target.len == 0 || version.len != 8 ||
        !slice_starts_with(version, SLICE("HTTP/")) || version.data[6] != '.') {
        return &HEAD_BAD_LINE;
    }
    if (version.data[5] != '1' || (version.data[7] != '0' && version.data[7] != '1')) {
        return is_digit(version.data[5]) && is_digit(version.data[7]) ? &BAD_VERSION
                                                                      : &HEAD_BAD_LINE;
    }
    request->http_minor = (uint8_t)(version.data[7] - '0');
    request->method = slice_equal(method, SLICE("GET"))       ? HTTP_METHOD_GET
                      : slice_equal(method, SLICE("HEAD"))    ? HTTP_METHOD_HEAD
                      : slice_equal(method, SLICE("POST"))    ? HTTP_METHOD_POST
                      : slice_equal(method, SLICE("OPTIONS")) ? HTTP_METHOD_OPTIONS
                                                              : HTTP_METHOD_OTHER;
    return NULL;
}

static int on_target(llhttp_t *llhttp, const char *at, size_t len) {
    // llhttp may give a span in pieces, which lie one behind the other.
    struct request *request = ((struct run *)llhttp->data)->request;
    request->path =
        slice_make(request->path.len > 0 ? request->path.data : at, request->path.len + len);
    return 0;
}

static int on_field_name(llhttp_t *llhttp, const char *at, size_t len) {
    struct run *run = llhttp->data;
    struct request *request = run->request;
    if (run->is_past_name || request->field_count == 0) {
        if (request->field_count == REQUEST_FIELDS_MAX) {
            run->has_many_fields = true;
            return -1;
        }
        request->fields[request->field_count++].name = slice_make(at, 0);
        run->is_past_name = false;
    }
    request->fields[request->field_count - 1].name.len += len;
    return 0;
}

static int on_field_value(llhttp_t *llhttp, const char *at, size_t len) {
    struct run *run = llhttp->data;
    struct slice *value = &run->request->fields[run->request->field_count - 1].value;
    *value = slice_make(value->len > 0 ? value->data : at, value->len + len);
    run->is_past_name = true;
    return 0;
}

// A field without a value need not have called on_field_value.
static int on_field_end(llhttp_t *llhttp) {
    ((struct run *)llhttp->data)->is_past_name = true;
    return 0;
}

static int on_head_end(llhttp_t *llhttp) {
    (void)llhttp;
    return HPE_PAUSED; // for good: bodies are not llhttp's business
}

static const struct http_failure *run_llhttp(struct request *request, struct slice head) {
    static const llhttp_settings_t SETTINGS = {
        .on_url = on_target,
        .on_header_field = on_field_name,
        .on_header_value = on_field_value,
        .on_header_value_complete = on_field_end,
        .on_headers_complete = on_head_end,
    };
    llhttp_t llhttp;
    llhttp_init(&llhttp, HTTP_REQUEST, &SETTINGS);
    struct run run = {.request = request};
    llhttp.data = &run;
    switch (llhttp_execute(&llhttp, head.data, head.len)) {
    case HPE_PAUSED:
        return NULL;
    case HPE_INVALID_METHOD:
        return &BAD_METHOD;
    case HPE_INVALID_URL:
        return &BAD_TARGET;
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return &BAD_LENGTH;
    case HPE_INVALID_TRANSFER_ENCODING:
        return &BAD_CODING;
    default:
        return run.has_many_fields ? &MANY_FIELDS : &BAD_FIELD;
    }
}

// Splits the target, which on_target left in `path` (RFC 9112, section 3.2).
static const struct http_failure *take_target(struct request *request) {
    struct slice target = request->path;
    if (target.len == 0) {
        return &BAD_TARGET;
    }
    for (size_t i = 0; i < target.len; i++) {
        if (target.data[i] <= ' ' || target.data[i] > '~' || target.data[i] == '#') {
            return &BAD_TARGET;
        }
    }
    const char *scheme = memmem(target.data, target.len, "://", 3);
    if (target.data[0] != '/' && scheme != NULL) {
        target = slice_from(target, (size_t)(scheme - target.data) + 3);
        size_t len = 0;
        while (len < target.len && target.data[len] != '/' && target.data[len] != '?') {
            len++;
        }
        if (!syntax_is_host(slice_make(target.data, len))) {
            return &BAD_TARGET;
        }
        target = slice_from(target, len);
    } else if (target.data[0] != '/' && request->method != HTTP_METHOD_OTHER &&
               !(request->method == HTTP_METHOD_OPTIONS && slice_equal(target, SLICE("*")))) {
        return &BAD_TARGET;
    }
    request->query = target;
    request->path = slice_cut(&request->query, '?');
    if (request->path.len == 0) {
        request->path = SLICE("/"); // http://host?query
    }
    return NULL;
}

static const struct http_failure *check_fields(struct request *request) {
    for (size_t i = 0; i < request->field_count; i++) {
        request->fields[i].value = slice_trim(request->fields[i].value);
        if (!syntax_is_token(request->fields[i].name)) {
            return &BAD_FIELD;
        }
    }
    struct slice host;
    size_t at = 0;
    if (!request_field_next(request, SLICE("Host"), &at, &host)) {
        return request->http_minor == 0 ? NULL : &BAD_HOST;
    }
    bool is_fine = syntax_is_host(host);
    bool is_repeated = request_field_next(request, SLICE("Host"), &at, &host);
    return is_fine && !is_repeated ? NULL : &BAD_HOST;
}

static bool asks_keep_alive(const struct request *request) {
    bool is_keep_alive = request->http_minor == 1;
    struct slice value;
    for (size_t at = 0; request_field_next(request, SLICE("Connection"), &at, &value);) {
        if (syntax_list_has(value, SLICE("close"))) {
            return false;
        }
        is_keep_alive = is_keep_alive || syntax_list_has(value, SLICE("keep-alive"));
    }
    return is_keep_alive;
}

// How long the body is (RFC 9112, section 6.3).
static const struct http_failure *take_length(const struct request *request,
                                              struct head_framing *framing) {
    struct slice value;
    struct slice second;
    size_t at = 0;
    bool has_length = request_field_next(request, SLICE("Content-Length"), &at, &value);
    if (has_length) {
        if (request_field_next(request, SLICE("Content-Length"), &at, &second) ||
            slice_to_u64(value, INT64_MAX, &framing->length) != 0) {
            return &BAD_LENGTH;
        }
    }
    at = 0;
    if (request_field_next(request, SLICE("Transfer-Encoding"), &at, &value)) {
        if (has_length) {
            return &BAD_LENGTH;
        }
        if (request->http_minor == 0 || !slice_equal_nocase(value, SLICE("chunked")) ||
            request_field_next(request, SLICE("Transfer-Encoding"), &at, &second)) {
            return &BAD_CODING;
        }
        framing->is_chunked = true;
    }
    return NULL;
}

static const struct http_failure *take_expectation(const struct request *request,
                                                   struct head_framing *framing) {
    struct slice value;
    if (!request_field(request, SLICE("Expect"), &value)) {
        return NULL;
    }
    if (!slice_equal_nocase(value, SLICE("100-continue"))) {
        return &BAD_EXPECT;
    }
    framing->wants_continue =
        request->http_minor == 1 && (framing->is_chunked || framing->length > 0);
    return NULL;
}

const struct http_failure *head_take(struct request *request, struct slice head) {
    const struct http_failure *failure = run_llhttp(request, head);
    if (failure == NULL) {
        failure = take_target(request);
    }
    if (failure == NULL) {
        failure = check_fields(request);
    }
    request->is_keep_alive = asks_keep_alive(request);
    return failure;
}

const struct http_failure *head_take_framing(const struct request *request,
                                             struct head_framing *framing_r) {
    *framing_r = (struct head_framing){0};
    const struct http_failure *failure = take_length(request, framing_r);
    return failure != NULL ? failure : take_expectation(request, framing_r);
}
