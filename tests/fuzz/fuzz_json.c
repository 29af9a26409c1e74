// The JSON scanner and walker beside jansson: both say the same of the same bytes, but for what only
// one of them refuses and says so (depth, numbers, half of a surrogate pair).
#include "tests/fuzz/fuzz.h"

#include "cluster/base/check.h"
#include "cluster/base/json.h"
#include "cluster/base/json_walk.h"

#include <jansson.h>

static struct slice string_of(const json_t *value) {
    return slice_make(json_string_value(value), json_string_length(value));
}

static size_t depth_of(json_t *value) {
    size_t deepest = 0;
    const char *name;
    json_t *item;
    size_t i;
    json_array_foreach(value, i, item) {
        size_t depth = depth_of(item);
        deepest = depth > deepest ? depth : deepest;
    }
    json_object_foreach(value, name, item) {
        size_t depth = depth_of(item);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + (json_is_array(value) || json_is_object(value) ? 1 : 0);
}

static enum json_kind kind_of(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return JSON_KIND_OBJECT;
    case JSON_ARRAY:
        return JSON_KIND_ARRAY;
    case JSON_STRING:
        return JSON_KIND_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return JSON_KIND_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_KIND_BOOLEAN;
    default:
        return JSON_KIND_NULL;
    }
}

// What is written is JSON again, and says the same.
static void check_written(struct slice content) {
    struct bytes text = {0};
    struct bytes again = {0};
    json_append_string(&text, content);
    CHECK(json_is_valid(bytes_slice(&text)));
    CHECK(json_decode_string(&again, bytes_slice(&text)) == 0);
    CHECK(slice_equal(bytes_slice(&again), content));
    bytes_release(&text);
    bytes_release(&again);
}

static void check_string(struct slice text, struct slice expected) {
    struct bytes content = {0};
    CHECK(json_decode_string(&content, text) == 0);
    CHECK(content.len <= text.len);
    CHECK(slice_equal(bytes_slice(&content), expected));
    check_written(expected);
    bytes_release(&content);
}

static void check_value(struct slice text, json_t *expected);

static void check_array(struct slice text, json_t *expected) {
    struct json_walk walk = json_walk_into(text);
    struct slice value;
    size_t count = 0;
    while (json_walk_element(&walk, &value)) {
        CHECK(count < json_array_size(expected));
        check_value(value, json_array_get(expected, count++));
    }
    CHECK(count == json_array_size(expected));
}

// `name` is what stands between the quotes of `text`.
static json_t *member_of(json_t *object, struct slice name) {
    struct bytes decoded = {0};
    CHECK(json_decode_string(&decoded, slice_make(name.data - 1, name.len + 2)) == 0);
    json_t *member = json_object_getn(object, decoded.len > 0 ? decoded.data : "", decoded.len);
    bytes_release(&decoded);
    return member;
}

static void check_object(struct slice text, json_t *expected) {
    struct json_walk walk = json_walk_into(text);
    struct slice name;
    struct slice value;
    size_t count = 0;
    while (json_walk_member(&walk, &name, &value)) {
        struct slice found;
        CHECK(json_find_member(text, name, &found));
        CHECK(found.data == value.data && found.len == value.len);
        check_value(value, member_of(expected, name));
        count++;
    }
    CHECK(count == json_object_size(expected));
}

static void check_value(struct slice text, json_t *expected) {
    CHECK(expected != NULL);
    CHECK(json_kind(text) == kind_of(expected));
    if (json_is_string(expected)) {
        check_string(text, string_of(expected));
    } else if (json_is_array(expected)) {
        check_array(text, expected);
    } else if (json_is_object(expected)) {
        check_object(text, expected);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = slice_make(data, size);
    bool is_valid = json_is_valid(text);
    json_error_t why;
    json_t *value =
        json_loadb(size > 0 ? text.data : "", size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
    if (is_valid && value != NULL) {
        check_value(text, value);
    } else if (value != NULL) {
        // To jansson a NUL is the end of the text, whatever follows.
        CHECK(depth_of(value) > JSON_DEPTH_MAX || memchr(data, '\0', size) != NULL);
    } else if (is_valid) {
        enum json_error_code code = json_error_code(&why);
        CHECK(code == json_error_numeric_overflow || code == json_error_duplicate_key ||
              memmem(data, size, "\\u", 2) != NULL);
    }
    json_decref(value);
    return 0;
}
