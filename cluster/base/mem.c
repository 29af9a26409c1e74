// The allocator's two tempers: mem_alloc and its kin die when memory is short, mem_try_* say so.
#include "cluster/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/base/check.h"

static NORETURN void die_of_shortage(size_t count, size_t size) {
    fprintf(stderr, "out of memory: %zu x %zu bytes were refused\n", count, size);
    abort();
}

// An empty allocation still gets an address of its own, so that NULL always means failure.
static size_t at_least_one(size_t size) {
    return size > 0 ? size : 1;
}

void *mem_alloc(size_t size) {
    return mem_alloc_array(1, size);
}

void *mem_alloc_array(size_t count, size_t size) {
    void *memory = calloc(at_least_one(count), at_least_one(size));
    if (memory == NULL) {
        die_of_shortage(count, size);
    }
    return memory;
}

void *mem_realloc(void *old, size_t size) {
    void *memory = mem_try_realloc(old, size);
    if (memory == NULL) {
        die_of_shortage(1, size);
    }
    return memory;
}

char *mem_copy_string(const char *text) {
    size_t size = strlen(text) + 1;
    return memcpy(mem_alloc(size), text, size);
}

void *mem_try_alloc(size_t size) {
    return malloc(at_least_one(size));
}

void *mem_try_realloc(void *old, size_t size) {
    return realloc(old, at_least_one(size));
}

void mem_free(void *memory) {
    free(memory);
}
