// Parses the option `redis`. What names one server is redis_address's.
#include "cluster/topology.h"

#include "cluster/base/mem.h"

#include <stdio.h>
#include <uv.h>

enum { SENTINEL_PORT = 26379 };

static int refuse(const char **why_r, const char *why) {
    *why_r = why;
    return UV_EINVAL;
}

// As Sentinel itself has it ("sentinel monitor").
static bool is_master_name(struct slice name) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        bool is_digit = c >= '0' && c <= '9';
        if (!is_letter && !is_digit && c != '.' && c != '-' && c != '_') {
            return false;
        }
    }
    return name.len > 0 && name.len <= MASTER_NAME_BYTES_MAX;
}

static int read_path(struct slice path, struct topology *topology, const char **why_r) {
    struct slice database = path;
    struct slice name = slice_cut(&database, '/');
    if (name.len == 0) {
        return refuse(why_r, "the master's name is missing (redis+sentinel://host,host/NAME)");
    }
    if (!is_master_name(name)) {
        return refuse(why_r, "a master's name is 1 to 200 of A-Z a-z 0-9 . - _");
    }
    topology->master_name = mem_alloc(name.len + 1);
    memcpy(topology->master_name, name.data, name.len);
    return database.len > 0 ? redis_address_read_database(&topology->server, database, why_r) : 0;
}

static int read_query(struct slice query, struct slice *user_r, struct slice *password_r,
                      const char **why_r) {
    while (query.data != NULL) {
        struct slice value = slice_cut(&query, '&');
        struct slice name = slice_cut(&value, '=');
        if (slice_equal(name, SLICE("sentinel-user")) && user_r->data == NULL) {
            *user_r = value;
        } else if (slice_equal(name, SLICE("sentinel-password")) && password_r->data == NULL) {
            *password_r = value;
        } else {
            return refuse(why_r, "redis+sentinel:// takes sentinel-user and sentinel-password, "
                                 "each once");
        }
    }
    if (user_r->len > 0 && password_r->data == NULL) {
        return refuse(why_r, "sentinel-user needs sentinel-password");
    }
    return 0;
}

static int read_sentinels(struct slice hosts, struct slice query, struct topology *topology,
                          const char **why_r) {
    struct slice user = SLICE_NONE;
    struct slice password = SLICE_NONE;
    int error = read_query(query, &user, &password, why_r);
    // A lone `?` or `host,` leaves an empty part, which is refused as such.
    for (bool is_more = true; error == 0 && is_more; is_more = hosts.data != NULL) {
        struct slice host = slice_cut(&hosts, ',');
        if (topology->sentinel_count == SENTINELS_MAX) {
            return refuse(why_r, "at most 16 Sentinels");
        }
        struct redis_address *sentinel = &topology->sentinels[topology->sentinel_count++];
        sentinel->role = REDIS_ROLE_SENTINEL;
        error = redis_address_read_server(sentinel, host, SENTINEL_PORT, why_r);
        if (error == 0) {
            error = redis_address_read_credentials(sentinel, user, password, why_r);
        }
    }
    return error;
}

static int parse_sentinel(struct slice text, struct topology *topology, const char **why_r) {
    if (text.len > 0 && memchr(text.data, '#', text.len) != NULL) {
        return refuse(why_r, "redis+sentinel:// takes no # (write it %23)");
    }
    struct slice query = text;
    struct slice path = slice_cut(&query, '?');
    struct slice hosts = slice_cut(&path, '/');
    // The last @, as in redis://.
    const char *at = hosts.len > 0 ? memrchr(hosts.data, '@', hosts.len) : NULL;
    int error = 0;
    if (at != NULL) {
        size_t userinfo_len = (size_t)(at - hosts.data);
        error = redis_address_read_userinfo(&topology->server, slice_make(hosts.data, userinfo_len),
                                            why_r);
        // Not slice_from: behind an @ at the end stands a host that is missing.
        hosts = slice_make(at + 1, hosts.len - userinfo_len - 1);
    } else if (path.len > 0 && memchr(path.data, '@', path.len) != NULL) {
        error = refuse(why_r, "a / in a password is written %2F");
    }
    if (error == 0) {
        error = read_path(path, topology, why_r);
    }
    return error == 0 ? read_sentinels(hosts, query, topology, why_r) : error;
}

int topology_parse(struct slice url, struct topology *topology_r, const char **why_r) {
    static const struct slice scheme = {"redis+sentinel://", 17};
    struct topology topology = {0};
    int error;
    if (slice_starts_with(url, scheme)) {
        error = parse_sentinel(slice_from(url, scheme.len), &topology, why_r);
    } else {
        error = redis_address_parse(url, &topology.server, why_r);
    }
    if (error != 0) {
        topology_release(&topology);
        return error;
    }
    *topology_r = topology;
    return 0;
}

void topology_release(struct topology *topology) {
    redis_address_release(&topology->server);
    mem_free(topology->master_name);
    for (size_t i = 0; i < topology->sentinel_count; i++) {
        redis_address_release(&topology->sentinels[i]);
    }
    *topology = (struct topology){0};
}

void topology_describe(const struct topology *topology, char *text_r, size_t size) {
    if (topology->master_name == NULL) {
        redis_address_describe(&topology->server, text_r, size);
        return;
    }
    size_t len = (size_t)snprintf(text_r, size, "redis+sentinel://");
    for (size_t i = 0; i < topology->sentinel_count && len < size; i++) {
        const struct redis_address *sentinel = &topology->sentinels[i];
        bool is_ipv6 = strchr(sentinel->host, ':') != NULL;
        len += (size_t)snprintf(text_r + len, size - len, "%s%s%s%s:%s", i > 0 ? "," : "",
                                is_ipv6 ? "[" : "", sentinel->host, is_ipv6 ? "]" : "",
                                sentinel->port);
    }
    if (len < size) {
        snprintf(text_r + len, size - len, "/%s/%u", topology->master_name,
                 topology->server.database);
    }
}
