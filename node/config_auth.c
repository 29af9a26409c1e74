// Values of the options that say whom to trust: keys, origins and proxies. What is said about a key
// never repeats it.
#include "node/config_option.h"

#include "cluster/base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

// A file of keys holds no more than this.
enum { KEY_FILE_BYTES_MAX = AUTH_KEYS_MAX * (AUTH_KEY_BYTES_MAX + 2) };

// RFC 7518, section 3.2: no shorter than what the hash gives. Control characters are the sign of a
// file that is no text: its end would be anybody's guess.
static const char *fault_of_key(struct slice key) {
    for (size_t i = 0; i < key.len; i++) {
        if ((unsigned char)key.data[i] < 0x20 || key.data[i] == 0x7f) {
            return "a key is one line of text, as `openssl rand -base64 48` writes it";
        }
    }
    return key.len < AUTH_KEY_BYTES_MIN   ? "a key needs 32 bytes or more"
           : key.len > AUTH_KEY_BYTES_MAX ? "a key may have 4096 bytes"
                                          : NULL;
}

static int add_key(struct slice key, struct config_list *list, const char *path,
                   char why_r[static OPTION_WHY_MAX]) {
    const char *fault = list->count == AUTH_KEYS_MAX ? "more than 16 keys" : fault_of_key(key);
    if (fault == NULL) {
        option_list_add(list, key);
        return 0;
    }
    snprintf(why_r, OPTION_WHY_MAX, "%.100s%s%s", path, path[0] == '\0' ? "" : ": ", fault);
    return UV_EINVAL;
}

static int add_lines(struct slice text, struct config_list *list, const char *path,
                     char why_r[static OPTION_WHY_MAX]) {
    size_t before = list->count;
    int error = 0;
    while (text.data != NULL && error == 0) {
        struct slice line = slice_cut(&text, '\n');
        line.len -= line.len > 0 && line.data[line.len - 1] == '\r';
        error = line.len == 0 ? 0 : add_key(line, list, path, why_r);
    }
    if (error == 0 && list->count == before) {
        snprintf(why_r, OPTION_WHY_MAX, "%.100s: there is no key in it", path);
        error = UV_EINVAL;
    }
    return error;
}

// UV_EINVAL with the reason when it cannot be read, or is larger than any file of keys.
static int read_file(const char *path, char content[static KEY_FILE_BYTES_MAX + 1], size_t *len_r,
                     char why_r[static OPTION_WHY_MAX]) {
    FILE *file = fopen(path, "re");
    *len_r = file == NULL ? 0 : fread(content, 1, KEY_FILE_BYTES_MAX + 1, file);
    int error = 0;
    if (file == NULL || ferror(file)) {
        snprintf(why_r, OPTION_WHY_MAX, "cannot read %.100s: %s", path, strerror(errno));
        error = UV_EINVAL;
    } else if (*len_r > KEY_FILE_BYTES_MAX) {
        snprintf(why_r, OPTION_WHY_MAX, "%.100s: too large for a file of keys", path);
        error = UV_EINVAL;
    }
    if (file != NULL) {
        fclose(file);
    }
    return error;
}

int option_read_keys(const char *text, struct config_list *list,
                     char why_r[static OPTION_WHY_MAX]) {
    if (text[0] != '@') {
        return add_key(slice_of(text), list, "", why_r);
    }
    const char *path = text + 1;
    char content[KEY_FILE_BYTES_MAX + 1];
    size_t len;
    int error = read_file(path, content, &len, why_r);
    if (error == 0) {
        error = add_lines(slice_make(content, len), list, path, why_r);
    }
    explicit_bzero(content, sizeof(content));
    return error;
}

// ---- Origins ------------------------------------------------------------------------------------

static size_t span(struct slice text, const char *set) {
    size_t len = 0;
    while (len < text.len && text.data[len] != '\0' && strchr(set, text.data[len]) != NULL) {
        len++;
    }
    return len;
}

#define LOWER_CASE_AND_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"

// Bytes of the host that `text` begins with; 0: none.
static size_t host_length(struct slice text) {
    if (text.len == 0 || text.data[0] != '[') {
        return span(text, LOWER_CASE_AND_DIGITS "-._");
    }
    size_t len = 1 + span(slice_from(text, 1), "0123456789abcdef:.");
    return len > 1 && len < text.len && text.data[len] == ']' ? len + 1 : 0;
}

// ":8443", or nothing. Browsers leave the port out that the scheme means anyway.
static bool is_port(struct slice text, struct slice scheme) {
    uint64_t number;
    if (text.len == 0) {
        return true;
    }
    return text.len > 1 && text.data[0] == ':' && text.data[1] != '0' &&
           slice_to_u64(slice_from(text, 1), UINT16_MAX, &number) == 0 &&
           !(number == 80 && slice_equal(scheme, SLICE("http"))) &&
           !(number == 443 && slice_equal(scheme, SLICE("https")));
}

// scheme://host[:port], in the one spelling of browsers: what they never send would never match.
static bool is_origin(struct slice text) {
    struct slice scheme = slice_make(text.data, span(text, LOWER_CASE_AND_DIGITS "+-."));
    struct slice rest = slice_from(text, scheme.len);
    if (scheme.len == 0 || !slice_starts_with(rest, SLICE("://"))) {
        return false;
    }
    rest = slice_from(rest, 3);
    size_t host = host_length(rest);
    return host > 0 && is_port(slice_from(rest, host), scheme);
}

int option_read_origins(const char *text, struct config_list *list,
                        char why_r[static OPTION_WHY_MAX]) {
    struct slice rest = slice_of(text);
    while (rest.data != NULL) {
        struct slice origin = slice_cut(&rest, ' ');
        if (origin.len == 0) {
            continue;
        }
        if (!slice_equal(origin, SLICE("*")) && !is_origin(origin)) {
            snprintf(why_r, OPTION_WHY_MAX,
                     "\"%.60s\" is no origin as browsers write it (https://app.example.com, "
                     "http://localhost:3000: lower case, no path, no usual port), nor *",
                     text);
            return UV_EINVAL;
        }
        option_list_add(list, origin);
    }
    return 0;
}

// ---- Networks -----------------------------------------------------------------------------------

enum { NETWORKS_MAX = 256 }; // each new connection is compared with all of them

int option_read_networks(const char *text, struct network_list *list,
                         char why_r[static OPTION_WHY_MAX]) {
    struct slice rest = slice_of(text);
    while (rest.data != NULL) {
        struct slice item = slice_cut(&rest, ' ');
        struct network network;
        if (item.len == 0) {
            continue;
        }
        if (network_parse(item, &network) < 0) {
            snprintf(why_r, OPTION_WHY_MAX,
                     "\"%.60s\" is not a network such as 10.0.0.0/8 or fd00::/8, nor an address",
                     text);
            return UV_EINVAL;
        }
        if (list->count == NETWORKS_MAX) {
            snprintf(why_r, OPTION_WHY_MAX, "more than %d networks", NETWORKS_MAX);
            return UV_EINVAL;
        }
        list->items = mem_realloc(list->items, (list->count + 1) * sizeof(list->items[0]));
        list->items[list->count++] = network;
    }
    return 0;
}
