// freshet check --node: is a node ready, and does it stand where Redis does?
//
// A head that moves is compared with two reads of Redis, one before and one after the node was
// asked: in between is where a node must be. It may lag for a moment, so it is asked again.
#include "cluster/base/json.h"
#include "cluster/base/json_walk.h"
#include "cluster/base/mem.h"
#include "cluster/cli/check.h"
#include "cluster/cli/http_get.h"
#include "cluster/cli/interrupt.h"
#include "cluster/keys.h"
#include "cluster/log_page.h"

#include <stdio.h>
#include <uv.h>

enum { ATTEMPTS = 15, PAUSE_MS = 200 };

// One channel, as this Redis and one node have it.
struct stand {
    const char *channel;
    struct position before; // of Redis
    struct position after;
    bool is_held;
    bool is_live;
    struct position head; // of the node
};

struct stands {
    struct checkup *checkup;
    const char *url;
    struct redis_address server;
    struct stand *items; // owned
    size_t count;
};

// ---- Redis ---------------------------------------------------------------------------------------

static int read_head(struct checkup *checkup, const char *channel, struct position *head_r) {
    struct client *client = &checkup->client;
    struct keys keys;
    redisReply *hash;
    redisReply *last;
    keys_init(&keys, checkup->tool->prefix, slice_of(channel));
    client_send(client,
                WORDS(SLICE("HMGET"), keys.hash, SLICE("epoch"), SLICE("version"), SLICE("fork")));
    client_send(client, WORDS(SLICE("XREVRANGE"), keys.log, SLICE("+"), SLICE("-"), SLICE("COUNT"),
                              SLICE("1")));
    int error = client_receive(client, &hash);
    if (error < 0) {
        return error;
    }
    error = client_receive(client, &last);
    if (error == 0) {
        *head_r = log_head_of(hash, last).head;
        reply_free(&last);
    }
    reply_free(&hash);
    return error;
}

// ---- The node ------------------------------------------------------------------------------------

static bool text_of(struct slice object, struct slice name, struct bytes *text_r) {
    struct slice value;
    bytes_clear(text_r);
    return json_find_member(object, name, &value) && json_decode_string(text_r, value) == 0;
}

// Fills in what an element of "channels" says, if it is one of ours.
static void take_channel(struct stands *stands, struct slice element) {
    struct bytes name = {0};
    struct bytes head = {0};
    struct slice live;
    struct position position;
    bool is_whole =
        json_kind(element) == JSON_KIND_OBJECT && text_of(element, SLICE("channel"), &name) &&
        text_of(element, SLICE("head"), &head) && json_find_member(element, SLICE("live"), &live);
    for (size_t i = 0; i < stands->count && is_whole; i++) {
        struct stand *stand = &stands->items[i];
        if (slice_equal(bytes_slice(&name), slice_of(stand->channel))) {
            stand->is_held = position_parse(bytes_slice(&head), &position) == 0;
            stand->head = stand->is_held ? position : POSITION_NONE;
            stand->is_live = slice_equal(live, SLICE("true"));
        }
    }
    bytes_release(&name);
    bytes_release(&head);
}

static int read_node(struct stands *stands, char why_r[static HTTP_WHY_MAX]) {
    struct bytes body = {0};
    struct slice channels;
    struct slice element;
    int error = http_get(&stands->server, "/channels?limit=100000", 200, &body, why_r);
    if (error == 0 && (!json_find_member(bytes_slice(&body), SLICE("channels"), &channels) ||
                       json_kind(channels) != JSON_KIND_ARRAY)) {
        snprintf(why_r, HTTP_WHY_MAX, "its list of channels is none: is this a node?");
        error = UV_EINVAL;
    }
    for (size_t i = 0; i < stands->count; i++) {
        stands->items[i].is_held = false;
    }
    if (error == 0) {
        struct json_walk walk = json_walk_into(channels);
        while (json_walk_element(&walk, &element)) {
            take_channel(stands, element);
        }
    }
    bytes_release(&body);
    return error;
}

// ---- The verdict ---------------------------------------------------------------------------------

// Where the node must be, or as good as.
static bool is_in_step(const struct stand *stand) {
    return !stand->is_held || (position_compare(stand->head, stand->before) >= 0 &&
                               position_compare(stand->head, stand->after) <= 0);
}

static bool are_in_step(const struct stands *stands) {
    for (size_t i = 0; i < stands->count; i++) {
        if (!is_in_step(&stands->items[i])) {
            return false;
        }
    }
    return true;
}

