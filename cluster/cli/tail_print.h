// How `tail` shows messages and resets: columns for people, or JSON lines.
#ifndef FRESHET_CLUSTER_CLI_TAIL_PRINT_H
#define FRESHET_CLUSTER_CLI_TAIL_PRINT_H

#include "cluster/cli/output.h"

struct tail_printer {
    bool is_json;
    size_t channel_width; // in bytes
    struct bytes line;
};

void tail_printer_init(struct tail_printer *printer, bool is_json, const char *const *channels,
                       size_t count);
void tail_printer_release(struct tail_printer *printer);

void tail_print_message(struct tail_printer *printer, struct slice channel,
                        const struct message *message);
void tail_print_reset(struct tail_printer *printer, struct slice channel,
                      const struct reset *reset);

// Ends the process when the output can no longer be written.
void tail_printer_flush(struct tail_printer *printer);

#endif
