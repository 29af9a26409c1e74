// Starts the node and stops it. The calling thread only waits for signals: workers and the cluster
// have threads of their own, so that a second signal is heard whatever they do.
//
//   STARTING ─ready, or not in time─> SERVING; ─any signal─> return
//   SERVING ─SIGTERM, POST /drain─> LEAVING ─drain-grace is over─> DRAINING ─workers ended─> return
//   SERVING ─SIGINT───────────────────────────────────────────────> DRAINING
//   any ─a second signal, or a worker that does not end─> _exit(1)
#include "node/server.h"

#include "cluster/base/clock.h"
#include "cluster/base/error.h"
#include "cluster/base/log.h"
#include "cluster/base/mem.h"
#include "cluster/cluster.h"
#include "node/api/api.h"
#include "node/net/admission.h"
#include "node/net/listener.h"
#include "node/version.h"
#include "node/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

enum server_state { STATE_STARTING, STATE_SERVING, STATE_LEAVING, STATE_DRAINING };

// A worker and its thread.
struct seat {
    struct server *server; // borrowed
    struct worker *worker; // owned
    uv_thread_t thread;
};

struct server {
    const struct config *config; // borrowed
    enum server_state state;
    bool is_signalled;
    uv_loop_t loop;
    uv_signal_t sigterm;
    uv_signal_t sigint;
    uv_timer_t timer;       // what a state waits for, or its bound
    uint64_t serve_ms;      // when STARTING ends at the latest, monotonic
    uv_async_t ended;       // a worker has
    uv_async_t drain_asked; // by POST /drain
    struct cluster *cluster;
    struct admission *admission;
    size_t connections_max;
    size_t told_max;
    atomic_size_t running;          // workers
    struct seat *seats;             // owned
    const struct metrics **metrics; // owned; of all workers
};

enum {
    START_PATIENCE_MS = 2000,
    START_LOOK_MS = 10,
    DESCRIPTORS_APART = 128, // for Redis, listeners, loops, files
    DESCRIPTORS_EACH_WORKER = 16,
    DRAIN_BOUND_MS = WORKER_DRAIN_MAX_MS + 10 * 1000,
};

// Raises the limit as far as it goes, and sees how many connections fit. Those who are only told that
// they are too many have an eighth of it at most: with all of them there must still be
// descriptors for Redis and the admin port.
static void fit_connections(struct server *server) {
    const struct config *config = server->config;
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    }
    size_t descriptors = limit.rlim_cur;
    server->told_max = descriptors / 8 < ADMISSION_TOLD_MAX ? descriptors / 8 : ADMISSION_TOLD_MAX;
    size_t apart = DESCRIPTORS_APART + DESCRIPTORS_EACH_WORKER * config->workers + server->told_max;
    size_t fitting = descriptors > apart + 16 ? descriptors - apart : 16;
    server->connections_max = fitting < config->connections ? fitting : config->connections;
}

static void open_admission(struct server *server) {
    const struct config *config = server->config;
    fit_connections(server);
    admission_create(
        &(struct admission_options){
            .connections_max = server->connections_max,
            .told_max = server->told_max,
            .accept_rate = config->accept_rate,
            .per_ip_max = config->connections_per_ip,
            .per_user_max = config->connections_per_user,
            .trusted_proxies = &config->trusted_proxies,
        },
        &server->admission);
}

static int check_port(const char *option, const char *host, uint16_t port) {
    int error = listener_probe(host, port);
    if (error < 0) {
        log_error("server", "--%s: cannot listen on %s port %u: %s", option, host, port,
                  error_text(error));
    }
    return error;
}

static int open_cluster(struct server *server) {
    const struct config *config = server->config;
    struct cluster_options options = {
        .redis_url = slice_of(config->redis),
        .prefix = slice_of(config->prefix),
        .node_id = slice_of(config->node_id),
        .backlog_messages = config->backlog_messages,
        .backlog_bytes = config->backlog_bytes,
        .backlog_total = config->backlog_total,
    };
    const char *why = "";
    int error = cluster_open(&options, &server->cluster, &why);
    if (error < 0) {
        log_error("server", "--redis: %s", error == UV_EINVAL ? why : error_text(error));
    }
    return error;
}

