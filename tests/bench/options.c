// The command line of the load generator, and what must be so before it can start.
#include "tests/bench/options.h"

#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { DESCRIPTORS_SPARE = 32 };

void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("freshet-load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

static const char help[] =
    "freshet-load: many clients of Freshet and a publisher; judges every message\n"
    "  --node HOST:PORT    a node; repeat it to spread the clients     [127.0.0.1:8080]\n"
    "  --redis HOST:PORT   the Redis of those nodes                    [127.0.0.1:6379]\n"
    "  --prefix P          the nodes' --prefix                         [freshet]\n"
    "  --sse N             SSE clients                                 [100]\n"
    "  --long-poll N       long-poll clients                           [100]\n"
    "  --ws N              WebSocket clients                           [0]\n"
    "  --poll N            clients that poll at an interval            [0]\n"
    "  --stream N          HTTP streaming clients                      [0]\n"
    "  --poll-interval N   milliseconds between two polls              [500]\n"
    "  --channels N        channels, all new                           [100]\n"
    "  --rate N            publishes a second, all channels; 0: none   [100]\n"
    "  --seconds N         how long to publish; 0: until a signal      [10]\n"
    "  --ramp N            connections opened a second                 [2000]\n"
    "  --size N            bytes of padding in each payload            [1]\n"
    "  --kill-pubsub N     CLIENT KILL TYPE pubsub every N seconds     [never]\n"
    "  --reconnects        nodes and Redis may go away: a client that is cut off comes back with\n"
    "                      its cursor to the next node, a publish is repeated; neither is a "
    "failure\n"
    "  --view MODE         meanwhile, on standard error: none (a line every 5 s), lines (a table\n"
    "                      every 5 s), live (a table in place; lines where that is no terminal)\n"
    "  --notes             shows the lines of standard input in view and tally\n"
    "  --tally CHANNEL     publishes each second to CHANNEL how it goes, at last the verdict\n"
    "  --json              the result as JSON on standard output, all else on standard error\n"
    "SIGINT or SIGTERM ends the publishing early and judges what was published; a second one "
    "exits.\n"
    "exit: 0 all arrived once and in order and nobody was cut off, 1 not so, 2 no run\n";

static void parse_address(const char *text, struct sockaddr_storage *address_r) {
    char host[256];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(host)) {
        die("'%s' is no HOST:PORT", text);
    }
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host, colon + 1, &hints, &found);
    if (error != 0) {
        die("'%s': %s", text, gai_strerror(error));
    }
    memcpy(address_r, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
}

static uint32_t parse_number(const char *name, const char *text, uint32_t min, uint32_t max) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < min || value > max) {
        die("--%s takes a number from %" PRIu32 " to %" PRIu32 ", not '%s'", name, min, max, text);
    }
    return (uint32_t)value;
}

