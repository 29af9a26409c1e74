// A reference count that several threads share. It starts at 1, the maker's own; whoever drops the
// last one destroys the object.
#ifndef FRESHET_CLUSTER_BASE_REF_H
#define FRESHET_CLUSTER_BASE_REF_H

#include <stdatomic.h>
#include <stdbool.h>

#include "cluster/base/check.h"

struct ref {
    atomic_uint count;
};

static inline void ref_init(struct ref *ref) {
    atomic_init(&ref->count, 1);
}

static inline void ref_take(struct ref *ref) {
    CHECK(atomic_fetch_add_explicit(&ref->count, 1, memory_order_relaxed) > 0);
}

// True when it was the last one: the caller must destroy the object.
static inline bool ref_drop(struct ref *ref) {
    unsigned before = atomic_fetch_sub_explicit(&ref->count, 1, memory_order_acq_rel);
    CHECK(before > 0);
    return before == 1;
}

#endif
