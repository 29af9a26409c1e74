// Assertions that stay on in every build, and the GNU attributes this project uses.
//
// Assert what our own code guarantees, on both sides of a border. Never assert on bytes from the
// wire: those are handled.
#ifndef FRESHET_CLUSTER_BASE_CHECK_H
#define FRESHET_CLUSTER_BASE_CHECK_H

#include <stddef.h>

#define PRINTF_LIKE(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#define NORETURN                        __attribute__((noreturn))
#define MUST_USE                        __attribute__((warn_unused_result))

// Prints where and what to stderr, then aborts, so that a core file shows the caller.
NORETURN void check_failed(const char *file, int line, const char *what);

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

// Objects that pass through a void * or a public entry carry `uint32_t magic` as a field: a freed
// or mistaken object is caught at the door. Each kind has its own value.
#define CHECK_OBJ(object, value) CHECK((object) != NULL && (object)->magic == (value))

// The struct around an embedded member, as in the kernel's list.h.
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
