// See http_get.h.
#include "cluster/cli/http_get.h"

#include "cluster/base/clock.h"
#include "cluster/base/error.h"
#include "cluster/base/json.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <uv.h>

enum { STEP_S = 2, WHOLE_MS = 10000, HEAD_BYTES_MAX = 16 << 10, READ_BYTES = 64 << 10 };

static int fail(char why_r[static HTTP_WHY_MAX], int error, const char *why) {
    snprintf(why_r, HTTP_WHY_MAX, "%s", why);
    return error;
}

int http_server_parse(struct slice url, struct redis_address *server_r, const char **why_r) {
    static const struct slice scheme = {"http://", 7};
    *server_r = (struct redis_address){0};
    if (!slice_starts_with(url, scheme)) {
        *why_r = "a node is named by its admin port: http://host:8081";
        return UV_EINVAL;
    }
    struct slice rest = slice_from(url, scheme.len);
    rest.len -= rest.len > 0 && rest.data[rest.len - 1] == '/' ? 1 : 0;
    return redis_address_read_server(server_r, rest, HTTP_ADMIN_PORT, why_r);
}

// Linux ends connect, too, after SO_SNDTIMEO.
static int dial(const struct addrinfo *address) {
    struct timeval step = {.tv_sec = STEP_S};
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &step, sizeof(step));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &step, sizeof(step));
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        int error = errno == EINPROGRESS ? UV_ETIMEDOUT : -errno;
        close(fd);
        return error;
    }
    return fd;
}

static int dial_any(const struct redis_address *server, char why_r[static HTTP_WHY_MAX]) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    int failed = getaddrinfo(server->host, server->port, &hints, &addresses);
    if (failed != 0) {
        return fail(why_r, E_UNAVAILABLE, gai_strerror(failed));
    }
    int fd = UV_ENOENT;
    for (const struct addrinfo *at = addresses; at != NULL && fd < 0; at = at->ai_next) {
        fd = dial(at);
    }
    freeaddrinfo(addresses);
    return fd >= 0 ? fd : fail(why_r, E_UNAVAILABLE, error_text(fd));
}

static int send_request(int fd, const struct redis_address *server, const char *path,
                        char why_r[static HTTP_WHY_MAX]) {
    bool is_ipv6 = strchr(server->host, ':') != NULL;
    struct bytes request = {0};
    bytes_append_format(&request, "GET %s HTTP/1.0\r\nHost: %s%s%s:%s\r\n\r\n", path,
                        is_ipv6 ? "[" : "", server->host, is_ipv6 ? "]" : "", server->port);
    ssize_t sent = send(fd, request.data, request.len, MSG_NOSIGNAL); // fits any socket's buffer
    bool is_sent = sent == (ssize_t)request.len;
    bytes_release(&request);
    return is_sent ? 0 : fail(why_r, E_UNAVAILABLE, "it does not take the request");
}

// All that comes until the end.
static int receive(int fd, struct bytes *answer_r, char why_r[static HTTP_WHY_MAX]) {
    uint64_t end_ms = clock_mono_ms() + WHOLE_MS;
    for (;;) {
        ssize_t n = read(fd, bytes_reserve(answer_r, READ_BYTES), READ_BYTES);
        if (n == 0) {
            return 0;
        }
        if ((n < 0 && errno != EINTR) || clock_mono_ms() > end_ms) {
            return fail(why_r, E_UNAVAILABLE, "it does not answer");
        }
        answer_r->len += n > 0 ? (size_t)n : 0;
        if (answer_r->len > HTTP_BODY_BYTES_MAX) {
            return fail(why_r, E_TOO_LARGE, "its answer is over 64 MiB");
        }
    }
}

// "HTTP/1.1 200 OK", fields, an empty line, the body.
static int read_answer(const struct bytes *answer, int status, struct bytes *body_r,
                       char why_r[static HTTP_WHY_MAX]) {
    size_t look = answer->len < HEAD_BYTES_MAX ? answer->len : HEAD_BYTES_MAX;
    const char *end = look > 0 ? memmem(answer->data, look, "\r\n\r\n", 4) : NULL;
    struct slice rest = bytes_slice(answer);
    struct slice version = slice_cut(&rest, ' ');
    uint64_t said = 0;
    if (end == NULL || !slice_starts_with(version, SLICE("HTTP/1.")) ||
        slice_to_u64(slice_cut(&rest, ' '), 999, &said) != 0) {
        return fail(why_r, E_PROTOCOL, "it speaks no HTTP");
    }
    if (said != 200 && said != (uint64_t)status) {
        snprintf(why_r, HTTP_WHY_MAX, "status %u: is this the admin port?", (unsigned)said);
        return E_PROTOCOL;
    }
    struct slice body = slice_from(bytes_slice(answer), (size_t)(end - answer->data) + 4);
    if (!json_is_valid(body)) {
        return fail(why_r, E_PROTOCOL, "its answer is no JSON");
    }
    bytes_append(body_r, body);
    return 0;
}

int http_get(const struct redis_address *server, const char *path, int status, struct bytes *body_r,
             char why_r[static HTTP_WHY_MAX]) {
    int fd = dial_any(server, why_r);
    if (fd < 0) {
        return fd;
    }
    struct bytes answer = {0};
    int error = send_request(fd, server, path, why_r);
    if (error == 0) {
        error = receive(fd, &answer, why_r);
    }
    close(fd);
    if (error == 0) {
        error = read_answer(&answer, status, body_r, why_r);
    }
    bytes_release(&answer);
    return error;
}
