// /healthz: the process lives. /readyz: messages reach this node, and it is not about to go. Balancers
// ask them every second or two; the client port gives the status alone.
#include "node/api/api.h"

#include "cluster/base/json.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

// Set by the server before a worker drains: balancers need time to notice.
static atomic_bool is_leaving;

void readyz_leave(void) {
    atomic_store(&is_leaving, true);
}

void node_state(const struct cluster *cluster, struct cluster_state *state_r) {
    cluster_state(cluster, state_r);
    if (atomic_load(&is_leaving)) {
        state_r->is_ready = false;
        snprintf(state_r->reason, sizeof(state_r->reason), "the node is stopping");
    }
}

static void answer(struct exchange *exchange, int status, const char *type, struct slice body) {
    exchange_field(exchange, "Cache-Control", SLICE("no-store"));
    exchange_answer(exchange, status, type, body);
}

void healthz_handle(struct exchange *exchange, void *context) {
    (void)context;
    answer(exchange, 200, "text/plain", SLICE("alive\n"));
}

void readyz_handle(struct exchange *exchange, void *context) {
    const struct service *service = context;
    struct cluster_state state;
    node_state(service->cluster, &state);
    answer(exchange, state.is_ready ? 200 : 503, "text/plain",
           state.is_ready ? SLICE("ready\n") : SLICE("not ready\n"));
}

void admin_readyz_handle(struct exchange *exchange, void *context) {
    const struct admin *admin = context;
    struct cluster_state state;
    node_state(admin->service.cluster, &state);
    struct bytes body = {0};
    bytes_append_format(&body, "{\"ready\":%s,\"node\":", state.is_ready ? "true" : "false");
    json_append_string(&body, slice_of(admin->service.config->node_id));
    bytes_append(&body, SLICE(",\"reasons\":["));
    if (state.reason[0] != '\0') {
        json_append_string(&body, slice_of(state.reason));
    }
    bytes_append(&body, SLICE("],\"warnings\":["));
    const char *comma = "";
    for (size_t i = 0; i < CLUSTER_WARNINGS; i++) {
        if (state.warnings[i][0] != '\0') {
            bytes_append(&body, slice_of(comma));
            json_append_string(&body, slice_of(state.warnings[i]));
            comma = ",";
        }
    }
    bytes_append_format(&body, "],\"unheard_ms\":%" PRIu64 "}\n", state.unheard_ms);
    answer(exchange, state.is_ready ? 200 : 503, "application/json", bytes_slice(&body));
    bytes_release(&body);
}