static void judge(const struct stands *stands, const struct stand *stand) {
    struct checkup *checkup = stands->checkup;
    char node[POSITION_TEXT_MAX];
    char redis[POSITION_TEXT_MAX];
    position_format(stand->head, node);
    position_format(stand->after, redis);
    if (!stand->is_held) {
        checkup_tell(checkup, FINDING_FINE, stand->channel, NULL,
                     "%s does not list it: nobody is subscribed there", stands->url);
    } else if (position_compare(stand->head, stand->before) < 0) {
        checkup_tell(checkup, FINDING_BROKEN, stand->channel,
                     "look whether it reaches this Redis, and at /readyz of its admin port",
                     "%s stands at %s, Redis at %s: it does not hear what is published",
                     stands->url, node, redis);
    } else if (position_compare(stand->head, stand->after) > 0) {
        checkup_tell(checkup, FINDING_BROKEN, stand->channel,
                     "look whether it reaches this Redis; if so, its subscribers will be reset",
                     "%s stands at %s, which this Redis does not know: it is at %s", stands->url,
                     node, redis[0] != '\0' ? redis : "none");
    } else if (!stand->is_live) {
        checkup_tell(checkup, FINDING_WARNING, stand->channel, "wait, and look again",
                     "%s stands at %s, and still compares it with Redis", stands->url, node);
    } else {
        checkup_tell(checkup, FINDING_FINE, stand->channel, NULL, "%s stands at %s", stands->url,
                     node);
    }
}

static int read_heads(struct stands *stands, bool is_after) {
    int error = 0;
    for (size_t i = 0; i < stands->count && error == 0; i++) {
        struct stand *stand = &stands->items[i];
        error =
            read_head(stands->checkup, stand->channel, is_after ? &stand->after : &stand->before);
    }
    return error;
}

// Errors are those of Redis. 1: the node did not answer, which was told.
static int compare(struct stands *stands) {
    char why[HTTP_WHY_MAX];
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (attempt > 0) {
            interrupt_sleep(PAUSE_MS);
        }
        int error = read_heads(stands, false);
        if (error < 0) {
            return error;
        }
        if (read_node(stands, why) < 0) {
            checkup_tell(stands->checkup, FINDING_BROKEN, "node", NULL, "%s: %s", stands->url, why);
            return 1;
        }
        error = read_heads(stands, true);
        if (error < 0 || are_in_step(stands)) {
            return error;
        }
    }
    return 0;
}

static void tell_readiness(const struct stands *stands, struct slice answer) {
    struct slice ready;
    struct slice reasons;
    struct slice reason;
    struct bytes text = {0};
    struct checkup *checkup = stands->checkup;
    if (!json_find_member(answer, SLICE("ready"), &ready)) {
        checkup_tell(checkup, FINDING_BROKEN, "node", "name its admin port (--admin)",
                     "%s is no node's admin port", stands->url);
        return;
    }
    if (slice_equal(ready, SLICE("true"))) {
        checkup_tell(checkup, FINDING_FINE, "node", NULL, "%s is ready", stands->url);
        return;
    }
    if (json_find_member(answer, SLICE("reasons"), &reasons) &&
        json_kind(reasons) == JSON_KIND_ARRAY) {
        struct json_walk walk = json_walk_into(reasons);
        if (json_walk_element(&walk, &reason)) {
            json_decode_string(&text, reason);
        }
    }
    checkup_tell(checkup, FINDING_BROKEN, "node", NULL, "%s is not ready: %.*s", stands->url,
                 SLICE_ARGS(bytes_slice(&text)));
    bytes_release(&text);
}

static int check_node(struct stands *stands) {
    char why[HTTP_WHY_MAX];
    struct bytes answer = {0};
    int error = http_get(&stands->server, "/readyz", 503, &answer, why);
    if (error < 0) {
        checkup_tell(stands->checkup, FINDING_BROKEN, "node", "name its admin port (--admin)",
                     "%s: %s", stands->url, why);
        bytes_release(&answer);
        return 0;
    }
    tell_readiness(stands, bytes_slice(&answer));
    bytes_release(&answer);
    if (stands->count == 0) {
        return 0;
    }
    error = compare(stands);
    for (size_t i = 0; i < stands->count && error == 0; i++) {
        judge(stands, &stands->items[i]);
    }
    return error < 0 ? error : 0;
}

bool nodes_are_valid(const struct words *nodes) {
    for (size_t i = 0; i < nodes->count; i++) {
        struct redis_address server;
        const char *why;
        int error = http_server_parse(slice_of(nodes->items[i]), &server, &why);
        redis_address_release(&server);
        if (error < 0) {
            complain("--node \"%.100s\": %s", nodes->items[i], why);
            return false;
        }
    }
    return true;
}

int check_nodes(struct checkup *checkup, const struct words *nodes, const struct words *channels) {
    int error = 0;
    for (size_t i = 0; i < nodes->count && error == 0; i++) {
        struct stands stands = {
            .checkup = checkup, .url = nodes->items[i], .count = channels->count};
        const char *why;
        CHECK(http_server_parse(slice_of(stands.url), &stands.server, &why) == 0);
        stands.items = mem_alloc_array(channels->count + 1, sizeof(*stands.items));
        for (size_t k = 0; k < channels->count; k++) {
            stands.items[k].channel = channels->items[k];
        }
        error = check_node(&stands);
        mem_free(stands.items);
        redis_address_release(&stands.server);
    }
    return error;
}