static const struct option flags[] = {
    {"node", required_argument, NULL, 'n'},
    {"redis", required_argument, NULL, 'r'},
    {"prefix", required_argument, NULL, 'x'},
    {"sse", required_argument, NULL, 's'},
    {"long-poll", required_argument, NULL, 'l'},
    {"ws", required_argument, NULL, 'w'},
    {"poll", required_argument, NULL, 'o'},
    {"stream", required_argument, NULL, 'e'},
    {"poll-interval", required_argument, NULL, 'i'},
    {"channels", required_argument, NULL, 'c'},
    {"rate", required_argument, NULL, 'p'},
    {"seconds", required_argument, NULL, 't'},
    {"ramp", required_argument, NULL, 'm'},
    {"size", required_argument, NULL, 'z'},
    {"kill-pubsub", required_argument, NULL, 'k'},
    {"reconnects", no_argument, NULL, 'b'},
    {"view", required_argument, NULL, 'v'},
    {"notes", no_argument, NULL, 'a'},
    {"tally", required_argument, NULL, 'y'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

enum { CLIENTS_MAX = 1000000 };
#define CLIENTS_OF(transport) offsetof(struct options, clients[transport])

// The flags that take a number, where it goes, and what it may be.
static const struct number {
    int flag;
    size_t offset;
    uint32_t min, max;
} numbers[] = {
    {'s', CLIENTS_OF(TRANSPORT_SSE), 0, CLIENTS_MAX},
    {'l', CLIENTS_OF(TRANSPORT_LONG_POLL), 0, CLIENTS_MAX},
    {'w', CLIENTS_OF(TRANSPORT_WS), 0, CLIENTS_MAX},
    {'o', CLIENTS_OF(TRANSPORT_POLL), 0, CLIENTS_MAX},
    {'e', CLIENTS_OF(TRANSPORT_STREAM), 0, CLIENTS_MAX},
    {'i', offsetof(struct options, poll_interval_ms), 1, 60000},
    {'c', offsetof(struct options, channels), 1, 1000000},
    {'p', offsetof(struct options, rate), 0, 100000},
    {'t', offsetof(struct options, seconds), 0, 86400},
    {'m', offsetof(struct options, ramp), 1, 100000},
    {'z', offsetof(struct options, size), 1, PAYLOAD_PAD_MAX},
    {'k', offsetof(struct options, kill_pubsub), 1, 3600},
};

// False when the flag takes no number.
static bool set_number(struct options *options, int flag, const char *name, const char *value) {
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const struct number *number = &numbers[i];
        if (number->flag == flag) {
            uint32_t *place = (uint32_t *)(void *)((char *)options + number->offset);
            *place = parse_number(name, value, number->min, number->max);
            return true;
        }
    }
    return false;
}

static enum view_mode parse_view(const char *text) {
    static const char *const names[] = {
        [VIEW_NONE] = "none", [VIEW_LINES] = "lines", [VIEW_LIVE] = "live"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            return (enum view_mode)i;
        }
    }
    die("--view takes none, lines or live, not '%s'", text);
}

static void set_option(struct options *options, int flag, const char *value) {
    switch (flag) {
    case 'n':
        if (options->node_count == NODES_MAX) {
            die("at most %d nodes", NODES_MAX);
        }
        parse_address(value, &options->nodes[options->node_count++]);
        break;
    case 'r':
        parse_address(value, &options->redis);
        break;
    case 'x':
        if (strlen(value) > 32) {
            die("--prefix takes at most 32 characters");
        }
        options->prefix = value;
        break;
    case 'b':
        options->reconnects = true;
        break;
    case 'v':
        options->view = parse_view(value);
        break;
    case 'a':
        options->notes = true;
        break;
    case 'y':
        if (strlen(value) > 200) {
            die("--tally takes the name of a channel, at most 200 bytes");
        }
        options->tally_channel = value;
        break;
    case 'j':
        options->json = true;
        break;
    case 'h':
        fputs(help, stdout);
        exit(0);
    default:
        exit(2); // getopt has said why
    }
}

static void raise_descriptor_limit(uint32_t clients) {
    rlim_t need = (rlim_t)clients + DESCRIPTORS_SPARE;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= need) {
        return;
    }
    limit.rlim_cur = need < limit.rlim_max ? need : limit.rlim_max;
    if (need > limit.rlim_max || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        die("%" PRIu32 " clients need %ju descriptors and a process here may have %ju: raise "
            "ulimit -n, open fewer, or start two of me",
            clients, (uintmax_t)need, (uintmax_t)limit.rlim_max);
    }
}

uint32_t options_clients(const struct options *options) {
    uint32_t total = 0;
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        total += options->clients[i];
    }
    return total;
}

void options_parse(struct options *options, int argc, char **argv) {
    *options = (struct options){.channels = 100,
                                .rate = 100,
                                .seconds = 10,
                                .ramp = 2000,
                                .size = 1,
                                .poll_interval_ms = 500,
                                .prefix = "freshet"};
    options->clients[TRANSPORT_SSE] = options->clients[TRANSPORT_LONG_POLL] = 100;
    parse_address("127.0.0.1:6379", &options->redis);
    int index = 0;
    for (int flag; (flag = getopt_long(argc, argv, "", flags, &index)) != -1;) {
        const char *name = flag == '?' ? "" : flags[index].name;
        if (!set_number(options, flag, name, optarg)) {
            set_option(options, flag, optarg);
        }
    }
    if (optind != argc) {
        die("what is '%s'? see --help", argv[optind]);
    }
    if (options->node_count == 0) {
        parse_address("127.0.0.1:8080", &options->nodes[0]);
    }
    if (options->node_count == 0) {
        options->node_count = 1;
    }
    raise_descriptor_limit(options_clients(options));
}
