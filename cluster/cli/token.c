// freshet token: signs a grant, an HS256 JSON Web Token (RFC 7519, RFC 7515) that nodes verify with
// the same key. Needs no Redis.
#include "cluster/base/base64.h"
#include "cluster/base/clock.h"
#include "cluster/base/json.h"
#include "cluster/cli/commands.h"
#include "cluster/cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    KEY_BYTES_MIN = 32, // RFC 7518, section 3.2: no shorter than the hash
    KEY_BYTES_MAX = 4096,
    KEY_FILE_BYTES_MAX = 16 * (KEY_BYTES_MAX + 2), // what nodes read
    PATTERNS_MAX = 100,                            // of one claim, and
    TOKEN_BYTES_MAX = 8192,                        // what nodes take
    SUB_BYTES_MAX = 200,
    EXPIRES_DEFAULT_S = 3600,
};

struct given {
    struct words words;
    const char *sub;
    const char *key;
    uint64_t expires_s;
    struct words subscribe;
    struct words publish;
    struct words presence;
};

// ---- The key -------------------------------------------------------------------------------------

static int read_file(const char *path, struct bytes *content) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;
    while (fd >= 0 && n > 0 && content->len <= KEY_FILE_BYTES_MAX) {
        n = read(fd, bytes_reserve(content, KEY_BYTES_MAX), KEY_BYTES_MAX);
        content->len += n > 0 ? (size_t)n : 0;
    }
    int status = END_FINE;
    if (fd < 0 || n < 0) {
        complain("token: --key: %s cannot be read: %s", path, strerror(errno));
        status = END_USAGE;
    }
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

// Nodes take one key from each line and believe them all; we sign with the first.
static struct slice first_line(struct slice content) {
    struct slice line = SLICE_NONE;
    while (line.len == 0 && content.data != NULL) {
        line = slice_cut(&content, '\n');
        line.len -= line.len > 0 && line.data[line.len - 1] == '\r';
    }
    return line;
}

static int check_key(struct slice key) {
    for (size_t i = 0; i < key.len; i++) {
        if ((unsigned char)key.data[i] < ' ' || key.data[i] == 0x7f) {
            complain("token: a key is one line of text, as `openssl rand -base64 48` writes it");
            return END_USAGE;
        }
    }
    if (key.len < KEY_BYTES_MIN || key.len > KEY_BYTES_MAX) {
        complain("token: the key has %zu bytes: it must have 32-4096 (`openssl rand -base64 48` "
                 "makes a good one)",
                 key.len);
        return END_USAGE;
    }
    return END_FINE;
}

// *key_r borrows from `storage` or from the text given.
static int read_key(const char *given, struct bytes *storage, struct slice *key_r) {
    const char *text = given != NULL ? given : getenv("FRESHET_AUTH_KEY");
    if (text == NULL || text[0] == '\0') {
        complain("token: a key is needed: --key @FILE, or FRESHET_AUTH_KEY in the environment, the "
                 "same that nodes have as auth-key");
        return END_USAGE;
    }
    *key_r = slice_of(text);
    if (text[0] == '@') {
        int status = read_file(text + 1, storage);
        if (status != END_FINE) {
            return status;
        }
        *key_r = first_line(bytes_slice(storage));
    }
    return check_key(*key_r);
}

// ---- The token -----------------------------------------------------------------------------------

// RFC 7515, section 2: the URL-safe alphabet, no padding.
static void append_base64url(struct bytes *bytes, struct slice data) {
    size_t start = bytes->len;
    base64_append(bytes, data);
    while (bytes->len > start && bytes->data[bytes->len - 1] == '=') {
        bytes->len--;
    }
    for (size_t i = start; i < bytes->len; i++) {
        char c = bytes->data[i];
        bytes->data[i] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
}

static void append_patterns(struct bytes *bytes, const char *name, const struct words *patterns) {
    if (patterns->count == 0) {
        return;
    }
    bytes_append_format(bytes, ",\"%s\":", name);
    for (size_t i = 0; i < patterns->count; i++) {
        bytes_append_char(bytes, i == 0 ? '[' : ',');
        json_append_string(bytes, slice_of(patterns->items[i]));
    }
    bytes_append_char(bytes, ']');
}

static void write_claims(struct bytes *claims, const struct given *given, int64_t expires) {
    object_begin(claims);
    object_text(claims, "sub", slice_of(given->sub));
    object_number(claims, "exp", expires);
    append_patterns(claims, "subscribe", &given->subscribe);
    append_patterns(claims, "publish", &given->publish);
    append_patterns(claims, "presence", &given->presence);
    bytes_append_char(claims, '}');
}

static int sign(struct bytes *token, struct slice key, struct slice claims) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    append_base64url(token, SLICE("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"));
    bytes_append_char(token, '.');
    append_base64url(token, claims);
    if (HMAC(EVP_sha256(), key.data, (int)key.len, (const unsigned char *)token->data, token->len,
             mac, &mac_len) == NULL) {
        complain("token: it could not be signed");
        return END_REFUSED;
    }
    bytes_append_char(token, '.');
    append_base64url(token, slice_make(mac, mac_len));
    if (token->len > TOKEN_BYTES_MAX) {
        complain("token: it would have %zu bytes, and nodes take 8192: use fewer or shorter "
                 "patterns",
                 token->len);
        return END_USAGE;
    }
    return END_FINE;
}

