// Error numbers. Functions return 0 or a negative number: libuv's UV_E* or one of ours, which lie
// outside libuv's range. error_name and error_text know both.
#ifndef FRESHET_CLUSTER_BASE_ERROR_H
#define FRESHET_CLUSTER_BASE_ERROR_H

#define ERROR_MAP(X)                                                                               \
    X(-20001, E_UNAVAILABLE, "Redis is not reachable")                                             \
    X(-20002, E_UNKNOWN_OUTCOME, "sent to Redis, but the answer did not come")                     \
    X(-20003, E_REDIS, "Redis answered with an error")                                             \
    X(-20004, E_PROTOCOL, "malformed data from the peer")                                          \
    X(-20005, E_TOO_LARGE, "larger than the limit")                                                \
    X(-20006, E_OVERLOADED, "too many of these at the moment")                                     \
    X(-20007, E_UNPROVEN, "this Redis could not be proven to be the master")                       \
    X(-20008, E_CONFLICT, "the channel's head is another one")                                     \
    X(-20009, E_RIGHTS, "the node lacks a right in Redis (NOPERM)")                                \
    X(-20010, E_WRONG_TYPE, "a key of this channel in Redis is of another type (WRONGTYPE)")       \
    X(-20011, E_FULL, "Redis is full (OOM)")                                                       \
    X(-20012, E_BUSY, "a script keeps Redis busy (BUSY)")                                          \
    X(-20013, E_LATE, "Redis is there, but has not told in time what is in the channel")

enum error_number {
#define ERROR_ENUM(number, name, text) name = (number),
    ERROR_MAP(ERROR_ENUM)
#undef ERROR_ENUM
};

// Static strings, never NULL.
const char *error_name(int error);
const char *error_text(int error);

#endif