// ---- Workers -------------------------------------------------------------------------------------

// Nothing is served yet: the process ends, and with it all that was opened.
static void die_if(int error, const char *what) {
    if (error < 0) {
        log_error("server", "cannot start: %s: %s", what, error_text(error));
        _exit(1);
    }
}

static void ask_drain(void *context) {
    struct server *server = context;
    uv_async_send(&server->drain_asked);
}

static void open_workers(struct server *server) {
    size_t count = server->config->workers;
    struct worker_options options = {
        .config = server->config,
        .cluster = server->cluster,
        .admission = server->admission,
        .ask_drain = ask_drain,
        .server = server,
    };
    server->seats = mem_alloc_array(count, sizeof(server->seats[0]));
    server->metrics = mem_alloc_array(count, sizeof(server->metrics[0]));
    for (size_t i = 0; i < count; i++) {
        struct seat *seat = &server->seats[i];
        seat->server = server;
        die_if(worker_open(&options, &seat->worker), "worker");
        server->metrics[i] = worker_metrics(seat->worker);
    }
    die_if(worker_listen_admin(server->seats[0].worker, server->metrics, count), "admin port");
    for (size_t i = 0; i < count; i++) {
        die_if(worker_listen(server->seats[i].worker), "port");
    }
}

static void run_worker(void *argument) {
    struct seat *seat = argument;
    pthread_setname_np(pthread_self(), "freshet-worker");
    worker_run(seat->worker);
    atomic_fetch_sub(&seat->server->running, 1);
    uv_async_send(&seat->server->ended);
}

static void start_workers(struct server *server) {
    size_t count = server->config->workers;
    atomic_store(&server->running, count);
    for (size_t i = 0; i < count; i++) {
        die_if(uv_thread_create(&server->seats[i].thread, run_worker, &server->seats[i]), "thread");
    }
}

static void end_workers(struct server *server) {
    for (size_t i = 0; i < server->config->workers; i++) {
        uv_thread_join(&server->seats[i].thread);
        worker_close(&server->seats[i].worker);
    }
    mem_free(server->seats);
    mem_free(server->metrics);
}

// ---- Stopping ------------------------------------------------------------------------------------

static void on_drain_bound(uv_timer_t *timer) {
    struct server *server = timer->data;
    log_error("server", "%zu workers did not end in time", atomic_load(&server->running));
    _exit(1);
}

static void drain(struct server *server) {
    server->state = STATE_DRAINING;
    log_info("server", "stopping: %zu connections", admission_connections(server->admission));
    for (size_t i = 0; i < server->config->workers; i++) {
        worker_drain(server->seats[i].worker);
    }
    uv_timer_start(&server->timer, on_drain_bound, DRAIN_BOUND_MS, 0);
}

static void on_grace_over(uv_timer_t *timer) {
    drain(timer->data);
}

// Unready from now on; drains when balancers had `grace_ms` to notice.
static void leave(struct server *server, uint64_t grace_ms) {
    server->state = STATE_LEAVING;
    readyz_leave();
    if (grace_ms == 0) {
        drain(server);
        return;
    }
    for (size_t i = 0; i < server->config->workers; i++) {
        worker_leave(server->seats[i].worker);
    }
    log_info("server", "leaving: unready, and draining in %" PRIu64 " ms", grace_ms);
    uv_timer_start(&server->timer, on_grace_over, grace_ms, 0);
}

// A service manager's SIGTERM after POST /drain is no second signal: what goes on goes on.
static void on_signal(uv_signal_t *handle, int signal) {
    struct server *server = handle->data;
    if (server->is_signalled) {
        log_warning("server", "a second signal: ending at once");
        _exit(1);
    }
    server->is_signalled = true;
    if (server->state == STATE_STARTING) {
        uv_stop(&server->loop);
    } else if (signal == SIGINT && server->state != STATE_DRAINING) {
        leave(server, 0); // a person at the keyboard has no balancer that must notice first
    } else if (server->state == STATE_SERVING) {
        leave(server, server->config->drain_grace_ms);
    }
}

static void on_drain_asked(uv_async_t *async) {
    struct server *server = async->data;
    if (server->state == STATE_SERVING) {
        leave(server, server->config->drain_grace_ms);
    }
}

