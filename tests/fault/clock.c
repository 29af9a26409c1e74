// A library to preload: the process sees another wall clock, off by what FAULT_CLOCK says, a file
// with microseconds as an int64 that is read at each call, so that a clock can be set while its
// process runs. Monotonic clocks stay. (libfaketime hangs in programs with jemalloc, as Redis is.)
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_us;

__attribute__((constructor)) static void map_offset(void) {
    const char *path = getenv("FAULT_CLOCK");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    void *page = mmap(NULL, sizeof(*offset_us), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED) {
        offset_us = page;
    }
}

int clock_gettime(clockid_t id, struct timespec *time_r) {
    int result = (int)syscall(SYS_clock_gettime, id, time_r);
    if (result == 0 && offset_us != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t ns = time_r->tv_nsec + *offset_us % 1000000 * 1000;
        time_r->tv_sec += *offset_us / 1000000 + (ns >= 1000000000) - (ns < 0);
        time_r->tv_nsec = (ns + 1000000000) % 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *restrict time_r, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time_r->tv_sec = now.tv_sec;
    time_r->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *time_r) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (time_r != NULL) {
        *time_r = now.tv_sec;
    }
    return now.tv_sec;
}
