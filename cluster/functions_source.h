// The function library's Lua source, embedded by functions/embed.cmake at build time.
#ifndef FRESHET_CLUSTER_FUNCTIONS_SOURCE_H
#define FRESHET_CLUSTER_FUNCTIONS_SOURCE_H

#include <stddef.h>

extern const char functions_source[];
extern const size_t functions_source_len;
extern const int functions_version;

#endif
