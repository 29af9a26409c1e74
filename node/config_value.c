// Values of options: text to fields and back, one pair of functions for each kind.
#include "node/config_option.h"

#include "cluster/base/error.h"
#include "cluster/base/mem.h"
#include "cluster/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit size_units[] = {{"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}};

#define UNITS 4

static void *field(const struct option *option, struct config *config) {
    return (char *)config + option->offset;
}

static void *second_field(const struct option *option, struct config *config) {
    return (char *)config + option->second_offset;
}

static int refuse(char why_r[static OPTION_WHY_MAX], const char *text, const char *expected) {
    snprintf(why_r, OPTION_WHY_MAX, "\"%.60s\" is not %s", text, expected);
    return UV_EINVAL;
}

// `digits unit`, with the unit in either case.
static int read_units(struct slice text, const struct unit units[static UNITS],
                      uint64_t bare_factor, uint64_t *value_r) {
    size_t digits = 0;
    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9') {
        digits++;
    }
    uint64_t number;
    if (slice_to_u64(slice_make(text.data, digits), UINT32_MAX, &number) < 0) {
        return UV_EINVAL;
    }
    struct slice rest = slice_from(text, digits);
    if (rest.len == 0) {
        *value_r = number * bare_factor;
        return 0;
    }
    for (size_t i = 0; i < UNITS; i++) {
        if (slice_equal_nocase(rest, slice_of(units[i].name))) {
            *value_r = number * units[i].factor;
            return 0;
        }
    }
    return UV_EINVAL;
}

// In the largest unit that holds it whole.
static void append_units(struct bytes *bytes, const struct unit units[static UNITS],
                         uint64_t value) {
    size_t i = 0;
    while (i < UNITS - 1 && (value == 0 || value % units[i].factor != 0)) {
        i++;
    }
    bytes_append_u64(bytes, value / units[i].factor);
    bytes_append(bytes, slice_of(units[i].name));
}

static int check_range(const struct unit units[static UNITS], uint64_t value, uint64_t min,
                       uint64_t max, char why_r[static OPTION_WHY_MAX]) {
    if (value >= min && value <= max) {
        return 0;
    }
    struct bytes text = {0};
    append_units(&text, units, value);
    bytes_append(&text, SLICE(" is outside "));
    append_units(&text, units, min);
    bytes_append(&text, SLICE(" to "));
    append_units(&text, units, max);
    snprintf(why_r, OPTION_WHY_MAX, "%.*s", SLICE_ARGS(bytes_slice(&text)));
    bytes_release(&text);
    return UV_EINVAL;
}

static int read_duration(const struct option *option, const char *text, uint64_t *value_r,
                         char why_r[static OPTION_WHY_MAX]) {
    if (read_units(slice_of(text), duration_units, 1000, value_r) < 0) {
        return refuse(why_r, text, "a duration such as 500ms, 15s, 2m or 1h");
    }
    return check_range(duration_units, *value_r, option->min, option->max, why_r);
}

static int read_size(const struct option *option, const char *text, size_t *value_r,
                     char why_r[static OPTION_WHY_MAX]) {
    uint64_t value;
    if (read_units(slice_of(text), size_units, 1, &value) < 0) {
        return refuse(why_r, text, "a size such as 65536, 64k, 4m or 1g");
    }
    *value_r = (size_t)value;
    return check_range(size_units, value, option->min, option->max, why_r);
}

static int check_count(uint64_t value, uint64_t min, uint64_t max,
                       char why_r[static OPTION_WHY_MAX]) {
    if (value >= min && value <= max) {
        return 0;
    }
    snprintf(why_r, OPTION_WHY_MAX, "%" PRIu64 " is outside %" PRIu64 " to %" PRIu64, value, min,
             max);
    return UV_EINVAL;
}

static int read_count(const struct option *option, const char *text, size_t *value_r,
                      char why_r[static OPTION_WHY_MAX]) {
    uint64_t value;
    if (slice_to_u64(slice_of(text), UINT32_MAX, &value) < 0) {
        return refuse(why_r, text, "a whole number");
    }
    *value_r = (size_t)value;
    return check_count(value, option->min, option->max, why_r);
}

