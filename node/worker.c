// Puts one worker together, and takes it apart in order:
//
//   SERVING ─worker_leave─> SERVING, each answer its connection's last
//   SERVING ─worker_drain─> DRAINING ─no connection is left, or the deadline (cut)─> CUTTING
//   CUTTING ─their memory is gone (leave_hub)─> LEAVING ─the hub is closed (on_hub_closed)─>
//   DETACHING ─no call is under way (detach)─> CLOSED
#include "node/worker.h"

#include "cluster/base/clock.h"
#include "cluster/base/mem.h"
#include "node/api/api.h"
#include "node/auth/origin.h"
#include "node/http/http.h"
#include "node/http/router.h"
#include "node/hub/hub.h"
#include "node/net/listener.h"
#include "node/net/net.h"
#include "node/net/wheel.h"
#include "node/transport/transport.h"

#include <uv.h>

enum worker_state { SERVING, DRAINING, CUTTING, LEAVING, DETACHING, CLOSED };
enum wish { NOTHING, TO_LEAVE, TO_DRAIN };

// One port of this worker.
struct port {
    struct router router;
    struct http *http;         // owned
    struct listener *listener; // owned
};

struct worker {
    uint32_t magic;
    enum worker_state state;
    uint64_t listen_until_ms; // while it drains: for those who are half through
    uint64_t cut_at_ms;
    uv_loop_t loop;
    atomic_int asked;         // enum wish, by other threads
    uv_async_t wake;          // they have
    struct wheel_timer check; // looks whether the next state is reached
    struct worker_options options;
    struct metrics metrics;
    struct net *net;               // owned
    struct cluster_member *member; // owned
    struct hub *hub;               // owned
    struct service service;        // what the client port's handlers are given
    struct admin admin;            // the same for the admin port
    struct port client_port;
    struct port admin_port; // of the first worker
};

#define WORKER_MAGIC 0x776f726bu

enum { CHECK_EVERY_MS = 50 };

#define GET  METHOD_BIT(HTTP_METHOD_GET)
#define POST METHOD_BIT(HTTP_METHOD_POST)

static const struct route client_routes[] = {
    {"/poll", GET | POST, poll_handle},
    {"/sse", GET | POST | ROUTE_EVENT_STREAM, sse_handle},
    {"/stream", GET | POST, stream_handle},
    {"/ws", GET, websocket_handle},
    {"/history", GET, history_handle},
    {"/publish", POST, publish_handle},
    {"/healthz", GET | ROUTE_HEALTH, healthz_handle},
    {"/readyz", GET | ROUTE_HEALTH, readyz_handle},
    {"/", GET, page_handle},
    {"/client.js", GET, client_handle},
};

static const struct route admin_routes[] = {
    {"/metrics", GET, admin_metrics_handle},   {"/healthz", GET, healthz_handle},
    {"/readyz", GET, admin_readyz_handle},     {"/publish", POST, admin_publish_handle},
    {"/channels", GET, admin_channels_handle}, {"/drain", POST, admin_drain_handle},
};

// Pages of other origins stay outside, or are told that they may read.
static bool admit_client(struct exchange *exchange, void *context) {
    const struct service *service = context;
    return origin_admit(exchange, &service->config->origins, service->metrics);
}

// No page may make a browser publish through the trusted port.
static bool admit_admin(struct exchange *exchange, void *context) {
    const struct admin *admin = context;
    return origin_admit_none(exchange, admin->service.metrics);
}

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void on_check(struct wheel_timer *timer);

static void check_soon(struct worker *worker) {
    wheel_start(worker->net->wheel, &worker->check, CHECK_EVERY_MS, on_check);
}

// ---- Taking it apart -----------------------------------------------------------------------------

static void close_port(struct port *port) {
    if (port->listener != NULL) {
        listener_close(&port->listener);
    }
    if (port->http != NULL) {
        http_close(&port->http);
    }
}

static void cut(struct worker *worker) {
    worker->state = CUTTING;
    close_port(&worker->client_port);
    close_port(&worker->admin_port);
}

static void on_hub_closed(void *owner) {
    struct worker *worker = owner;
    CHECK_OBJ(worker, WORKER_MAGIC);
    CHECK(worker->state == LEAVING);
    worker->state = DETACHING;
    check_soon(worker);
}

static void leave_hub(struct worker *worker) {
    worker->state = LEAVING;
    hub_close(&worker->hub, on_hub_closed, worker);
}

// The loop ends by itself when the last of these handles has closed.
static void detach(struct worker *worker) {
    worker->state = CLOSED;
    cluster_detach(&worker->member);
    net_close(&worker->net);
    uv_close((uv_handle_t *)&worker->wake, NULL);
}

static void go_on_draining(struct worker *worker, uint64_t now_ms) {
    struct port *port = &worker->client_port;
    if (port->listener != NULL && now_ms >= worker->listen_until_ms) {
        listener_close(&port->listener);
    }
    bool is_empty = port->listener == NULL && http_session_count(port->http) == 0;
    if (is_empty || now_ms >= worker->cut_at_ms) {
        cut(worker);
    }
}

static void on_check(struct wheel_timer *timer) {
    struct worker *worker = CONTAINER_OF(timer, struct worker, check);
    CHECK_OBJ(worker, WORKER_MAGIC);
    switch (worker->state) {
    case DRAINING:
        go_on_draining(worker, clock_mono_ms());
        check_soon(worker);
        break;
    case CUTTING:
        if (worker->net->conn_count > 0) {
            check_soon(worker);
        } else {
            leave_hub(worker);
        }
        break;
    case DETACHING:
        if (cluster_member_is_idle(worker->member)) {
            detach(worker);
        } else {
            check_soon(worker);
        }
        break;
    case SERVING:
    case LEAVING:
    case CLOSED:
        CHECK(false); // nothing is waited for
    }
}

