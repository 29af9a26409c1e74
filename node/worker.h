// One worker: a loop with its listener, connections, hub and timers. Workers share nothing but the
// cluster, the admission, and each other's metrics, which are read only.
//
// The first worker also runs the admin port. worker_leave and worker_drain may be called from any
// thread; everything else before worker_run starts or after it returned.
#ifndef FRESHET_NODE_WORKER_H
#define FRESHET_NODE_WORKER_H

#include "cluster/cluster.h"
#include "node/config.h"
#include "node/metrics.h"
#include "node/net/admission.h"

#include <stddef.h>

struct worker;

// Everything is borrowed and must outlive the worker.
struct worker_options {
    const struct config *config;
    struct cluster *cluster;
    struct admission *admission;     // of all workers together
    void (*ask_drain)(void *server); // called by the admin port, on the worker's thread
    void *server;
};

// Opens all but the ports. UV_E* when the system is out of something; the process is to end then,
// nothing is taken back.
int worker_open(const struct worker_options *options, struct worker **worker_r);

// UV_EADDRINUSE and its kin. Clients wait in the kernel's queue until worker_run.
int worker_listen(struct worker *worker);
int worker_listen_admin(struct worker *worker, const struct metrics *const *all, size_t count);

const struct metrics *worker_metrics(const struct worker *worker);

// Returns when the worker has drained and given everything back.
void worker_run(struct worker *worker);

// Any thread: serves as before, but lets no connection be used again (see http_leave).
void worker_leave(struct worker *worker);

// Any thread, once: takes no more clients, ends polls and streams politely, cuts what is left after
// WORKER_DRAIN_MAX_MS, and makes worker_run return.
enum { WORKER_DRAIN_MAX_MS = 10 * 1000 };
void worker_drain(struct worker *worker);

// After worker_run returned. NULLs *worker.
void worker_close(struct worker **worker);

#endif
