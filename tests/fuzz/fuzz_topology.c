// The option `redis`, as somebody may have typed it: refused with a reason, or understood; and what is
// said of it in a log can be read back as the same servers, without any secret.
#include "tests/fuzz/fuzz.h"

#include "cluster/base/check.h"
#include "cluster/topology.h"

#include <string.h>

static void check_address(const struct redis_address *address) {
    CHECK(address->password != NULL || address->user == NULL);
    CHECK((address->host == NULL) == (address->port == NULL));
}

static void check_topology(const struct topology *topology) {
    bool has_sentinels = topology->master_name != NULL;
    CHECK(has_sentinels == (topology->sentinel_count > 0));
    CHECK(topology->sentinel_count <= SENTINELS_MAX);
    check_address(&topology->server);
    for (size_t i = 0; i < topology->sentinel_count; i++) {
        CHECK(topology->sentinels[i].host != NULL);
        check_address(&topology->sentinels[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct topology topology;
    const char *why = NULL;
    if (topology_parse(slice_make(data, size), &topology, &why) < 0) {
        CHECK(why != NULL && why[0] != '\0');
        return 0;
    }
    check_topology(&topology);
    char text[REDIS_DESCRIPTION_MAX];
    topology_describe(&topology, text, sizeof(text));
    CHECK(strlen(text) < sizeof(text));
    CHECK(topology.server.socket_path != NULL || strchr(text, '@') == NULL);
    topology_release(&topology);
    return 0;
}
