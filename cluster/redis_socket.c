// See redis_socket.h. Why one object a connection: libuv may hold a lookup, a connect or a write
// for some time after its owner gave up. Each lies in the socket, which waits for them alone while
// the owner already dials the next one.
#include "cluster/redis_socket.h"

#include "cluster/base/check.h"
#include "cluster/base/error.h"
#include "cluster/base/mem.h"
#include "cluster/resp_guard.h"

#include <netdb.h>

enum {
    SOCKET_MAGIC = 0x5ed150c7,
    KEEPALIVE_S = 15,
    READ_BYTES = 64 << 10,
    // hiredis moves what is left in its buffer to the front after each KiB of replies; small pieces
    // keep that cheap. And it frees a buffer that stands empty and is larger than maxbuf.
    FEED_BYTES = 16 << 10,
    READER_KEEP_BYTES = 4 * FEED_BYTES,
    WRITE_KEEP_BYTES = 1 << 20, // of an empty buffer; more is given back after a burst
};

//                 on_lookup               on_connect
//   RESOLVING ------------> CONNECTING ------------> CONNECTED
//    (TCP only)                |  ^
//                      give_up |  | on_handle_closed, another address left
//                              v  |
//                            RETRYING
//
// breaks() says on_break in any state but CLOSED; redis_socket_close leads from any state to
// CLOSED.
enum socket_state { RESOLVING, CONNECTING, RETRYING, CONNECTED, CLOSED };

struct redis_socket {
    uint32_t magic;
    enum socket_state state;
    unsigned held; // by libuv: the lookup, the handle
    bool is_writing;
    int connect_error; // of the last address tried
    uv_loop_t *loop;
    struct redis_socket_events events;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } io;
    uv_getaddrinfo_t lookup;
    uv_connect_t connect;
    uv_write_t write;
    struct bytes flying;        // what `write` is writing
    struct addrinfo *addresses; // owned
    const struct addrinfo *next_address;
    unsigned first;
    unsigned addresses_left;
    redisReader *reader; // owned
    struct resp_guard guard;
};

static void set_state(struct redis_socket *socket, enum socket_state next) {
    static const unsigned from[] = {
        [CONNECTING] = 1 << RESOLVING | 1 << RETRYING,
        [RETRYING] = 1 << CONNECTING,
        [CONNECTED] = 1 << CONNECTING,
        [CLOSED] = 1 << RESOLVING | 1 << CONNECTING | 1 << RETRYING | 1 << CONNECTED,
    };
    CHECK((from[next] >> socket->state & 1) != 0);
    socket->state = next;
}

static void free_when_idle(struct redis_socket *socket) {
    if (socket->state != CLOSED || socket->held > 0) {
        return;
    }
    uv_freeaddrinfo(socket->addresses);
    redisReaderFree(socket->reader);
    bytes_release(&socket->flying);
    socket->magic = 0;
    mem_free(socket);
}

static void breaks(struct redis_socket *socket, int error, const char *why) {
    socket->events.on_break(socket->events.owner, error, why);
    CHECK(socket->state == CLOSED);
}

static void clear(struct bytes *bytes) {
    if (bytes->cap > WRITE_KEEP_BYTES) {
        bytes_release(bytes);
    }
    bytes_clear(bytes);
}

// False when the socket was closed meanwhile.
static bool hand_out_replies(struct redis_socket *socket) {
    for (;;) {
        void *reply = NULL;
        if (redisReaderGetReply(socket->reader, &reply) != REDIS_OK) {
            breaks(socket, E_PROTOCOL, socket->reader->errstr);
            return false;
        }
        if (reply == NULL) {
            return true;
        }
        socket->events.on_reply(socket->events.owner, reply);
        freeReplyObject(reply);
        if (socket->state == CLOSED) {
            return false;
        }
    }
}

