// POST /publish: reads the request (publication.c), asks for the right, hands all of it to the
// cluster at once, and answers when everything has come back.
//
// A client that goes away meanwhile does not stop what was begun: the calls complete, and what they
// point into lives until then.
#include "node/api/api.h"

#include "cluster/base/mem.h"
#include "node/api/publication.h"
#include "node/auth/grant.h"
#include "node/http/response.h"

#include <uv.h>

struct publishing {
    uint32_t magic;
    struct exchange *exchange; // borrowed; NULL when the client is gone
    struct metrics *metrics;   // borrowed
    struct publish_request request;
    size_t waiting; // calls that have not completed
};

#define PUBLISHING_MAGIC 0x70756273u

static void destroy(struct publishing **publishing) {
    publish_request_release(&(*publishing)->request);
    mem_free(*publishing);
    *publishing = NULL;
}

static void set_refusal(struct fault *fault, const struct publish_call *call) {
    static const struct {
        int status;
        const char *code;
    } refusals[] = {
        [REFUSAL_NONE] = {400, "bad-request"}, [REFUSAL_ARGUMENTS] = {400, "bad-request"},
        [REFUSAL_JSON] = {400, "json"},        [REFUSAL_RIGHTS] = {500, "rights"},
        [REFUSAL_REDIS] = {500, "redis"},
    };
    fault_set(fault, refusals[call->refusal].status, refusals[call->refusal].code, "%s",
              call->text);
}

// What Redis said, as the fault that tells the client what to do about it.
static void set_fault(struct publication *item) {
    const struct publish_call *call = &item->call;
    struct fault *fault = &item->fault;
    switch (call->result) {
    case PUBLISH_OK:
        break;
    case PUBLISH_CONFLICT:
        fault_set(fault, 412, "conflict", "the channel's head is another one");
        break;
    case PUBLISH_REFUSED:
        set_refusal(fault, call);
        break;
    case PUBLISH_UNAVAILABLE:
        fault_set(fault, 503, "unavailable", "nothing was published, try again%s%.100s",
                  call->text[0] == '\0' ? "" : ": ", call->text);
        break;
    case PUBLISH_UNKNOWN:
        fault_set(fault, 504, "unknown",
                  "sent, but Redis did not answer in time; repeat it with the same once");
        break;
    }
}

static void count_fault(const struct publishing *publishing, const struct fault *fault) {
    enum refuse_reason reason;
    switch (fault->status) {
    case 400:
    case 413:
        reason = REFUSE_BAD_REQUEST;
        break;
    case 401:
        reason = REFUSE_TOKEN;
        break;
    case 403:
        reason = REFUSE_FORBIDDEN;
        break;
    case 503:
        reason = REFUSE_UNAVAILABLE;
        break;
    default:
        return;
    }
    metrics_add(&publishing->metrics->refused[reason], 1);
}

static void append_result(struct bytes *body, const struct publication *item) {
    if (item->fault.status == 0) {
        bytes_append_format(body, "{\"position\":\"%s\"}", item->call.text);
        return;
    }
    response_append_problem(body, item->fault.status, item->fault.code,
                            slice_of(item->fault.detail));
    if (item->fault.status == 412) {
        // One more member, before the brace and the line end that close the document.
        body->len -= 2;
        bytes_append_format(body, ",\"head\":\"%s\"}\n", item->call.text);
    }
}

static void answer_one(struct exchange *exchange, const struct publication *item) {
    struct bytes body = {0};
    append_result(&body, item);
    bool is_fine = item->fault.status == 0;
    if (item->fault.status == 503) {
        exchange_field(exchange, "Retry-After", SLICE("1"));
    }
    if (item->fault.status == 401) {
        exchange_field(exchange, "WWW-Authenticate", SLICE("Bearer"));
    }
    exchange_field(exchange, "Cache-Control", SLICE("no-store"));
    exchange_answer(exchange, is_fine ? 200 : item->fault.status,
                    is_fine ? "application/json" : "application/problem+json", bytes_slice(&body));
    bytes_release(&body);
}

