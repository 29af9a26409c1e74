// Memory. Small allocations of our own making die on failure: nothing sensible can follow. Sizes
// that a client chose go through mem_try_*, and a failure closes that client alone.
#ifndef FRESHET_CLUSTER_BASE_MEM_H
#define FRESHET_CLUSTER_BASE_MEM_H

#include <stddef.h>

// Zeroed. Never NULL. Release with mem_free.
void *mem_alloc(size_t size);
void *mem_alloc_array(size_t count, size_t size);
void *mem_realloc(void *old, size_t size);
char *mem_copy_string(const char *text);

// NULL when memory is short. Not zeroed.
void *mem_try_alloc(size_t size);
void *mem_try_realloc(void *old, size_t size);

void mem_free(void *memory); // NULL is fine

#endif