// `256` is messages, `4m` bytes, `256,4m` both: only a size with a unit is taken for bytes.
static int read_bound(const struct option *option, const char *text, size_t *messages,
                      size_t *bytes, char why_r[static OPTION_WHY_MAX]) {
    static const char expected[] = "messages (256), bytes (4m) or both (256,4m)";
    struct slice rest = slice_of(text);
    bool has_messages = false;
    bool has_bytes = false;
    while (rest.data != NULL) {
        struct slice part = slice_trim(slice_cut(&rest, ','));
        uint64_t value;
        bool is_count = slice_to_u64(part, UINT32_MAX, &value) == 0;
        if (!is_count && read_units(part, size_units, 1, &value) < 0) {
            return refuse(why_r, text, expected);
        }
        bool *has = is_count ? &has_messages : &has_bytes;
        if (*has) {
            return refuse(why_r, text, expected);
        }
        *has = true;
        int error =
            is_count ? check_count(value, option->min, option->max, why_r)
                     : check_range(size_units, value, option->bytes_min, option->bytes_max, why_r);
        if (error < 0) {
            return error;
        }
        *(is_count ? messages : bytes) = (size_t)value;
    }
    return 0;
}

static void replace(char **string, struct slice text) {
    mem_free(*string);
    *string = mem_alloc(text.len + 1);
    memcpy(*string, text.data, text.len);
}

// host:port, [v6]:port, :port (every address), port (the host stays).
static int read_address(const char *text, char **host, uint16_t *port,
                        char why_r[static OPTION_WHY_MAX]) {
    const char *colon = strrchr(text, ':');
    const char *digits = colon == NULL ? text : colon + 1;
    uint64_t number;
    if (slice_to_u64(slice_of(digits), UINT16_MAX, &number) < 0 || number == 0) {
        return refuse(why_r, text, "an address such as 8080, :8080, 127.0.0.1:8080 or [::1]:8080");
    }
    if (colon != NULL) {
        struct slice name = slice_make(text, (size_t)(colon - text));
        bool is_bracketed = name.len > 2 && name.data[0] == '[' && name.data[name.len - 1] == ']';
        if (is_bracketed) {
            name = slice_make(name.data + 1, name.len - 2);
        } else if (memchr(name.data, ':', name.len) != NULL) {
            return refuse(why_r, text, "an address: write IPv6 in brackets, as in [::1]:8080");
        }
        replace(host, name.len == 0 ? SLICE("0.0.0.0") : name);
    }
    *port = (uint16_t)number;
    return 0;
}

static int read_name(const struct option *option, const char *text, char **name,
                     char why_r[static OPTION_WHY_MAX]) {
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    if (text[len] != '\0' || len < option->min || len > option->max) {
        snprintf(why_r, OPTION_WHY_MAX, "\"%.60s\" is not 1 to %" PRIu64 " of A-Z a-z 0-9 . _ -",
                 text, option->max);
        return UV_EINVAL;
    }
    replace(name, slice_of(text));
    return 0;
}

// Where Redis is known it is read again, by cluster_open.
static int read_redis(const char *text, char **url, char why_r[static OPTION_WHY_MAX]) {
    struct slice given = slice_of(text);
    if (!slice_starts_with(given, SLICE("redis://")) &&
        !slice_starts_with(given, SLICE("redis+sentinel://")) &&
        !slice_starts_with(given, SLICE("unix:"))) {
        snprintf(why_r, OPTION_WHY_MAX,
                 "not redis://[user:password@]host[:port][/database], "
                 "redis+sentinel://[user:password@]host[:port],.../NAME[/database] or "
                 "unix:/path/to.sock");
        return UV_EINVAL;
    }
    const char *why;
    if (cluster_check_url(given, &why) < 0) {
        snprintf(why_r, OPTION_WHY_MAX, "%s", why);
        return UV_EINVAL;
    }
    replace(url, given);
    return 0;
}