static void take_bytes(struct redis_socket *socket, struct slice bytes) {
    while (bytes.len > 0) {
        struct slice piece =
            slice_make(bytes.data, bytes.len < FEED_BYTES ? bytes.len : FEED_BYTES);
        const char *why = NULL;
        int error = resp_guard_feed(&socket->guard, piece, &why);
        if (error != 0) {
            breaks(socket, error, why);
            return;
        }
        if (redisReaderFeed(socket->reader, piece.data, piece.len) != REDIS_OK) {
            breaks(socket, UV_ENOMEM, socket->reader->errstr);
            return;
        }
        if (!hand_out_replies(socket)) {
            return;
        }
        bytes = slice_from(bytes, piece.len);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    // libuv gives it back in on_read before it asks for another, so one does for all of a thread.
    static _Thread_local char read_buffer[READ_BYTES];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_buffer, sizeof(read_buffer));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct redis_socket *socket = stream->data;
    CHECK_OBJ(socket, SOCKET_MAGIC);
    if (len > 0) {
        take_bytes(socket, slice_make(buf->base, (size_t)len));
    } else if (len < 0) {
        breaks(socket, (int)len, len == UV_EOF ? "Redis closed it" : error_text((int)len));
    }
}

static void try_next_address(struct redis_socket *socket);

static void on_handle_closed(uv_handle_t *handle) {
    struct redis_socket *socket = handle->data;
    CHECK_OBJ(socket, SOCKET_MAGIC);
    if (socket->state != CLOSED) {
        try_next_address(socket);
    }
    socket->held--;
    free_when_idle(socket);
}

// The handle's memory serves the next address, so libuv must give it back first.
static void give_up_address(struct redis_socket *socket, int error) {
    socket->connect_error = error;
    set_state(socket, RETRYING);
    uv_close(&socket->io.handle, on_handle_closed);
}

static void on_connect(uv_connect_t *request, int status) {
    struct redis_socket *socket = request->data;
    CHECK_OBJ(socket, SOCKET_MAGIC);
    if (socket->state != CONNECTING) {
        return; // closed meanwhile: UV_ECANCELED
    }
    if (status == 0) {
        status = uv_read_start(&socket->io.stream, on_alloc, on_read);
    }
    if (status != 0) {
        give_up_address(socket, status);
        return;
    }
    if (socket->io.handle.type == UV_TCP) {
        // Neither can fail in a way that matters: without them the link is only slower to notice.
        uv_tcp_nodelay(&socket->io.tcp, 1);
        uv_tcp_keepalive(&socket->io.tcp, 1, KEEPALIVE_S);
    }
    set_state(socket, CONNECTED);
    socket->events.on_connect(socket->events.owner);
}

static void try_next_address(struct redis_socket *socket) {
    if (socket->addresses_left == 0) {
        breaks(socket, socket->connect_error, error_text(socket->connect_error));
        return;
    }
    const struct addrinfo *address = socket->next_address;
    socket->next_address = address->ai_next != NULL ? address->ai_next : socket->addresses;
    socket->addresses_left--;
    int error = uv_tcp_init(socket->loop, &socket->io.tcp);
    CHECK(error == 0); // it only fills in the struct
    socket->io.handle.data = socket;
    socket->held++;
    set_state(socket, CONNECTING);
    error = uv_tcp_connect(&socket->connect, &socket->io.tcp, address->ai_addr, on_connect);
    if (error != 0) {
        give_up_address(socket, error);
    }
}

static void take_addresses(struct redis_socket *socket, struct addrinfo *addresses) {
    socket->addresses = addresses;
    for (const struct addrinfo *at = addresses; at != NULL; at = at->ai_next) {
        socket->addresses_left++;
    }
    socket->next_address = addresses;
    for (unsigned skip = socket->first % socket->addresses_left; skip > 0; skip--) {
        socket->next_address = socket->next_address->ai_next;
    }
}

static void on_lookup(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses) {
    struct redis_socket *socket = request->data;
    CHECK_OBJ(socket, SOCKET_MAGIC);
    if (status == 0 && addresses == NULL) {
        status = UV_EAI_NODATA;
    }
    if (socket->state == CLOSED) {
        uv_freeaddrinfo(addresses);
    } else if (status != 0) {
        breaks(socket, status, error_text(status));
    } else {
        take_addresses(socket, addresses);
        try_next_address(socket);
    }
    socket->held--;
    free_when_idle(socket);
}

static int start_lookup(struct redis_socket *socket, const struct redis_address *address) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int error = uv_getaddrinfo(socket->loop, &socket->lookup, on_lookup, address->host,
                               address->port, &hints);
    socket->held += error == 0 ? 1 : 0;
    return error;
}

