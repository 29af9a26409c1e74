// Looking up the fields of a request.
#include "node/http/request.h"

bool request_field_next(const struct request *request, struct slice name, size_t *at,
                        struct slice *value_r) {
    while (*at < request->field_count) {
        const struct http_field *field = &request->fields[(*at)++];
        if (slice_equal_nocase(field->name, name)) {
            *value_r = field->value;
            return true;
        }
    }
    return false;
}

bool request_field(const struct request *request, struct slice name, struct slice *value_r) {
    size_t at = 0;
    return request_field_next(request, name, &at, value_r);
}
