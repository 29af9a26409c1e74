// A hash map from byte strings to pointers, keyed with SipHash-1-3 and a key drawn at start, so
// that nobody outside can choose names that collide.
//
// The map borrows its keys: they live in the values, and must not change while they are in it.
// Open addressing; grows at 3/4 full, shrinks below 1/8. Single-threaded.
#ifndef FRESHET_CLUSTER_BASE_MAP_H
#define FRESHET_CLUSTER_BASE_MAP_H

#include "cluster/base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
    uint64_t hash;
    struct slice key; // borrowed
    void *value;      // borrowed; NULL where the slot is free
};

struct map {
    struct map_slot *slots; // owned; NULL while nothing was ever put
    size_t capacity;        // 0 or a power of two
    size_t count;
};

// Zeroed memory is a valid empty map.
void map_release(struct map *map);

void *map_get(const struct map *map, struct slice key);       // NULL when absent
void map_put(struct map *map, struct slice key, void *value); // the key must be absent
void *map_remove(struct map *map, struct slice key);          // what was there, or NULL

// Visits all; start with *at = 0; NULL at the end. The map must not change meanwhile.
void *map_next(const struct map *map, size_t *at);

// The keyed hash itself. Same key for the life of the process.
uint64_t map_hash(struct slice key);

#endif
