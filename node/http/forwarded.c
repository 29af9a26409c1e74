// Reads X-Forwarded-For from its end.
#include "node/http/forwarded.h"

#include <string.h>

// `192.0.2.7`, `2001:db8::7`, and both with a port, as some proxies write them: `192.0.2.7:4711`,
// `[2001:db8::7]:4711`. The port tells nothing.
static int parse_item(struct slice item, struct address *address_r) {
    struct slice rest = item;
    if (item.len > 0 && item.data[0] == '[') {
        rest = slice_from(item, 1);
        item = slice_cut(&rest, ']');
    } else {
        struct slice host = slice_cut(&rest, ':');
        bool is_v6 = rest.data != NULL && memchr(rest.data, ':', rest.len) != NULL;
        item = is_v6 ? item : host;
    }
    return address_parse(item, address_r);
}

// Cuts the last item off *list. False: that was the last.
static bool cut_last(struct slice *list, struct slice *item_r) {
    const char *comma = list->len > 0 ? memrchr(list->data, ',', list->len) : NULL;
    size_t begin = comma == NULL ? 0 : (size_t)(comma - list->data) + 1;
    *item_r = slice_trim(slice_make(list->data + begin, list->len - begin));
    list->len = comma == NULL ? 0 : begin - 1;
    return comma != NULL;
}

// Goes back along one field's list. True: the client is found.
static bool go_back(struct slice list, const struct network_list *trusted, struct address *client) {
    for (bool has_more = true; has_more;) {
        struct slice item;
        struct address hop;
        has_more = cut_last(&list, &item);
        if (parse_item(item, &hop) < 0) {
            return true;
        }
        *client = hop;
        if (!network_list_holds(trusted, &hop)) {
            return true;
        }
    }
    return false;
}

struct address forwarded_client(const struct request *request, const struct address *peer,
                                const struct network_list *trusted) {
    struct slice lists[REQUEST_FIELDS_MAX]; // several fields are one list, in their order
    struct address client = *peer;
    size_t count = 0;
    for (size_t at = 0;
         request_field_next(request, SLICE("X-Forwarded-For"), &at, &lists[count]);) {
        count++;
    }
    while (count > 0 && !go_back(lists[count - 1], trusted, &client)) {
        count--;
    }
    return client;
}