static void drain(struct worker *worker) {
    worker->state = DRAINING;
    worker->cut_at_ms = clock_mono_ms() + WORKER_DRAIN_MAX_MS;
    worker->listen_until_ms = clock_mono_ms() + LISTENER_DRAIN_MS;
    listener_drain(worker->client_port.listener);
    hub_drain(worker->hub);
    http_shutdown(worker->client_port.http);
    check_soon(worker);
}

static void on_wake(uv_async_t *async) {
    struct worker *worker = async->data;
    CHECK_OBJ(worker, WORKER_MAGIC);
    if (worker->state != SERVING) {
        return; // libuv may wake twice for one send
    }
    if (atomic_load(&worker->asked) == TO_DRAIN) {
        drain(worker);
    } else {
        http_leave(worker->client_port.http);
    }
}

// ---- Putting it together -------------------------------------------------------------------------

static int open_net(struct worker *worker) {
    int error = uv_loop_init(&worker->loop);
    if (error < 0) {
        return error;
    }
    error = uv_async_init(&worker->loop, &worker->wake, on_wake);
    if (error < 0) {
        return error;
    }
    worker->wake.data = worker;
    struct net_options options = {
        .loop = &worker->loop,
        .metrics = &worker->metrics,
        .stall_ms = worker->options.config->stall_ms,
    };
    return net_open(&options, &worker->net);
}

static int open_hub(struct worker *worker) {
    int error = cluster_attach(worker->options.cluster, &worker->loop, &worker->member);
    if (error < 0) {
        return error;
    }
    struct hub_options options = {
        .loop = &worker->loop,
        .wheel = worker->net->wheel,
        .cluster = worker->options.cluster,
        .member = worker->member,
        .config = worker->options.config,
        .metrics = &worker->metrics,
    };
    return hub_open(&options, &worker->hub);
}

int worker_open(const struct worker_options *options, struct worker **worker_r) {
    struct worker *worker = mem_alloc(sizeof(*worker));
    worker->magic = WORKER_MAGIC;
    worker->options = *options;
    int error = open_net(worker);
    error = error < 0 ? error : open_hub(worker);
    if (error < 0) {
        return error;
    }
    worker->service = (struct service){
        .loop = &worker->loop,
        .wheel = worker->net->wheel,
        .hub = worker->hub,
        .cluster = options->cluster,
        .member = worker->member,
        .config = options->config,
        .metrics = &worker->metrics,
    };
    *worker_r = worker;
    return 0;
}

static void open_http(struct worker *worker, struct port *port, struct admission *admission) {
    const struct config *config = worker->options.config;
    struct http_options options = {
        .net = worker->net,
        .router = &port->router,
        .admission = admission,
        .head_bytes = config->head_bytes,
        .body_bytes = config->publish_bytes,
        .header_timeout_ms = config->header_timeout_ms,
        .keep_alive_ms = config->keep_alive_ms,
        .retry_ms = config->retry_ms,
    };
    http_open(&options, &port->http);
}

int worker_listen(struct worker *worker) {
    CHECK_OBJ(worker, WORKER_MAGIC);
    const struct config *config = worker->options.config;
    struct port *port = &worker->client_port;
    port->router = (struct router){
        .routes = client_routes,
        .count = COUNT_OF(client_routes),
        .context = &worker->service,
        .admit = admit_client,
    };
    open_http(worker, port, worker->options.admission);
    return listener_open(worker->net, config->listen_host, config->listen_port, http_accept,
                         port->http, &port->listener);
}

int worker_listen_admin(struct worker *worker, const struct metrics *const *all, size_t count) {
    CHECK_OBJ(worker, WORKER_MAGIC);
    const struct config *config = worker->options.config;
    struct port *port = &worker->admin_port;
    worker->admin = (struct admin){
        .service = worker->service,
        .workers = all,
        .worker_count = count,
        .ask_drain = worker->options.ask_drain,
        .server = worker->options.server,
    };
    port->router = (struct router){
        .routes = admin_routes,
        .count = COUNT_OF(admin_routes),
        .context = &worker->admin,
        .admit = admit_admin,
    };
    open_http(worker, port, NULL);
    return listener_open(worker->net, config->admin_host, config->admin_port, http_accept,
                         port->http, &port->listener);
}

const struct metrics *worker_metrics(const struct worker *worker) {
    CHECK_OBJ(worker, WORKER_MAGIC);
    return &worker->metrics;
}

void worker_run(struct worker *worker) {
    CHECK_OBJ(worker, WORKER_MAGIC);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    CHECK(worker->state == CLOSED);
}

static void ask(struct worker *worker, enum wish wish) {
    CHECK_OBJ(worker, WORKER_MAGIC);
    atomic_store(&worker->asked, (int)wish);
    uv_async_send(&worker->wake);
}

void worker_leave(struct worker *worker) {
    ask(worker, TO_LEAVE);
}

void worker_drain(struct worker *worker) {
    ask(worker, TO_DRAIN);
}

void worker_close(struct worker **worker) {
    struct worker *closing = *worker;
    CHECK_OBJ(closing, WORKER_MAGIC);
    *worker = NULL;
    CHECK(uv_loop_close(&closing->loop) == 0);
    closing->magic = 0;
    mem_free(closing);
}