static void close_handles(struct server *server) {
    uv_close((uv_handle_t *)&server->sigterm, NULL);
    uv_close((uv_handle_t *)&server->sigint, NULL);
    uv_close((uv_handle_t *)&server->timer, NULL);
    uv_close((uv_handle_t *)&server->ended, NULL);
    uv_close((uv_handle_t *)&server->drain_asked, NULL);
}

static void on_ended(uv_async_t *async) {
    struct server *server = async->data;
    if (atomic_load(&server->running) == 0) {
        close_handles(server);
    }
}

static void open_loop(struct server *server) {
    die_if(uv_loop_init(&server->loop), "loop");
    die_if(uv_async_init(&server->loop, &server->ended, on_ended), "loop");
    die_if(uv_async_init(&server->loop, &server->drain_asked, on_drain_asked), "loop");
    uv_timer_init(&server->loop, &server->timer);
    uv_signal_init(&server->loop, &server->sigterm);
    uv_signal_init(&server->loop, &server->sigint);
    server->ended.data = server->drain_asked.data = server->timer.data = server;
    server->sigterm.data = server->sigint.data = server;
    die_if(uv_signal_start(&server->sigterm, on_signal, SIGTERM), "signals");
    die_if(uv_signal_start(&server->sigint, on_signal, SIGINT), "signals");
}

static void say_hello(const struct server *server) {
    const struct config *config = server->config;
    struct bytes ports = {0};
    config_append(config, "listen", &ports);
    bytes_append(&ports, SLICE(" admin="));
    config_append(config, "admin", &ports);
    bytes_append(&ports, SLICE(" redis="));
    config_append(config, "redis", &ports);
    log_info("server",
             "freshet-node " FRESHET_VERSION " node=%s listen=%.*s workers=%zu "
             "connections=%zu",
             config->node_id, SLICE_ARGS(bytes_slice(&ports)), config->workers,
             server->connections_max);
    bytes_release(&ports);
    if (config->anonymous.count == 0 && config->auth_keys.count == 0) {
        log_warning("server", "nobody can subscribe: there is neither --auth-key nor --anonymous");
    }
}

// ---- Starting ------------------------------------------------------------------------------------

static void on_start_look(uv_timer_t *timer) {
    struct server *server = timer->data;
    struct cluster_state state;
    cluster_state(server->cluster, &state);
    if (state.is_ready || clock_mono_ms() >= server->serve_ms) {
        uv_stop(&server->loop);
    }
}

// A balancer that finds its nodes by name sends clients as soon as the port is open, before it has
// asked /readyz: so it opens when they can be served. Where Redis is away they get to know it.
static void wait_for_redis(struct server *server) {
    server->serve_ms = clock_mono_ms() + START_PATIENCE_MS;
    uv_timer_start(&server->timer, on_start_look, 0, START_LOOK_MS);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&server->timer);
}

// Nobody else listens there, as far as can be seen: with SO_REUSEPORT a second node would share the
// port in silence.
static int check_ports(const struct config *config) {
    int error = check_port("listen", config->listen_host, config->listen_port);
    return error < 0 ? error : check_port("admin", config->admin_host, config->admin_port);
}

static int serve(struct server *server) {
    int error = check_ports(server->config); // somebody may have come meanwhile
    if (error < 0) {
        return error;
    }
    server->state = STATE_SERVING;
    open_workers(server);
    start_workers(server);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    end_workers(server);
    return 0;
}

int server_run(const struct config *config) {
    struct server server = {.config = config, .state = STATE_STARTING};
    int error = check_ports(config);
    error = error < 0 ? error : open_cluster(&server);
    if (error < 0) {
        return error;
    }
    open_loop(&server);
    open_admission(&server);
    say_hello(&server);
    wait_for_redis(&server);
    if (!server.is_signalled) {
        error = serve(&server);
    }
    if (server.state == STATE_STARTING) {
        close_handles(&server);
        uv_run(&server.loop, UV_RUN_DEFAULT);
    }
    admission_destroy(&server.admission);
    cluster_close(&server.cluster);
    CHECK(uv_loop_close(&server.loop) == 0);
    if (error == 0) {
        log_info("server", "stopped");
    }
    return error;
}
