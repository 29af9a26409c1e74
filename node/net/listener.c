// Accepts by hand over uv_poll: libuv's own accept loop hides EMFILE, and this one has to be
// bounded and, at the end, driven until the queue is empty.
#include "node/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster/base/check.h"
#include "cluster/base/clock.h"
#include "cluster/base/log.h"
#include "cluster/base/mem.h"

enum {
    MAGIC = 0x6c697374,
    BACKLOG = 4096,
    ACCEPTS_PER_TURN = 256,
    ACCEPTS_AT_CLOSE = 16 * BACKLOG,
    PAUSE_MS = 100,
    COMPLAINT_EVERY_MS = 60 * 1000,
    KEEPALIVE_IDLE_S = 60,
};

struct listener {
    uint32_t magic;
    int fd;       // owned
    int spare_fd; // owned; given up for a moment when there is no other left; -1: none
    uint64_t complained_ms;
    struct net *net; // borrowed
    void (*on_accept)(void *context, int fd);
    void *context; // borrowed
    uv_poll_t poll;
    struct wheel_timer pause;
};

static int resolve(const char *host, uint16_t port, struct addrinfo **result_r) {
    char service[8];
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    struct addrinfo hints = {
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
        .ai_socktype = SOCK_STREAM,
    };
    int err = getaddrinfo(host, service, &hints, result_r);
    return err == 0 ? 0 : err == EAI_SYSTEM ? uv_translate_sys_error(errno) : UV_EAI_NONAME;
}

static int set_option(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

// What accepted sockets inherit on Linux, set here once instead of on each of them.
static void set_inherited_options(int fd, uint64_t stall_ms) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    // Bytes that the kernel took but the peer does not: without this, a peer that lost its power
    // is noticed after a quarter of an hour.
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
               (int)(stall_ms < INT32_MAX ? stall_ms : INT32_MAX));
}

// A socket bound to the first address that can be had. SO_REUSEADDR alone still sees another
// listener, also one that allows sharing.
static int bind_socket(const char *host, uint16_t port, bool is_shared, int *fd_r) {
    struct addrinfo *addresses;
    int err = resolve(host, port, &addresses);
    if (err != 0) {
        return err;
    }
    for (struct addrinfo *at = addresses; at != NULL; at = at->ai_next) {
        int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            err = uv_translate_sys_error(errno);
            continue;
        }
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (is_shared) {
            set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        }
        if (at->ai_family == AF_INET6) {
            set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
        }
        if (bind(fd, at->ai_addr, at->ai_addrlen) == 0) {
            freeaddrinfo(addresses);
            *fd_r = fd;
            return 0;
        }
        err = uv_translate_sys_error(errno);
        close(fd);
    }
    freeaddrinfo(addresses);
    return err;
}

int listener_probe(const char *host, uint16_t port) {
    int fd;
    int err = bind_socket(host, port, false, &fd);
    if (err == 0) {
        close(fd);
    }
    return err;
}

static int open_spare(void) {
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void complain(struct listener *listener, int error) {
    uint64_t now_ms = clock_mono_ms();
    if (listener->complained_ms == 0 || now_ms - listener->complained_ms >= COMPLAINT_EVERY_MS) {
        listener->complained_ms = now_ms;
        log_warning("net", "cannot accept: %s; raise the descriptor limit or lower connections",
                    strerror(error));
    }
}

// Out of descriptors: the spare one serves to accept a connection and to close it, so that its
// client learns at once what it would otherwise wait for. False: there was none to give up.
static bool refuse_one(struct listener *listener) {
    if (listener->spare_fd < 0) {
        listener->spare_fd = open_spare();
        return false;
    }
    close(listener->spare_fd);
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        metrics_add(&listener->net->metrics->refused[REFUSE_CONNECTIONS], 1);
        close(fd);
    }
    listener->spare_fd = open_spare();
    return true;
}

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void on_pause_over(struct wheel_timer *timer) {
    struct listener *listener = CONTAINER_OF(timer, struct listener, pause);
    CHECK(uv_poll_start(&listener->poll, UV_READABLE, on_acceptable) == 0);
}

// The kernel refuses for a reason that does not go away by trying again at once.
static void pause_accepting(struct listener *listener) {
    uv_poll_stop(&listener->poll);
    wheel_start(listener->net->wheel, &listener->pause, PAUSE_MS, on_pause_over);
}

// True: there may be more.
static bool accept_one(struct listener *listener) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        metrics_add(&listener->net->metrics->accepted, 1);
        listener->on_accept(listener->context, fd);
        return true;
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
        complain(listener, errno);
        if (refuse_one(listener)) {
            return true;
        }
        pause_accepting(listener);
        return false;
    case ENOBUFS:
    case ENOMEM:
        complain(listener, errno);
        pause_accepting(listener);
        return false;
    default:
        return true; // ECONNABORTED and its kin: that one connection broke before we saw it
    }
}

static void on_acceptable(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct listener *listener = poll->data;
    CHECK_OBJ(listener, MAGIC);
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(listener); i++) {
    }
}

int listener_open(struct net *net, const char *host, uint16_t port,
                  void (*on_accept)(void *context, int fd), void *context,
                  struct listener **listener_r) {
    int fd;
    int err = bind_socket(host, port, true, &fd);
    if (err != 0) {
        return err;
    }
    set_inherited_options(fd, net->stall_ms);
    struct listener *listener = mem_alloc(sizeof(*listener));
    if (listen(fd, BACKLOG) != 0) {
        err = uv_translate_sys_error(errno);
    } else {
        err = uv_poll_init(net->loop, &listener->poll, fd);
    }
    if (err != 0) {
        close(fd);
        mem_free(listener);
        return err;
    }
    listener->magic = MAGIC;
    listener->fd = fd;
    listener->spare_fd = open_spare();
    listener->net = net;
    listener->on_accept = on_accept;
    listener->context = context;
    listener->poll.data = listener;
    CHECK(uv_poll_start(&listener->poll, UV_READABLE, on_acceptable) == 0);
    *listener_r = listener;
    return 0;
}

uint16_t listener_port(const struct listener *listener) {
    CHECK_OBJ(listener, MAGIC);
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    if (getsockname(listener->fd, (struct sockaddr *)&address, &len) != 0) {
        return 0;
    }
    // The port lies at the same place for both families.
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static void on_closed(uv_handle_t *handle) {
    struct listener *listener = handle->data;
    CHECK_OBJ(listener, MAGIC);
    listener->magic = 0;
    mem_free(listener);
}

// Drops the SYNs of new connections and lets the last packets of begun handshakes pass: else who
// connects between the last accept and the close is reset, having got through (tried). A client
// whose SYN was dropped sends it again after a second, and is refused by then.
void listener_drain(struct listener *listener) {
    CHECK_OBJ(listener, MAGIC);
    enum { TCP_FLAGS_AT = 13, SYN = 0x02, ACK = 0x10 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS_AT),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    // Where it is not allowed a drain is a little less gentle.
    (void)setsockopt(listener->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

void listener_close(struct listener **listener) {
    struct listener *mine = *listener;
    *listener = NULL;
    CHECK_OBJ(mine, MAGIC);
    for (int i = 0; i < ACCEPTS_AT_CLOSE && accept_one(mine); i++) {
    }
    wheel_stop(&mine->pause);
    uv_poll_stop(&mine->poll);
    close(mine->fd);
    if (mine->spare_fd >= 0) {
        close(mine->spare_fd);
    }
    uv_close((uv_handle_t *)&mine->poll, on_closed);
}
