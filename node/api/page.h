// The files that the binary carries: the page at `/` and the client that it uses. embed.cmake makes
// their definitions at build time.
#ifndef FRESHET_NODE_API_PAGE_H
#define FRESHET_NODE_API_PAGE_H

#include "cluster/base/slice.h"

struct asset {
    struct slice bytes;
    struct slice etag; // with its quotes
};

extern const struct asset asset_page;
extern const struct asset asset_client;

#endif
