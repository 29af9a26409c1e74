// Loading and watching the function library.
#include "cluster/functions.h"

#include "cluster/core.h"
#include "cluster/functions_source.h"

enum { LOAD_AGAIN_MS = 900 }; // the check with every echo, each second, finds it over

static void set_trouble(struct functions *functions, const char *what, const redisReply *reply) {
    functions->is_ready = false;
    snprintf(functions->trouble, sizeof(functions->trouble), "%s%s%.*s", what,
             reply != NULL ? ": " : "", reply != NULL ? (int)reply->len : 0,
             reply != NULL ? reply->str : "");
    if (!functions->has_complained) {
        functions->has_complained = true;
        log_error("cluster", "%s", functions->trouble);
    }
}

static void on_loaded(void *owner, int status, const redisReply *reply) {
    struct cluster *cluster = owner;
    cluster->functions.is_loading = false;
    if (status != 0) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR &&
        !slice_starts_with(slice_make(reply->str, reply->len), SLICE("ERR Library"))) {
        set_trouble(&cluster->functions, "the function library could not be loaded", reply);
        cluster->functions.load_ms = uv_now(&cluster->loop) + LOAD_AGAIN_MS;
        return;
    }
    // "ERR Library already exists": another node was faster. Either way the version decides.
    if (link_has_room(cluster->links[REDIS_LINK_COMMAND])) {
        functions_check(cluster);
    }
}

static void load(struct cluster *cluster, bool may_replace) {
    if (cluster->functions.is_loading || uv_now(&cluster->loop) < cluster->functions.load_ms) {
        return;
    }
    cluster->functions.is_loading = true;
    struct slice source = slice_make(functions_source, functions_source_len);
    struct slice words[4] = {SLICE("FUNCTION"), SLICE("LOAD"), source, source};
    if (may_replace) {
        words[2] = SLICE("REPLACE");
    }
    log_info("cluster", "loading the function library, version %d", functions_version);
    link_send(cluster->links[REDIS_LINK_COMMAND], may_replace ? 4 : 3, words, on_loaded, cluster);
}

bool functions_are_missing(const redisReply *reply) {
    return reply->type == REDIS_REPLY_ERROR &&
           slice_starts_with(resp_text(reply), SLICE("ERR Function not found"));
}

static void on_version(void *owner, int status, const redisReply *reply) {
    struct cluster *cluster = owner;
    struct functions *functions = &cluster->functions;
    if (status != 0 || !link_has_room(cluster->links[REDIS_LINK_COMMAND])) {
        return;
    }
    if (reply->type == REDIS_REPLY_INTEGER) {
        if (reply->integer < functions_version) {
            load(cluster, true);
            return;
        }
        functions->is_ready = true;
        functions->has_complained = false;
        functions->trouble[0] = '\0';
        return;
    }
    struct slice text = resp_text(reply);
    if (functions_are_missing(reply)) {
        functions->is_ready = false;
        load(cluster, false);
    } else if (slice_starts_with(text, SLICE("ERR unknown command"))) {
        set_trouble(functions, "this Redis has no functions: Freshet needs Redis 7 or Valkey",
                    NULL);
    } else {
        set_trouble(functions, "the function library does not answer", reply);
    }
}

void functions_check(struct cluster *cluster) {
    link_send(cluster->links[REDIS_LINK_COMMAND], 3,
              (struct slice[]){SLICE("FCALL_RO"), SLICE("freshet_version"), SLICE("0")}, on_version,
              cluster);
}

void functions_load(struct cluster *cluster) {
    load(cluster, false);
}

void functions_on_link_down(struct cluster *cluster) {
    cluster->functions.is_ready = false;
    cluster->functions.is_loading = false;
    cluster->functions.load_ms = 0;
}