bool option_is_list(const struct option *option) {
    return option->kind == OPTION_PATTERNS || option->kind == OPTION_KEYS ||
           option->kind == OPTION_ORIGINS || option->kind == OPTION_NETWORKS;
}

void option_list_add(struct config_list *list, struct slice item) {
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof(list->items[0]));
    list->items[list->count] = NULL;
    replace(&list->items[list->count++], item);
}

static int read_patterns(const char *text, struct config_list *list,
                         char why_r[static OPTION_WHY_MAX]) {
    struct slice rest = slice_of(text);
    while (rest.data != NULL) {
        struct slice pattern = slice_cut(&rest, ' ');
        if (pattern.len == 0) {
            continue;
        }
        if (!channel_name_is_valid(pattern)) {
            return refuse(why_r, text,
                          "channel patterns (1-200 bytes each, no control characters "
                          "or braces; * for any run of characters)");
        }
        option_list_add(list, pattern);
    }
    return 0;
}

static int read_word(const struct option *option, const char *text, unsigned *value_r,
                     char why_r[static OPTION_WHY_MAX]) {
    struct slice words = slice_of(option->value);
    for (unsigned i = 0; words.data != NULL; i++) {
        if (slice_equal_nocase(slice_cut(&words, '|'), slice_of(text))) {
            *value_r = i;
            return 0;
        }
    }
    snprintf(why_r, OPTION_WHY_MAX, "\"%.60s\" is none of %s", text, option->value);
    return UV_EINVAL;
}

int option_read(const struct option *option, const char *text, struct config *config,
                char why_r[static OPTION_WHY_MAX]) {
    void *at = field(option, config);
    if (text[strspn(text, " \t")] == '\0') {
        snprintf(why_r, OPTION_WHY_MAX, "needs a value");
        return UV_EINVAL;
    }
    switch (option->kind) {
    case OPTION_ADDRESS:
        return read_address(text, at, second_field(option, config), why_r);
    case OPTION_REDIS:
        return read_redis(text, at, why_r);
    case OPTION_NAME:
        return read_name(option, text, at, why_r);
    case OPTION_PATTERNS:
        return read_patterns(text, at, why_r);
    case OPTION_KEYS:
        return option_read_keys(text, at, why_r);
    case OPTION_ORIGINS:
        return option_read_origins(text, at, why_r);
    case OPTION_NETWORKS:
        return option_read_networks(text, at, why_r);
    case OPTION_WORD:
        return read_word(option, text, at, why_r);
    case OPTION_DURATION:
        return read_duration(option, text, at, why_r);
    case OPTION_SIZE:
        return read_size(option, text, at, why_r);
    case OPTION_COUNT:
        return read_count(option, text, at, why_r);
    case OPTION_BOUND:
        return read_bound(option, text, at, second_field(option, config), why_r);
    case OPTION_GROUP:
    case OPTION_FILE:
        break;
    }
    return 0;
}

// "***" in place of the password, wherever in the URL one may stand. What is not quite a URL is
// masked rather too much than too little.
static void append_masked(struct bytes *bytes, struct slice url) {
    size_t start = 0;
    for (size_t i = 0; i + 3 <= url.len && start == 0; i++) {
        start = memcmp(url.data + i, "://", 3) == 0 ? i + 3 : 0;
    }
    const char *at = start == 0 ? NULL : memrchr(url.data + start, '@', url.len - start);
    const char *colon =
        at == NULL ? NULL : memchr(url.data + start, ':', (size_t)(at - url.data) - start);
    size_t done = 0;
    if (colon != NULL) {
        bytes_append(bytes, slice_make(url.data, (size_t)(colon - url.data) + 1));
        bytes_append(bytes, SLICE("***"));
        done = (size_t)(at - url.data);
        if (memmem(url.data, done, "password=", 9) != NULL) {
            return; // that @ may be part of another password
        }
    }
    const char *query = memmem(url.data + done, url.len - done, "password=", 9);
    if (query == NULL) {
        bytes_append(bytes, slice_from(url, done));
        return;
    }
    size_t value = (size_t)(query - url.data) + 9;
    bytes_append(bytes, slice_make(url.data + done, value - done));
    bytes_append(bytes, SLICE("***"));
    const char *next = memchr(url.data + value, '&', url.len - value);
    if (next != NULL) {
        bytes_append(bytes, slice_from(url, (size_t)(next - url.data)));
    }
}