// An address in numbers needs no thread of libuv's pool, where names that nobody answers for may keep
// all others waiting. False: it is a name.
static bool take_numeric(struct redis_socket *socket, const struct redis_address *address) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    if (getaddrinfo(address->host, address->port, &hints, &addresses) != 0) {
        return false;
    }
    take_addresses(socket, addresses);
    try_next_address(socket);
    return true;
}

static void start_unix(struct redis_socket *socket, const struct redis_address *address) {
    int error = uv_pipe_init(socket->loop, &socket->io.pipe, 0);
    CHECK(error == 0); // it only fills in the struct
    socket->io.handle.data = socket;
    socket->held++;
    set_state(socket, CONNECTING);
    uv_pipe_connect(&socket->connect, &socket->io.pipe, address->socket_path, on_connect);
}

static void on_written(uv_write_t *request, int status) {
    struct redis_socket *socket = request->data;
    CHECK_OBJ(socket, SOCKET_MAGIC);
    socket->is_writing = false;
    if (socket->state == CLOSED) {
        return;
    }
    if (status != 0) {
        breaks(socket, status, error_text(status));
        return;
    }
    clear(&socket->flying);
    socket->events.on_writable(socket->events.owner);
}

// Hands what the kernel did not take to libuv; *output gets the other buffer, which is empty.
static void write_rest(struct redis_socket *socket, struct bytes *output, size_t written) {
    struct bytes empty = socket->flying;
    socket->flying = *output;
    *output = empty;
    uv_buf_t rest =
        uv_buf_init(socket->flying.data + written, (unsigned)(socket->flying.len - written));
    int error = uv_write(&socket->write, &socket->io.stream, &rest, 1, on_written);
    CHECK(error == 0); // it refuses only what is no open stream
    socket->is_writing = true;
}

int redis_socket_open(uv_loop_t *loop, const struct redis_address *address, unsigned first,
                      const struct redis_socket_events *events, struct redis_socket **socket_r) {
    struct redis_socket *socket = mem_alloc(sizeof(*socket));
    socket->magic = SOCKET_MAGIC;
    socket->state = RESOLVING;
    socket->loop = loop;
    socket->events = *events;
    socket->first = first;
    socket->lookup.data = socket;
    socket->connect.data = socket;
    socket->write.data = socket;
    resp_guard_init(&socket->guard);
    socket->reader = redisReaderCreate();
    CHECK(socket->reader != NULL);
    socket->reader->maxbuf = READER_KEEP_BYTES;
    int error = 0;
    if (address->socket_path != NULL) {
        start_unix(socket, address);
    } else if (!take_numeric(socket, address)) {
        error = start_lookup(socket, address);
    }
    if (error != 0) {
        redis_socket_close(&socket);
        return error;
    }
    *socket_r = socket;
    return 0;
}

void redis_socket_close(struct redis_socket **socket_at) {
    struct redis_socket *socket = *socket_at;
    if (socket == NULL) {
        return;
    }
    CHECK_OBJ(socket, SOCKET_MAGIC);
    *socket_at = NULL;
    enum socket_state last = socket->state;
    set_state(socket, CLOSED);
    if (last == RESOLVING && socket->held > 0) {
        // Fails when a thread already asks the resolver: on_lookup comes all the same.
        uv_cancel((uv_req_t *)&socket->lookup);
    }
    if (last == CONNECTING || last == CONNECTED) {
        uv_close(&socket->io.handle, on_handle_closed);
    }
    free_when_idle(socket);
}

int redis_socket_write(struct redis_socket *socket, struct bytes *output) {
    CHECK_OBJ(socket, SOCKET_MAGIC);
    CHECK(socket->state == CONNECTED);
    if (socket->is_writing) {
        return UV_EAGAIN;
    }
    // Straight to the kernel: uv_write would cost another turn of the loop to say that it is done.
    uv_buf_t all = uv_buf_init(output->data, (unsigned)output->len);
    int written = uv_try_write(&socket->io.stream, &all, 1);
    if (written < 0 && written != UV_EAGAIN) {
        return written;
    }
    size_t taken = written > 0 ? (size_t)written : 0;
    if (taken < output->len) {
        write_rest(socket, output, taken);
    } else {
        clear(output);
    }
    return 0;
}

size_t redis_socket_unwritten(const struct redis_socket *socket) {
    return socket->flying.len;
}