static int print_token(const struct tool *tool, const struct given *given, struct slice key) {
    uint64_t lifetime_s = given->expires_s > 0 ? given->expires_s : EXPIRES_DEFAULT_S;
    int64_t expires = clock_wall_ms() / 1000 + (int64_t)lifetime_s;
    struct bytes claims = {0};
    struct bytes token = {0};
    struct bytes line = {0};
    write_claims(&claims, given, expires);
    int status = sign(&token, key, bytes_slice(&claims));
    if (status == END_FINE && tool->is_json) {
        object_begin(&line);
        object_text(&line, "token", bytes_slice(&token));
        object_number(&line, "exp", expires);
        object_end(&line);
    } else if (status == END_FINE) {
        bytes_append(&line, bytes_slice(&token));
        bytes_append_char(&line, '\n');
    }
    print_bytes(&line);
    bytes_release(&line);
    bytes_release(&token);
    bytes_release(&claims);
    return status;
}

// ---- The command line ----------------------------------------------------------------------------

static bool are_patterns(const char *option, const struct words *patterns) {
    if (patterns->count > PATTERNS_MAX) {
        complain("token: --%s: nodes take at most %d patterns", option, PATTERNS_MAX);
        return false;
    }
    for (size_t i = 0; i < patterns->count; i++) {
        if (!channel_name_is_valid(slice_of(patterns->items[i]))) {
            complain("token: --%s \"%.200s\": a pattern is a channel name, in which * stands for "
                     "any run of characters",
                     option, patterns->items[i]);
            return false;
        }
    }
    return true;
}

static bool is_subject(const char *sub) {
    struct slice text = slice_of(sub);
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f) {
            return false;
        }
    }
    return text.len >= 1 && text.len <= SUB_BYTES_MAX && slice_is_utf8(text);
}

static int run(struct tool *tool, const void *options) {
    const struct given *given = options;
    if (given->sub == NULL) {
        complain("token: --sub is needed: who the token is for; see freshet token --help");
        return END_USAGE;
    }
    if (!is_subject(given->sub)) {
        complain("token: --sub must be 1-200 bytes of UTF-8 without control characters");
        return END_USAGE;
    }
    if (!are_patterns("subscribe", &given->subscribe) ||
        !are_patterns("publish", &given->publish) || !are_patterns("presence", &given->presence)) {
        return END_USAGE;
    }
    struct bytes storage = {0};
    struct slice key;
    int status = read_key(given->key, &storage, &key);
    if (status == END_FINE) {
        status = print_token(tool, given, key);
    }
    if (storage.len > 0) {
        explicit_bzero(storage.data, storage.len);
    }
    bytes_release(&storage);
    return status;
}

#define FIELD(name) .offset = offsetof(struct given, name)

static const struct option options[] = {
    {.name = "sub", .value = "NAME", .kind = OPTION_TEXT, FIELD(sub), .help = "who it is for"},
    {.name = "subscribe",
     .value = "PATTERN",
     .kind = OPTION_LIST,
     FIELD(subscribe),
     .help = "channels it may read; repeatable, as the next two"},
    {.name = "publish",
     .value = "PATTERN",
     .kind = OPTION_LIST,
     FIELD(publish),
     .help = "channels it may publish to"},
    {.name = "presence",
     .value = "PATTERN",
     .kind = OPTION_LIST,
     FIELD(presence),
     .help = "channels whose members it may see"},
    {.name = "expires",
     .value = "TIME",
     .kind = OPTION_DURATION,
     FIELD(expires_s),
     .min = 1,
     .max = 315360000,
     .help = "how long it is good for (1h)"},
    {.name = "key",
     .value = "KEY|@FILE",
     .kind = OPTION_TEXT,
     FIELD(key),
     .help = "at least 32 bytes, of a file the first line [FRESHET_AUTH_KEY];\n"
             "a file or the environment keep it from the process list"},
};

const struct command token_command = {
    .name = "token",
    .arguments = "--sub NAME [--subscribe PATTERN]... [OPTION]...",
    .summary = "sign a token for a client",
    .about =
        "Prints a JSON Web Token (HS256) that nodes with the same auth-key take as a grant. Give\n"
        "it to a client as Authorization: Bearer, as cookie, or in WebSocket's auth command. It\n"
        "is signed here; Redis is not asked.",
    .examples =
        "  openssl rand -base64 48 > auth.key\n"
        "  freshet token --sub ada --subscribe 'news*' --expires 15m --key @auth.key\n"
        "  FRESHET_AUTH_KEY=@auth.key freshet token --sub bot --publish chat:1 --publish chat:2\n",
    .words_missing = "",
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
    .given_size = sizeof(struct given),
    .run = run,
};
