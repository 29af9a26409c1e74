// freshet check: the rights of this user. Each command that Freshet needs is said within a MULTI
// that is never executed: Redis checks rights when it queues a command (tried on 7.0.15), so
// nothing is written, and no right beyond those asked about is needed.
#include "cluster/base/bytes.h"
#include "cluster/cli/check.h"
#include "cluster/cli/master.h"
#include "cluster/keys.h"

#include <stdio.h>

// $h, $l, $n, $o, $e stand for a channel's HASH, log, pub/sub name, once key, and for an echo.
static const struct right {
    const char *command; // as ACL SETUSER names it
    const char *words;
    const char *without; // what does not work without it; NULL: it is useful, no more
} rights[] = {
    {"fcall", "FCALL freshet_publish 2 $h $l 1", "publish"},
    {"fcall_ro", "FCALL_RO freshet_version 0", "see the library's version"},
    {"function|load", "FUNCTION LOAD #!lua", "load the library"},
    {"hmget", "HMGET $h epoch", "read a channel"},
    {"xrange", "XRANGE $l - +", "read a channel"},
    {"xrevrange", "XREVRANGE $l + -", "read a channel"},
    {"subscribe", "SUBSCRIBE $n", "hear a channel"},
    {"unsubscribe", "UNSUBSCRIBE $n", "leave a channel"},
    {"publish", "PUBLISH $n x", "publish"},
    {"publish", "PUBLISH $e x", "hear itself"},
    {"time", "TIME", "publish"},
    {"hset", "HSET $h version 1", "publish"},
    {"xadd", "XADD $l * data x", "publish"},
    {"xtrim", "XTRIM $l MAXLEN 1", "publish"},
    {"xinfo|stream", "XINFO STREAM $l", "publish"},
    {"memory|usage", "MEMORY USAGE $l SAMPLES 0", "publish"},
    {"pexpireat", "PEXPIREAT $h 1", "publish"},
    {"persist", "PERSIST $h", "publish"},
    {"cluster|keyslot", "CLUSTER KEYSLOT x", "publish"},
    {"get", "GET $o", "publish with ONCE"},
    {"set", "SET $o x EX 1", "publish with ONCE"},
    {"pttl", "PTTL $h", "open a channel that nobody published to"},
    {"ping", "PING", NULL},
    {"info", "INFO server", NULL},
    {"role", "ROLE", NULL},
    {"client|setname", "CLIENT SETNAME x", NULL},
};

#define RIGHTS (sizeof(rights) / sizeof(rights[0]))

enum { RIGHT_WORDS_MAX = 8, USER_MAX = 64 };

struct names {
    struct keys keys;
    char once[KEY_BYTES_MAX + 8];
    char echo[KEY_BYTES_MAX];
};

static struct slice resolve(const struct names *names, struct slice word) {
    if (word.len != 2 || word.data[0] != '$') {
        return word;
    }
    switch (word.data[1]) {
    case 'h':
        return names->keys.hash;
    case 'l':
        return names->keys.log;
    case 'n':
        return names->keys.now;
    case 'o':
        return slice_of(names->once);
    default:
        return slice_of(names->echo);
    }
}

static void send_right(struct client *client, const struct names *names,
                       const struct right *right) {
    struct slice words[RIGHT_WORDS_MAX];
    struct slice rest = slice_of(right->words);
    size_t count = 0;
    while (rest.data != NULL) {
        CHECK(count < RIGHT_WORDS_MAX);
        words[count++] = resolve(names, slice_cut(&rest, ' '));
    }
    client_send(client, count, words);
}

// Who we are; "default" where we may not ask.
static int read_user(struct client *client, char user_r[static USER_MAX]) {
    redisReply *reply;
    int error = client_ask(client, WORDS(SLICE("ACL"), SLICE("WHOAMI")), &reply);
    if (error == 0) {
        struct slice name = reply->type == REDIS_REPLY_STRING ? resp_text(reply) : SLICE("USER");
        snprintf(user_r, USER_MAX, "%.*s", SLICE_ARGS(name));
        reply_free(&reply);
    }
    return error;
}

