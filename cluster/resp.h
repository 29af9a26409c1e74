// What RESP2 needs beside hiredis's reader: writing a command, and questions about one reply.
// Sans-I/O.
#ifndef FRESHET_CLUSTER_RESP_H
#define FRESHET_CLUSTER_RESP_H

#include "cluster/base/bytes.h"
#include "cluster/base/slice.h"

#include <hiredis/hiredis.h>
#include <stddef.h>

enum {
    RESP_PRINTABLE_MAX = 160, // with NUL; what is longer is cut
};

// Straight into the output, where redisFormatCommandArgv would cost an allocation and a copy.
void resp_append_command(struct bytes *output, size_t count, const struct slice *words);

// An upper bound of what resp_append_command appends.
size_t resp_command_bytes_max(size_t count, const struct slice *words);

// The bytes of a string, status or error; none for other replies.
struct slice resp_text(const redisReply *reply);

// What an error of Redis is to us, also one among the answers of a transaction: E_RIGHTS,
// E_WRONG_TYPE, E_FULL, E_BUSY, or E_REDIS for any other and for what is no error.
int resp_error_of(const redisReply *reply);

// The words of the same error, or that there is none, for the log.
void resp_complaint(const redisReply *reply, char text_r[static RESP_PRINTABLE_MAX]);

// The value of `name` in the text of INFO; none when it is not there.
struct slice resp_info(struct slice text, struct slice name);

// Text for logs and reasons: printable ASCII, cut to size.
void resp_printable(struct slice text, char text_r[static RESP_PRINTABLE_MAX]);

// What a command is on a pub/sub link: the first four are answered once per channel.
enum resp_verb {
    VERB_SUBSCRIBE,
    VERB_UNSUBSCRIBE,
    VERB_SSUBSCRIBE,
    VERB_SUNSUBSCRIBE,
    VERB_OTHER,
};

enum resp_verb resp_verb_of(struct slice word);

enum resp_push {
    PUSH_NONE,            // an ordinary answer
    PUSH_MESSAGE,         // message or smessage, a channel, a string
    PUSH_ACKNOWLEDGEMENT, // a verb, a channel, a number
};

// What a reply is on a pub/sub link, where RESP2 tells answers and pushes apart by their shape
// alone. *verb_r is set for an acknowledgement.
enum resp_push resp_push_of(const redisReply *reply, enum resp_verb *verb_r);

#endif
