// Parses URLs of one server. One pass over the text with slice_cut; every failure names its reason,
// because whoever reads it is at a command line and cannot see a password that was typed wrongly.
#include "cluster/redis_address.h"

#include "cluster/base/mem.h"

#include <limits.h>
#include <stdio.h>
#include <sys/un.h>
#include <uv.h>

enum {
    REDIS_PORT = 6379,
    SOCKET_PATH_BYTES_MAX = sizeof((struct sockaddr_un *)0)->sun_path - 1,
};

static int refuse(const char **why_r, const char *why) {
    *why_r = why;
    return UV_EINVAL;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// A C string from percent-encoded text; NULL when an escape is malformed or stands for NUL.
static char *decode(struct slice text) {
    char *decoded = mem_alloc(text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.data[i + 2]) : -1;
            c = (char)(high < 0 || low < 0 ? 0 : high << 4 | low);
            i += 2;
        }
        if (c == '\0') {
            mem_free(decoded);
            return NULL;
        }
        decoded[len++] = c;
    }
    return decoded;
}

int redis_address_read_database(struct redis_address *address, struct slice text,
                                const char **why_r) {
    uint64_t database = 0;
    if (slice_to_u64(text, INT_MAX, &database) != 0) {
        return refuse(why_r, "the database is not a number");
    }
    address->database = (unsigned)database;
    return 0;
}

// Empty means absent, and a user always has a password, be it an empty one.
int redis_address_read_credentials(struct redis_address *address, struct slice user,
                                   struct slice password, const char **why_r) {
    if (user.len == 0 && password.len == 0) {
        return 0;
    }
    if (user.len > 0) {
        address->user = decode(user);
        if (address->user == NULL) {
            return refuse(why_r, "a bad percent escape in the user");
        }
    }
    address->password = decode(password);
    if (address->password == NULL) {
        return refuse(why_r, "a bad percent escape in the password");
    }
    return 0;
}

int redis_address_read_userinfo(struct redis_address *address, struct slice text,
                                const char **why_r) {
    struct slice password = text;
    struct slice user = slice_cut(&password, ':');
    if (password.data == NULL) {
        return refuse(why_r, "a user needs a password (user:password@), a password alone a colon "
                             "(:password@)");
    }
    return redis_address_read_credentials(address, user, password, why_r);
}

bool redis_host_is_valid(struct slice host) {
    if (host.len == 0 || host.len > REDIS_HOST_BYTES_MAX) {
        return false;
    }
    // Letters and digits beside these; : and % (a zone) in IPv6. Other scripts come as punycode.
    static const char others[] = "-._:%";
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        bool is_digit = c >= '0' && c <= '9';
        if (!is_letter && !is_digit && memchr(others, c, sizeof(others) - 1) == NULL) {
            return false;
        }
    }
    return true;
}

void redis_address_set_server(struct redis_address *address, const char *host, const char *port) {
    mem_free(address->host);
    mem_free(address->port);
    address->host = mem_copy_string(host);
    address->port = mem_copy_string(port);
}

int redis_address_read_server(struct redis_address *address, struct slice text,
                              unsigned port_default, const char **why_r) {
    struct slice host;
    struct slice port = text;
    if (text.len > 0 && text.data[0] == '[') {
        port = slice_from(text, 1);
        host = slice_cut(&port, ']');
        if (port.data == NULL || (port.len > 0 && port.data[0] != ':')) {
            return refuse(why_r, "an IPv6 address is written [address]:port");
        }
        port = slice_from(port, 1);
    } else {
        host = slice_cut(&port, ':');
        if (port.len > 0 && memchr(port.data, ':', port.len) != NULL) {
            return refuse(why_r, "an IPv6 address needs brackets");
        }
    }
    if (!redis_host_is_valid(host)) {
        return refuse(why_r, host.len == 0 ? "the host is missing" : "this is no host name");
    }
    uint64_t number = port_default;
    if (port.len > 0 && (slice_to_u64(port, 65535, &number) != 0 || number == 0)) {
        return refuse(why_r, "the port is not a number from 1 to 65535");
    }
    char digits[8];
    char name[REDIS_HOST_BYTES_MAX + 1];
    snprintf(digits, sizeof(digits), "%u", (unsigned)number);
    snprintf(name, sizeof(name), "%.*s", SLICE_ARGS(host));
    redis_address_set_server(address, name, digits);
    return 0;
}

