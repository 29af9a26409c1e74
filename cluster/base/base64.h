// Base64 with padding (RFC 4648, section 4).
#ifndef FRESHET_CLUSTER_BASE_BASE64_H
#define FRESHET_CLUSTER_BASE_BASE64_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"

void base64_append(struct bytes *bytes, struct slice data);

// Appends the decoded bytes; UV_EINVAL, with nothing appended, when text is not exactly that form.
int base64_decode(struct bytes *bytes, struct slice text);

#endif