static bool contains(struct slice text, const char *word) {
    return memmem(text.data, text.len, word, strlen(word)) != NULL;
}

// Redis says which of the three is missing: a command, a key, a channel.
static void tell_missing(struct checkup *checkup, const char *user, const struct right *right,
                         struct slice error) {
    char fix[160];
    char subject[64];
    int prefix_len = (int)checkup->tool->prefix.len;
    const char *prefix = checkup->tool->prefix.data;
    if (contains(error, "channel")) {
        snprintf(fix, sizeof(fix), "ACL SETUSER %s &%.*s:*", user, prefix_len, prefix);
    } else if (contains(error, "key") && !contains(error, "keyslot")) {
        snprintf(fix, sizeof(fix), "ACL SETUSER %s ~%.*s:*", user, prefix_len, prefix);
    } else {
        snprintf(fix, sizeof(fix), "ACL SETUSER %s +%s", user, right->command);
    }
    snprintf(subject, sizeof(subject), "right to %s", right->command);
    if (right->without != NULL) {
        checkup_tell(checkup, FINDING_BROKEN, subject, fix, "missing: %s cannot %s", user,
                     right->without);
    } else {
        checkup_tell(checkup, FINDING_WARNING, subject, fix,
                     "missing: a node does without it, less well");
    }
}

// MULTI and EXEC cannot be asked about within a transaction.
static int check_transactions(struct checkup *checkup, struct client *client, const char *user,
                              bool *may_r) {
    static const struct right multi = {"multi", "", "read a channel"};
    static const struct right exec = {"exec", "", "read a channel"};
    redisReply *reply;
    int error = client_ask(client, WORDS(SLICE("EXEC")), &reply);
    if (error < 0) {
        return error;
    }
    // "ERR EXEC without MULTI", or "EXECABORT ... NOPERM ..."
    if (contains(resp_text(reply), "NOPERM")) {
        tell_missing(checkup, user, &exec, resp_text(reply));
    }
    reply_free(&reply);
    error = client_ask(client, WORDS(SLICE("MULTI")), &reply);
    if (error < 0) {
        return error;
    }
    *may_r = !reply_is_error(reply);
    if (!*may_r) {
        tell_missing(checkup, user, &multi, resp_text(reply));
    }
    reply_free(&reply);
    return 0;
}

static int ask_rights(struct checkup *checkup, struct client *client, const char *user,
                      size_t *missing_r) {
    struct names names;
    keys_init(&names.keys, checkup->tool->prefix, SLICE("freshet-check"));
    snprintf(names.once, sizeof(names.once), "%s:once:x", names.keys.hash_text);
    snprintf(names.echo, sizeof(names.echo), "%s:echo:x", checkup->tool->prefix_text);
    for (size_t i = 0; i < RIGHTS; i++) {
        send_right(client, &names, &rights[i]);
    }
    for (size_t i = 0; i < RIGHTS; i++) {
        redisReply *reply;
        int error = client_receive(client, &reply);
        if (error < 0) {
            return error;
        }
        if (reply_is_refusal(reply, "NOPERM")) {
            tell_missing(checkup, user, &rights[i], resp_text(reply));
            (*missing_r)++;
        }
        reply_free(&reply);
    }
    return 0;
}

// On a connection of its own, which ends without EXEC.
int check_rights(struct checkup *checkup) {
    struct client client;
    char user[USER_MAX];
    bool may_ask = false;
    size_t missing = 0;
    int error = master_open(&client, &checkup->tool->topology);
    if (error < 0) {
        memcpy(checkup->client.trouble, client.trouble, CLIENT_TROUBLE_MAX);
        return error;
    }
    error = read_user(&client, user);
    if (error == 0) {
        error = check_transactions(checkup, &client, user, &may_ask);
    }
    if (error == 0 && may_ask) {
        error = ask_rights(checkup, &client, user, &missing);
    }
    if (error == 0 && may_ask && missing == 0) {
        checkup_tell(checkup, FINDING_FINE, "rights", NULL, "%s has all", user);
    }
    client_close(&client);
    return error;
}
