// X-Forwarded-For as a client may send it through a trusted proxy. The first line names the trusted
// networks, each line after it is one field.
#include "tests/fuzz/fuzz.h"

#include "cluster/base/check.h"
#include "node/config_network.h"
#include "node/http/forwarded.h"

#include <string.h>

enum { NETWORKS_MAX = 4, FIELDS_MAX = 8 };

static bool is_same(const struct address *a, const struct address *b) {
    return memcmp(a, b, sizeof(*a)) == 0;
}

// What was understood is written so that it is understood again as the same.
static void check_network(const struct network *network) {
    struct bytes text = {0};
    struct network again;
    network_append(&text, network);
    CHECK(network_parse(bytes_slice(&text), &again) == 0);
    CHECK(again.prefix == network->prefix && is_same(&again.base, &network->base));
    bytes_release(&text);
}

static size_t take_networks(struct slice line, struct network networks_r[static NETWORKS_MAX]) {
    size_t count = 0;
    while (line.data != NULL && count < NETWORKS_MAX) {
        if (network_parse(slice_cut(&line, ' '), &networks_r[count]) == 0) {
            check_network(&networks_r[count++]);
        }
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = slice_make(data, size);
    struct network networks[NETWORKS_MAX];
    struct network_list trusted = {.items = networks};
    trusted.count = take_networks(slice_cut(&input, '\n'), networks);
    struct request request = {.method = HTTP_METHOD_GET};
    while (input.data != NULL && request.field_count < FIELDS_MAX) {
        struct slice value = slice_trim(slice_cut(&input, '\n'));
        request.fields[request.field_count++] =
            (struct http_field){SLICE("X-Forwarded-For"), value};
    }
    struct address peer;
    CHECK(address_parse(SLICE("127.0.0.1"), &peer) == 0);
    struct address client = forwarded_client(&request, &peer, &trusted);
    struct network_list nobody = {0};
    struct address heard = forwarded_client(&request, &peer, &nobody);
    // Without another trusted hop only the last item counts; with all of it trusted more may.
    CHECK(network_list_holds(&trusted, &heard) || is_same(&client, &heard));
    return 0;
}