static void answer_array(struct exchange *exchange, const struct publish_request *request) {
    struct bytes body = {0};
    bytes_append_char(&body, '[');
    for (size_t i = 0; i < request->count; i++) {
        bytes_append(&body, i == 0 ? SLICE("") : SLICE(","));
        append_result(&body, &request->items[i]);
    }
    bytes_append_char(&body, ']');
    exchange_field(exchange, "Cache-Control", SLICE("no-store"));
    exchange_answer(exchange, 200, "application/json", bytes_slice(&body));
    bytes_release(&body);
}

// Everything has come back.
static void finish(struct publishing *publishing) {
    struct publish_request *request = &publishing->request;
    for (size_t i = 0; i < request->count; i++) {
        count_fault(publishing, &request->items[i].fault);
    }
    if (publishing->exchange != NULL && request->is_array) {
        answer_array(publishing->exchange, request);
    } else if (publishing->exchange != NULL) {
        answer_one(publishing->exchange, &request->items[0]);
    }
    destroy(&publishing);
}

static void on_published(struct call *call) {
    struct publication *item = CONTAINER_OF(call, struct publication, call.call);
    struct publishing *publishing = item->owner;
    CHECK_OBJ(publishing, PUBLISHING_MAGIC);
    set_fault(item);
    if (--publishing->waiting == 0) {
        finish(publishing);
    }
}

static void on_gone(void *state) {
    struct publishing *publishing = state;
    CHECK_OBJ(publishing, PUBLISHING_MAGIC);
    publishing->exchange = NULL; // the last call to complete frees
}

static void check_right(struct publication *item, const struct grant *grant) {
    struct grant_problem problem;
    if (grant_check(grant, JWT_PUBLISH, item->call.channel, &problem) < 0) {
        fault_set(&item->fault, problem.status, problem.code, "%s", problem.detail);
    }
}

// `is_trusted`: whoever reaches the port may publish.
static void publish(struct exchange *exchange, const struct service *service, bool is_trusted) {
    static const struct exchange_ops ops = {.on_gone = on_gone};
    const struct request *asked = exchange_request(exchange);
    struct publish_source source = {.query = asked->query, .body = asked->body};
    request_field(asked, SLICE("Content-Type"), &source.content_type);
    request_field(asked, SLICE("Idempotency-Key"), &source.idempotency_key);
    struct publishing *publishing = mem_alloc(sizeof(*publishing));
    publishing->magic = PUBLISHING_MAGIC;
    publishing->exchange = exchange;
    publishing->metrics = service->metrics;
    struct fault fault = {0};
    if (publish_request_read(&source, &publishing->request, &fault) < 0) {
        count_fault(publishing, &fault);
        exchange_problem(exchange, fault.status, fault.code, "%s", fault.detail);
        destroy(&publishing);
        return;
    }
    struct grant grant = {0};
    if (!is_trusted) {
        grant_from_request(asked, service->config, hub_wall_ms(service->hub), &grant);
    }
    exchange_attach(exchange, &ops, publishing);
    for (size_t i = 0; i < publishing->request.count; i++) {
        struct publication *item = &publishing->request.items[i];
        if (item->fault.status == 0 && !is_trusted) {
            check_right(item, &grant);
        }
        if (item->fault.status == 0) {
            item->owner = publishing;
            item->call.call.on_done = on_published;
            publishing->waiting++;
            cluster_publish(service->member, &item->call); // never completes within the call
        }
    }
    grant_release(&grant);
    if (publishing->waiting == 0) {
        finish(publishing);
    }
}

void publish_handle(struct exchange *exchange, void *context) {
    publish(exchange, context, false);
}

void admin_publish_handle(struct exchange *exchange, void *context) {
    const struct admin *admin = context;
    publish(exchange, &admin->service, true);
}
