// What is said at the begin of each connection to a Redis, and which answers end it: AUTH, SELECT,
// CLIENT SETNAME, INFO server, ROLE, PING, sent together. Sans-I/O.
//
// ROLE proves that it is what the address asks for, before anything else is sent on either link.
//
// PING stands last because none of the others is refused while Redis loads its data or waits for
// its master (tried on 7.0.15): without it a link would be up that can do nothing.
#ifndef FRESHET_CLUSTER_REDIS_GREETING_H
#define FRESHET_CLUSTER_REDIS_GREETING_H

#include "cluster/base/slice.h"
#include "cluster/redis_address.h"
#include "cluster/resp.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>

enum greeting_step {
    GREETING_AUTH,
    GREETING_SELECT,
    GREETING_NAME,
    GREETING_INFO,
    GREETING_ROLE,
    GREETING_PING,
    GREETING_STEPS,
};

enum {
    GREETING_WORDS_MAX = 3,
    REDIS_RUN_ID_BYTES = 40,
};

// The first step from `step` on that this address needs: without a password there is no AUTH, for
// database 0 no SELECT, where any role will do no ROLE. GREETING_STEPS when there are no more.
enum greeting_step greeting_next(enum greeting_step step, const struct redis_address *address);

// The command of a step that is needed: the number of its words. `database_r` backs one of them.
size_t greeting_words(enum greeting_step step, const struct redis_address *address,
                      const char *client_name, char database_r[static 16],
                      struct slice words_r[static GREETING_WORDS_MAX]);

// Whether the link is of use after that answer. A name is a courtesy, INFO and ROLE may be
// forbidden; AUTH and SELECT must succeed; PING may be forbidden, but any other error ends the
// greeting, and so does another role than the address asks for.
bool greeting_accepts(enum greeting_step step, const struct redis_address *address,
                      const redisReply *reply);

// The run_id in an answer to INFO; "" when there is none.
void greeting_run_id(const redisReply *reply, char run_id_r[static REDIS_RUN_ID_BYTES + 1]);

// Whether an answer to ROLE is this one.
bool greeting_is_role(const redisReply *reply, const char *role);

// What is wrong with an answer, for logs and reasons: printable ASCII, cut to size. An error reply to
// AUTH ends at its first comma: an unknown command is answered with its arguments, here the password.
void greeting_trouble(enum greeting_step step, const struct redis_address *address,
                      const redisReply *reply, char text_r[static RESP_PRINTABLE_MAX]);

#endif
