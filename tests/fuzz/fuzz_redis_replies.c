// A Redis that lies: the guard in front of hiredis's reader gives one verdict however the bytes are
// cut, what it lets pass the reader takes, and the memory of both is bounded by what was sent.
#include "tests/fuzz/fuzz.h"

#include "cluster/base/check.h"
#include "cluster/resp.h"
#include "cluster/resp_guard.h"

#include <sanitizer/allocator_interface.h>

enum {
    MEMORY_PER_BYTE = 64,     // a reply of 3 bytes ("+\r\n") costs a redisReply and a string
    MEMORY_AT_ONCE = 2 << 20, // the largest array's elements, and what a buffer has to spare
};

static void append_reply(struct bytes *transcript, const redisReply *reply) {
    char text[RESP_PRINTABLE_MAX];
    resp_printable(resp_text(reply), text);
    bytes_append_format(transcript, "%d %lld %s(", reply->type, reply->integer, text);
    bytes_append(transcript, resp_text(reply));
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        append_reply(transcript, reply->element[i]);
    }
    bytes_append_char(transcript, ')');
}

static void take_replies(redisReader *reader, struct bytes *replies) {
    for (;;) {
        void *reply = NULL;
        CHECK(redisReaderGetReply(reader, &reply) == REDIS_OK);
        if (reply == NULL) {
            return;
        }
        enum resp_verb verb = VERB_OTHER;
        bytes_append_format(replies, "push %d ", (int)resp_push_of(reply, &verb));
        append_reply(replies, reply);
        freeReplyObject(reply);
    }
}

// How many replies came before an error depends on the pieces, so then only the error counts.
static void read_replies(struct pieces *pieces, struct bytes *transcript) {
    size_t before = __sanitizer_get_current_allocated_bytes();
    size_t received = pieces->rest.len;
    struct resp_guard guard;
    resp_guard_init(&guard);
    redisReader *reader = redisReaderCreate();
    struct bytes replies = {0};
    struct slice piece;
    const char *why = NULL;
    int error = 0;
    while (error == 0 && pieces_next(pieces, &piece)) {
        error = resp_guard_feed(&guard, piece, &why);
        if (error == 0) {
            CHECK(redisReaderFeed(reader, piece.data, piece.len) == REDIS_OK);
            take_replies(reader, &replies);
        }
        size_t taken = __sanitizer_get_current_allocated_bytes() - before;
        CHECK(taken <= MEMORY_AT_ONCE + MEMORY_PER_BYTE * received);
    }
    CHECK((error != 0) == (why != NULL));
    bytes_append(transcript, error != 0 ? slice_of(why) : bytes_slice(&replies));
    bytes_release(&replies);
    redisReaderFree(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_check_cuts(slice_make(data, size), read_replies);
    return 0;
}
