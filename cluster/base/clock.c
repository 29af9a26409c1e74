// Clocks of the kernel, and a small generator (splitmix64) for jitter, one per thread.
#include "cluster/base/clock.h"

#include <stdbool.h>
#include <sys/random.h>
#include <time.h>

#include "cluster/base/check.h"

static struct timespec now_of(clockid_t clock) {
    struct timespec now;
    CHECK(clock_gettime(clock, &now) == 0);
    return now;
}

uint64_t clock_mono_ms(void) {
    return clock_mono_us() / 1000;
}

uint64_t clock_mono_us(void) {
    struct timespec now = now_of(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int64_t clock_wall_ms(void) {
    struct timespec now = now_of(CLOCK_REALTIME);
    return (int64_t)now.tv_sec * 1000 + (int64_t)now.tv_nsec / 1000000;
}

static uint64_t next_random(void) {
    static _Thread_local uint64_t state;
    static _Thread_local bool is_seeded;
    if (!is_seeded) {
        CHECK(getrandom(&state, sizeof(state), 0) == (ssize_t)sizeof(state));
        is_seeded = true;
    }
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = state;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t clock_random(uint64_t below) {
    if (below == 0) {
        return 0;
    }
    // The lowest 2^64 mod `below` values are drawn again, or small results would come more often.
    uint64_t uneven = (0 - below) % below;
    uint64_t drawn;
    do {
        drawn = next_random();
    } while (drawn < uneven);
    return drawn % below;
}
