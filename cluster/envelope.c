// Envelopes: a msgpack array of 8, [1, epoch, version, fork or nil, type, event or nil, time ms,
// data], packed by Redis's cmsgpack.
#include "cluster/envelope.h"

#include "cluster/cluster.h"

#include <math.h>
#include <msgpack.h>

enum { ENVELOPE_FIELDS = 8, ENVELOPE_FORMAT = 1, ENVELOPE_BYTES_MAX = DATA_BYTES_MAX + 1024 };

const char *envelope_refusal_name(size_t reason) {
#define ENVELOPE_REFUSAL_NAME(name, text) text,
    static const char *const names[] = {ENVELOPE_REFUSAL_MAP(ENVELOPE_REFUSAL_NAME)};
#undef ENVELOPE_REFUSAL_NAME
    _Static_assert(sizeof(names) / sizeof(names[0]) == ENVELOPE_REFUSALS, "cluster.h counts them");
    return reason < ENVELOPE_REFUSALS ? names[reason] : "?";
}

static bool read_string(const msgpack_object *object, struct slice *value_r) {
    if (object->type == MSGPACK_OBJECT_STR) {
        *value_r = slice_make(object->via.str.ptr, object->via.str.size);
        return true;
    }
    if (object->type == MSGPACK_OBJECT_BIN) {
        *value_r = slice_make(object->via.bin.ptr, object->via.bin.size);
        return true;
    }
    return false;
}

// cmsgpack packs a Lua number as an integer where it can, else as a double.
static bool read_number(const msgpack_object *object, uint64_t *value_r) {
    const uint64_t limit = 1ull << 53;
    if (object->type == MSGPACK_OBJECT_POSITIVE_INTEGER && object->via.u64 < limit) {
        *value_r = object->via.u64;
        return true;
    }
    if ((object->type == MSGPACK_OBJECT_FLOAT64 || object->type == MSGPACK_OBJECT_FLOAT32) &&
        object->via.f64 >= 0 && object->via.f64 < (double)limit &&
        floor(object->via.f64) == object->via.f64) {
        *value_r = (uint64_t)object->via.f64;
        return true;
    }
    return false;
}

static bool read_optional_string(const msgpack_object *object, struct slice *value_r) {
    *value_r = SLICE_NONE;
    return object->type == MSGPACK_OBJECT_NIL || read_string(object, value_r);
}

static bool read_fork(const msgpack_object *object, struct position *fork_r) {
    struct slice text;
    *fork_r = POSITION_NONE;
    return object->type == MSGPACK_OBJECT_NIL ||
           (read_string(object, &text) && position_parse(text, fork_r) == 0);
}

static bool read_fields(const msgpack_object *items, struct message *fields_r) {
    struct slice type;
    uint64_t time_ms;
    if (!read_number(&items[1], &fields_r->position.epoch) ||
        !read_number(&items[2], &fields_r->position.version) ||
        !read_fork(&items[3], &fields_r->fork) || !read_string(&items[4], &type) ||
        message_type_parse(type, &fields_r->type) != 0 ||
        !read_optional_string(&items[5], &fields_r->event) || !read_number(&items[6], &time_ms) ||
        !read_string(&items[7], &fields_r->data)) {
        return false;
    }
    fields_r->time_ms = (int64_t)time_ms;
    return fields_r->position.epoch > 0 && fields_r->position.version > 0 &&
           (fields_r->event.len == 0 || event_name_is_valid(fields_r->event)) &&
           fields_r->data.len <= DATA_BYTES_MAX;
}

// Scalars only: a nested array or map would make msgpack-c reserve 32 bytes for each of the up to
// four billion elements that its header declares. Strings stay where they are, in the payload.
static bool unpack_scalar(struct slice payload, size_t *offset, msgpack_object *item_r) {
    if (*offset >= payload.len) {
        return false;
    }
    unsigned char first = (unsigned char)payload.data[*offset];
    bool is_container = (first >= 0x80 && first <= 0x9f) || (first >= 0xdc && first <= 0xdf);
    if (is_container) {
        return false;
    }
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    bool is_whole = msgpack_unpack_next(&unpacked, payload.data, payload.len, offset) ==
                    MSGPACK_UNPACK_SUCCESS;
    *item_r = unpacked.data;
    msgpack_unpacked_destroy(&unpacked);
    return is_whole;
}

static struct message *decode_envelope(struct slice payload, enum envelope_refusal *refusal_r,
                                       bool *was_demoted_r) {
    msgpack_object items[ENVELOPE_FIELDS];
    size_t offset = 1;
    size_t count = (unsigned char)payload.data[0] & 0x0f;
    uint64_t format;
    *refusal_r = ENVELOPE_MALFORMED;
    if ((unsigned char)payload.data[0] >> 4 != 0x9 || count == 0 ||
        !unpack_scalar(payload, &offset, &items[0]) || !read_number(&items[0], &format)) {
        return NULL;
    }
    if (format != ENVELOPE_FORMAT) {
        *refusal_r = ENVELOPE_VERSION;
        return NULL;
    }
    for (size_t i = 1; i < ENVELOPE_FIELDS; i++) {
        if (!unpack_scalar(payload, &offset, &items[i])) {
            return NULL;
        }
    }
    struct message fields = {0};
    if (count != ENVELOPE_FIELDS || offset != payload.len || !read_fields(items, &fields)) {
        return NULL;
    }
    return message_create(&fields, was_demoted_r);
}

struct message *envelope_decode(struct slice payload, int64_t now_ms,
                                enum envelope_refusal *refusal_r, bool *was_demoted_r) {
    *was_demoted_r = false;
    if (payload.len > ENVELOPE_BYTES_MAX) {
        *refusal_r = ENVELOPE_SIZE;
        return NULL;
    }
    if (payload.len > 0 && ((unsigned char)payload.data[0] & 0xc0) == 0x80) {
        return decode_envelope(payload, refusal_r, was_demoted_r);
    }
    if (!slice_is_utf8(payload)) {
        *refusal_r = ENVELOPE_TEXT;
        return NULL;
    }
    struct message fields = {.type = MESSAGE_TEXT, .time_ms = now_ms, .data = payload};
    return message_create(&fields, was_demoted_r);
}
