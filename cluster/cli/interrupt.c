// See interrupt.h.
#include "cluster/cli/interrupt.h"

#include "cluster/base/check.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

static volatile sig_atomic_t has_come;
static int event_fd = -1;

static void on_signal(int number) {
    (void)number;
    has_come = 1;
    const uint64_t one = 1;
    ssize_t written = write(event_fd, &one, sizeof(one)); // cannot fail before 2^64 signals
    (void)written;
}

void interrupt_catch(void) {
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(event_fd >= 0);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupt_came(void) {
    return has_come != 0;
}

int interrupt_fd(void) {
    return event_fd;
}

void interrupt_sleep(uint64_t ms) {
    struct pollfd wanted = {.fd = event_fd, .events = POLLIN};
    poll(&wanted, 1, (int)ms);
}
