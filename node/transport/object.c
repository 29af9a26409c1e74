// A msgpack map says its count first: that is written at the end.
#include "node/transport/object.h"

#include "cluster/base/base64.h"
#include "cluster/base/check.h"
#include "cluster/base/json.h"
#include "node/transport/ws_msgpack.h"

enum { MEMBERS_MAX = 15, FIXMAP = 0x80 };

struct object object_begin(struct bytes *bytes, enum object_language language) {
    struct object object = {
        .bytes = bytes,
        .is_msgpack = language == OBJECT_MSGPACK,
        .start = bytes->len,
    };
    bytes_append_char(bytes, object.is_msgpack ? (char)FIXMAP : '{');
    return object;
}

void object_end(struct object *object) {
    if (object->is_msgpack) {
        object->bytes->data[object->start] = (char)(FIXMAP | object->count);
    } else {
        bytes_append_char(object->bytes, '}');
    }
}

static void append_name(struct object *object, const char *name) {
    struct bytes *bytes = object->bytes;
    CHECK(object->count < MEMBERS_MAX);
    if (object->is_msgpack) {
        ws_msgpack_append_str(bytes, slice_of(name));
    } else {
        bytes_append(bytes, object->count == 0 ? SLICE("\"") : SLICE(",\""));
        bytes_append(bytes, slice_of(name));
        bytes_append(bytes, SLICE("\":"));
    }
    object->count++;
}

void object_text(struct object *object, const char *name, struct slice text) {
    append_name(object, name);
    if (object->is_msgpack) {
        ws_msgpack_append_str(object->bytes, text);
    } else {
        json_append_string(object->bytes, text);
    }
}

void object_number(struct object *object, const char *name, uint64_t number) {
    append_name(object, name);
    if (object->is_msgpack) {
        ws_msgpack_append_uint(object->bytes, number);
    } else {
        bytes_append_u64(object->bytes, number);
    }
}

void object_bool(struct object *object, const char *name, bool is_true) {
    append_name(object, name);
    if (object->is_msgpack) {
        ws_msgpack_append_bool(object->bytes, is_true);
    } else {
        bytes_append(object->bytes, is_true ? SLICE("true") : SLICE("false"));
    }
}

void object_position(struct object *object, const char *name, struct position position) {
    char text[POSITION_TEXT_MAX];
    size_t len = position_is_none(position) ? 0 : position_format(position, text);
    object_text(object, name, slice_make(text, len));
}

void object_binary(struct object *object, const char *name, struct slice data) {
    append_name(object, name);
    if (object->is_msgpack) {
        ws_msgpack_append_bin(object->bytes, data);
        return;
    }
    bytes_append_char(object->bytes, '"');
    base64_append(object->bytes, data);
    bytes_append_char(object->bytes, '"');
    object_text(object, "encoding", SLICE("base64"));
}

void object_raw(struct object *object, const char *name, struct slice value) {
    append_name(object, name);
    bytes_append(object->bytes, value);
}

void object_array(struct object *object, const char *name, size_t count) {
    append_name(object, name);
    if (object->is_msgpack) {
        ws_msgpack_append_array(object->bytes, count);
    } else {
        bytes_append_char(object->bytes, '[');
    }
}

void object_element(struct object *object, size_t index) {
    if (!object->is_msgpack && index > 0) {
        bytes_append_char(object->bytes, ',');
    }
}

void object_array_end(struct object *object) {
    if (!object->is_msgpack) {
        bytes_append_char(object->bytes, ']');
    }
}
