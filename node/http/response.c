// Heads say no more than clients need: no Server, no version.
#include "node/http/response.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cluster/base/check.h"
#include "cluster/base/json.h"

static const struct {
    int status;
    const char *phrase;
} PHRASES[] = {
    {101, "Switching Protocols"},
    {200, "OK"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *response_phrase(int status) {
    for (size_t i = 0; i < sizeof(PHRASES) / sizeof(PHRASES[0]); i++) {
        if (PHRASES[i].status == status) {
            return PHRASES[i].phrase;
        }
    }
    return "Unknown";
}

static void append_connection(struct bytes *bytes, const struct response *response) {
    // Keep-alive is what HTTP/1.1 means by silence, and HTTP/1.0 wants to hear.
    if (!response->is_keep_alive) {
        bytes_append(bytes, SLICE("Connection: close\r\n"));
    } else if (response->http_minor == 0) {
        bytes_append(bytes, SLICE("Connection: keep-alive\r\n"));
    }
}

static void append_framing(struct bytes *bytes, const struct response *response) {
    if (response->body == RESPONSE_LENGTH) {
        bytes_append(bytes, SLICE("Content-Length: "));
        bytes_append_u64(bytes, response->length);
        bytes_append(bytes, SLICE("\r\n"));
    } else if (response->body == RESPONSE_CHUNKED) {
        bytes_append(bytes, SLICE("Transfer-Encoding: chunked\r\n"));
    }
}

void response_append_head(struct bytes *bytes, const struct response *response) {
    CHECK(response->status >= 100 && response->status <= 999);
    bytes_append(bytes, SLICE("HTTP/1.1 "));
    bytes_append_u64(bytes, (uint64_t)response->status);
    bytes_append_char(bytes, ' ');
    bytes_append(bytes, slice_of(response_phrase(response->status)));
    bytes_append(bytes, SLICE("\r\nDate: "));
    bytes_append(bytes, response->date);
    bytes_append(bytes, SLICE("\r\n"));
    if (response->content_type != NULL) {
        bytes_append(bytes, SLICE("Content-Type: "));
        bytes_append(bytes, slice_of(response->content_type));
        bytes_append(bytes, SLICE("\r\n"));
    }
    append_framing(bytes, response);
    append_connection(bytes, response);
    bytes_append(bytes, response->fields);
    bytes_append(bytes, SLICE("\r\n"));
}

// The longest valid beginning. A detail is short, so trying is cheap.
static struct slice cut_to_utf8(struct slice text) {
    while (text.len > 0 && !slice_is_utf8(text)) {
        text.len--;
    }
    return text;
}

void response_append_problem(struct bytes *bytes, int status, const char *code,
                             struct slice detail) {
    bytes_append(bytes, SLICE("{\"type\":\"about:blank\",\"title\":"));
    json_append_string(bytes, slice_of(response_phrase(status)));
    bytes_append(bytes, SLICE(",\"status\":"));
    bytes_append_u64(bytes, (uint64_t)status);
    bytes_append(bytes, SLICE(",\"code\":"));
    json_append_string(bytes, slice_of(code));
    bytes_append(bytes, SLICE(",\"detail\":"));
    json_append_string(bytes, cut_to_utf8(detail));
    bytes_append(bytes, SLICE("}\n"));
}

void response_format_date(int64_t unix_s, char date_r[static RESPONSE_DATE_BYTES + 1]) {
    static const char DAYS[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char MONTHS[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)unix_s;
    struct tm utc;
    CHECK(gmtime_r(&seconds, &utc) != NULL);
    char text[64];
    int len = snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", DAYS[utc.tm_wday],
                       utc.tm_mday, MONTHS[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
                       utc.tm_sec);
    CHECK(len == RESPONSE_DATE_BYTES);
    memcpy(date_r, text, RESPONSE_DATE_BYTES + 1);
}
