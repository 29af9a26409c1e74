// Open addressing with linear probing. A removed entry leaves no tombstone: those behind it move
// up, so lookups stay short however long the map lives.
#include "cluster/base/map.h"

#include <pthread.h>
#include <sys/random.h>

#include "cluster/base/check.h"
#include "cluster/base/mem.h"
#include "cluster/base/siphash.h"

enum { CAPACITY_FIRST = 16 };

static uint64_t hash_key[2];

static void draw_hash_key(void) {
    CHECK(getrandom(hash_key, sizeof(hash_key), 0) == (ssize_t)sizeof(hash_key));
}

uint64_t map_hash(struct slice key) {
    static pthread_once_t drawn = PTHREAD_ONCE_INIT;
    pthread_once(&drawn, draw_hash_key);
    return siphash(hash_key, key, 1, 3);
}

static size_t home_of(const struct map *map, uint64_t hash) {
    return (size_t)hash & (map->capacity - 1);
}

static size_t after(const struct map *map, size_t index) {
    return (index + 1) & (map->capacity - 1);
}

// How far `index` lies behind `from`, around the end.
static size_t distance(const struct map *map, size_t from, size_t index) {
    return (index - from) & (map->capacity - 1);
}

// Where the key is, or the free slot where it would go. There is always a free one.
static struct map_slot *find_slot(const struct map *map, uint64_t hash, struct slice key) {
    size_t index = home_of(map, hash);
    while (map->slots[index].value != NULL) {
        if (map->slots[index].hash == hash && slice_equal(map->slots[index].key, key)) {
            break;
        }
        index = after(map, index);
    }
    return &map->slots[index];
}

static void resize(struct map *map, size_t capacity) {
    struct map old = *map;
    map->slots = mem_alloc_array(capacity, sizeof(*map->slots));
    map->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].value != NULL) {
            *find_slot(map, old.slots[i].hash, old.slots[i].key) = old.slots[i];
        }
    }
    mem_free(old.slots);
}

// Moves up each entry that stands behind the hole only because the hole was taken.
static void close_hole(struct map *map, size_t hole) {
    size_t index = after(map, hole);
    for (; map->slots[index].value != NULL; index = after(map, index)) {
        size_t home = home_of(map, map->slots[index].hash);
        if (distance(map, home, index) >= distance(map, hole, index)) {
            map->slots[hole] = map->slots[index];
            hole = index;
        }
    }
    map->slots[hole] = (struct map_slot){0};
}

void map_release(struct map *map) {
    mem_free(map->slots);
    *map = (struct map){0};
}

void *map_get(const struct map *map, struct slice key) {
    return map->count > 0 ? find_slot(map, map_hash(key), key)->value : NULL;
}

void map_put(struct map *map, struct slice key, void *value) {
    CHECK(value != NULL);
    if ((map->count + 1) * 4 > map->capacity * 3) {
        resize(map, map->capacity > 0 ? map->capacity * 2 : CAPACITY_FIRST);
    }
    uint64_t hash = map_hash(key);
    struct map_slot *slot = find_slot(map, hash, key);
    CHECK(slot->value == NULL);
    *slot = (struct map_slot){hash, key, value};
    map->count++;
}

void *map_remove(struct map *map, struct slice key) {
    if (map->count == 0) {
        return NULL;
    }
    struct map_slot *slot = find_slot(map, map_hash(key), key);
    void *value = slot->value;
    if (value == NULL) {
        return NULL;
    }
    close_hole(map, (size_t)(slot - map->slots));
    map->count--;
    // Far below the mark to grow, so that one name coming and going does not resize each time.
    if (map->capacity > CAPACITY_FIRST && map->count < map->capacity / 8) {
        resize(map, map->capacity / 2);
    }
    return value;
}

void *map_next(const struct map *map, size_t *at) {
    while (*at < map->capacity) {
        void *value = map->slots[(*at)++].value;
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}
