// Writes an object in either of the languages that clients understand: JSON and msgpack. So each of
// them is put into words once (encode.c). Sans-I/O.
#ifndef FRESHET_NODE_TRANSPORT_OBJECT_H
#define FRESHET_NODE_TRANSPORT_OBJECT_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"
#include "cluster/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum object_language { OBJECT_JSON, OBJECT_MSGPACK };

// An object that is being written. Members come in the order of the calls, 15 at most.
struct object {
    struct bytes *bytes; // borrowed
    bool is_msgpack;
    uint8_t count;
    size_t start; // where it begins in `bytes`
};

struct object object_begin(struct bytes *bytes, enum object_language language);
void object_end(struct object *object);

void object_text(struct object *object, const char *name, struct slice text); // UTF-8
void object_number(struct object *object, const char *name, uint64_t number);
void object_bool(struct object *object, const char *name, bool is_true);
void object_position(struct object *object, const char *name, struct position position);
// A bin, or base64 and the member `encoding` that says so.
void object_binary(struct object *object, const char *name, struct slice data);
// A value in the object's language, as it is.
void object_raw(struct object *object, const char *name, struct slice value);

// An array of `count` elements. Call object_element before each is written, and the end after.
void object_array(struct object *object, const char *name, size_t count);
void object_element(struct object *object, size_t index);
void object_array_end(struct object *object);

#endif