static int parse_tcp(struct slice text, struct redis_address *address, const char **why_r) {
    if (text.len > 0 && (memchr(text.data, '?', text.len) || memchr(text.data, '#', text.len))) {
        return refuse(why_r, "redis:// takes no ? and no # (write them %3F and %23)");
    }
    // The last @: a password with an unescaped one in it is common, a host never holds one.
    struct slice path = text;
    struct slice authority = slice_cut(&path, '/');
    const char *at = authority.len > 0 ? memrchr(authority.data, '@', authority.len) : NULL;
    struct slice host = authority;
    if (at != NULL) {
        size_t userinfo_len = (size_t)(at - authority.data);
        int error =
            redis_address_read_userinfo(address, slice_make(authority.data, userinfo_len), why_r);
        if (error != 0) {
            return error;
        }
        host = slice_from(authority, userinfo_len + 1);
    } else if (path.len > 0 && memchr(path.data, '@', path.len) != NULL) {
        return refuse(why_r, "a / in a password is written %2F");
    }
    int error = redis_address_read_server(address, host, REDIS_PORT, why_r);
    return error != 0 || path.len == 0 ? error : redis_address_read_database(address, path, why_r);
}

static int parse_unix_query(struct slice query, struct redis_address *address, const char **why_r) {
    struct slice user = SLICE_NONE;
    struct slice password = SLICE_NONE;
    while (query.data != NULL) {
        struct slice value = slice_cut(&query, '&');
        struct slice name = slice_cut(&value, '=');
        int error = 0;
        if (slice_equal(name, SLICE("db"))) {
            error = redis_address_read_database(address, value, why_r);
        } else if (slice_equal(name, SLICE("user")) && user.data == NULL) {
            user = value;
        } else if (slice_equal(name, SLICE("password")) && password.data == NULL) {
            password = value;
        } else {
            error = refuse(why_r, "unix: takes db, user and password, each once");
        }
        if (error != 0) {
            return error;
        }
    }
    if (user.len > 0 && password.data == NULL) {
        return refuse(why_r, "a user needs a password");
    }
    return redis_address_read_credentials(address, user, password, why_r);
}

static int parse_unix(struct slice text, struct redis_address *address, const char **why_r) {
    struct slice query = text;
    struct slice path = slice_cut(&query, '?');
    if (slice_starts_with(path, SLICE("//")) && !slice_starts_with(path, SLICE("///"))) {
        return refuse(why_r, "unix: takes a path and no host (unix:/path/to.sock)");
    }
    if (!slice_starts_with(path, SLICE("/"))) {
        return refuse(why_r, "unix: needs an absolute path");
    }
    address->socket_path = decode(path);
    if (address->socket_path == NULL) {
        return refuse(why_r, "a bad percent escape in the path");
    }
    if (strlen(address->socket_path) > SOCKET_PATH_BYTES_MAX) {
        return refuse(why_r, "the path of a unix socket has at most 107 bytes");
    }
    return parse_unix_query(query, address, why_r);
}

int redis_address_parse(struct slice url, struct redis_address *address_r, const char **why_r) {
    struct redis_address address = {0};
    int error;
    if (slice_starts_with(url, SLICE("redis://"))) {
        error = parse_tcp(slice_from(url, strlen("redis://")), &address, why_r);
    } else if (slice_starts_with(url, SLICE("unix:"))) {
        error = parse_unix(slice_from(url, strlen("unix:")), &address, why_r);
    } else {
        error = refuse(why_r, "it must begin with redis:// or unix:/");
    }
    if (error != 0) {
        redis_address_release(&address);
        return error;
    }
    *address_r = address;
    return 0;
}

void redis_address_release(struct redis_address *address) {
    mem_free(address->host);
    mem_free(address->port);
    mem_free(address->socket_path);
    mem_free(address->user);
    mem_free(address->password);
    *address = (struct redis_address){0};
}

void redis_address_describe(const struct redis_address *address, char *text_r, size_t size) {
    if (address->socket_path != NULL && address->database == 0) {
        snprintf(text_r, size, "unix:%s", address->socket_path);
    } else if (address->socket_path != NULL) {
        snprintf(text_r, size, "unix:%s?db=%u", address->socket_path, address->database);
    } else if (address->host == NULL) {
        snprintf(text_r, size, "redis://(not named yet)/%u", address->database);
    } else {
        bool is_ipv6 = strchr(address->host, ':') != NULL;
        bool is_sentinel = address->role == REDIS_ROLE_SENTINEL;
        char database[16] = "";
        if (!is_sentinel) {
            snprintf(database, sizeof(database), "/%u", address->database);
        }
        snprintf(text_r, size, "%s://%s%s%s:%s%s", is_sentinel ? "sentinel" : "redis",
                 is_ipv6 ? "[" : "", address->host, is_ipv6 ? "]" : "", address->port, database);
    }
}
