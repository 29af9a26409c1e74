// Names and texts of error numbers. uv_err_name is not used: it leaks for numbers it does not know.
#include "cluster/base/error.h"

#include <uv.h>

const char *error_name(int error) {
    switch (error) {
#define UV_CASE(name, text)                                                                        \
    case UV_##name: return #name;
        UV_ERRNO_MAP(UV_CASE)
#undef UV_CASE
#define OWN_CASE(number, name, text)                                                               \
    case name: return #name;
        ERROR_MAP(OWN_CASE)
#undef OWN_CASE
    case 0: return "OK";
    default: return "UNKNOWN";
    }
}

const char *error_text(int error) {
    switch (error) {
#define UV_CASE(name, text)                                                                        \
    case UV_##name: return text;
        UV_ERRNO_MAP(UV_CASE)
#undef UV_CASE
#define OWN_CASE(number, name, text)                                                               \
    case name: return text;
        ERROR_MAP(OWN_CASE)
#undef OWN_CASE
    case 0: return "no error";
    default: return "unknown error";
    }
}
