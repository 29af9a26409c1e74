// One uv_prepare per worker: collect during the turn, write once at its end.
#include "node/net/net.h"

#include <signal.h>

#include "cluster/base/check.h"
#include "cluster/base/mem.h"
#include "node/net/conn.h"

static void on_idle(uv_idle_t *idle) {
    (void)idle; // it is only there so that the loop does not sleep
}

// Tasks that are put off by tasks run in the next turn, or one busy connection could hold the loop.
static void run_tasks(struct net *net) {
    struct list tasks;
    list_init(&tasks);
    list_splice(&tasks, &net->tasks);
    for (struct list *node; (node = list_pop(&tasks)) != NULL;) {
        struct net_task *task = LIST_ENTRY(node, struct net_task, node);
        task->run(task);
    }
}

static void on_turn(uv_prepare_t *prepare) {
    struct net *net = prepare->data;
    run_tasks(net);
    for (struct list *node; (node = list_pop(&net->dirty)) != NULL;) {
        conn_flush(LIST_ENTRY(node, struct conn, dirty));
    }
    if (list_is_empty(&net->tasks)) {
        uv_idle_stop(&net->idle);
    } else {
        CHECK(uv_idle_start(&net->idle, on_idle) == 0);
    }
}

int net_open(const struct net_options *options, struct net **net_r) {
    struct net *net = mem_alloc(sizeof(*net));
    net->loop = options->loop;
    net->metrics = options->metrics;
    net->stall_ms = options->stall_ms;
    int err = wheel_open(net->loop, &net->wheel);
    if (err != 0) {
        mem_free(net);
        return err;
    }
    signal(SIGPIPE, SIG_IGN);
    net->read_buffer = mem_alloc(NET_READ_MAX);
    list_init(&net->tasks);
    list_init(&net->dirty);
    // These three cannot fail on a loop that is up.
    CHECK(uv_prepare_init(net->loop, &net->prepare) == 0);
    CHECK(uv_idle_init(net->loop, &net->idle) == 0);
    CHECK(uv_prepare_start(&net->prepare, on_turn) == 0);
    net->prepare.data = net->idle.data = net;
    uv_unref((uv_handle_t *)&net->prepare);
    *net_r = net;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle) {
    struct net *net = handle->data;
    if (--net->closing_handles == 0) {
        outq_pool_release(&net->pool);
        mem_free(net->read_buffer);
        mem_free(net);
    }
}

void net_close(struct net **net) {
    struct net *mine = *net;
    *net = NULL;
    CHECK(mine->conn_count == 0 && list_is_empty(&mine->dirty) && list_is_empty(&mine->tasks));
    wheel_close(&mine->wheel);
    mine->closing_handles = 2;
    uv_close((uv_handle_t *)&mine->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&mine->idle, on_handle_closed);
}

static bool is_waiting(const struct net_task *task) {
    return task->node.next != NULL && list_is_linked(&task->node);
}

void net_defer(struct net *net, struct net_task *task, void (*run)(struct net_task *task)) {
    if (is_waiting(task)) {
        return;
    }
    task->run = run;
    list_append(&net->tasks, &task->node);
}

void net_cancel(struct net_task *task) {
    if (is_waiting(task)) {
        list_remove(&task->node);
    }
}
