// Ctrl-C and SIGTERM for a command that ends by them in its own time. A second one ends the process
// at once.
#ifndef FRESHET_CLUSTER_CLI_INTERRUPT_H
#define FRESHET_CLUSTER_CLI_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

// From now on. Without it signals end the process as usual.
void interrupt_catch(void);
bool interrupt_came(void);

// Readable once one came: for poll, which a signal between check and call would not end. -1 while
// none is caught, which poll ignores.
int interrupt_fd(void);

// Sleeps; an interrupt ends it.
void interrupt_sleep(uint64_t ms);

#endif