static void append_address(struct bytes *bytes, const char *host, uint16_t port) {
    bool is_v6 = strchr(host, ':') != NULL;
    bytes_append_format(bytes, is_v6 ? "[%s]:%u" : "%s:%u", host, port);
}

static void append_word(struct bytes *bytes, const char *words, unsigned value) {
    struct slice rest = slice_of(words);
    struct slice word = slice_cut(&rest, '|');
    for (unsigned i = 0; i < value && rest.data != NULL; i++) {
        word = slice_cut(&rest, '|');
    }
    bytes_append(bytes, word);
}

void option_append(const struct option *option, const struct config *config, struct bytes *bytes) {
    struct config *fields = (struct config *)(uintptr_t)config; // only read below
    const void *at = field(option, fields);
    const struct config_list *list = at;
    switch (option->kind) {
    case OPTION_ADDRESS:
        append_address(bytes, *(char *const *)at, *(const uint16_t *)second_field(option, fields));
        break;
    case OPTION_REDIS:
        append_masked(bytes, slice_of(*(char *const *)at));
        break;
    case OPTION_NAME:
        bytes_append(bytes, slice_of(*(char *const *)at));
        break;
    case OPTION_KEYS:
        for (size_t i = 0; i < list->count; i++) {
            bytes_append(bytes, i == 0 ? SLICE("***") : SLICE(" ***"));
        }
        break;
    case OPTION_PATTERNS:
    case OPTION_ORIGINS:
        for (size_t i = 0; i < list->count; i++) {
            bytes_append_format(bytes, i == 0 ? "%s" : " %s", list->items[i]);
        }
        break;
    case OPTION_NETWORKS:
        network_list_append(bytes, at);
        break;
    case OPTION_WORD:
        append_word(bytes, option->value, *(const unsigned *)at);
        break;
    case OPTION_DURATION:
        append_units(bytes, duration_units, *(const uint64_t *)at);
        break;
    case OPTION_SIZE:
        append_units(bytes, size_units, *(const size_t *)at);
        break;
    case OPTION_COUNT:
        bytes_append_u64(bytes, *(const size_t *)at);
        break;
    case OPTION_BOUND:
        bytes_append_u64(bytes, *(const size_t *)at);
        bytes_append_char(bytes, ',');
        append_units(bytes, size_units, *(const size_t *)second_field(option, fields));
        break;
    case OPTION_GROUP:
    case OPTION_FILE:
        break;
    }
}

void option_release(const struct option *option, struct config *config) {
    char **string = field(option, config);
    struct config_list *list = field(option, config);
    struct network_list *networks = field(option, config);
    switch (option->kind) {
    case OPTION_ADDRESS:
    case OPTION_REDIS:
    case OPTION_NAME:
        mem_free(*string);
        *string = NULL;
        break;
    case OPTION_PATTERNS:
    case OPTION_KEYS:
    case OPTION_ORIGINS:
        for (size_t i = 0; i < list->count; i++) {
            mem_free(list->items[i]);
        }
        mem_free(list->items);
        *list = (struct config_list){0};
        break;
    case OPTION_NETWORKS:
        mem_free(networks->items);
        *networks = (struct network_list){0};
        break;
    default:
        break;
    }
}

void option_environment(const struct option *option, char name_r[static OPTION_ENVIRONMENT_MAX]) {
    snprintf(name_r, OPTION_ENVIRONMENT_MAX, "FRESHET_%s", option->name);
    for (char *c = name_r; *c != '\0'; c++) {
        *c = *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    }
}
