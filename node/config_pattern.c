// Channel patterns: literal but for '*'.
#include "node/config.h"

#include <string.h>

// What stands before the first '*' and behind the last one is fixed at the ends; what stands between
// two may be found at its first place, for taking a later one never helps.
static bool pattern_matches(struct slice pattern, struct slice name) {
    struct slice part = slice_cut(&pattern, '*');
    if (pattern.data == NULL) {
        return slice_equal(part, name);
    }
    if (!slice_starts_with(name, part)) {
        return false;
    }
    name = slice_make(name.data + part.len, name.len - part.len);
    part = slice_cut(&pattern, '*');
    while (pattern.data != NULL) {
        const char *at =
            part.len == 0 ? name.data : memmem(name.data, name.len, part.data, part.len);
        if (at == NULL) {
            return false;
        }
        size_t passed = (size_t)(at - name.data) + part.len;
        name = slice_make(name.data + passed, name.len - passed);
        part = slice_cut(&pattern, '*');
    }
    return name.len >= part.len && slice_equal(slice_from(name, name.len - part.len), part);
}

bool config_list_matches(const struct config_list *patterns, struct slice name) {
    for (size_t i = 0; i < patterns->count; i++) {
        if (pattern_matches(slice_of(patterns->items[i]), name)) {
            return true;
        }
    }
    return false;
}
