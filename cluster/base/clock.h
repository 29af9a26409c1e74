// The two clocks. Deadlines and ages use the monotonic one; only what is shown to others uses the
// wall clock.
#ifndef FRESHET_CLUSTER_BASE_CLOCK_H
#define FRESHET_CLUSTER_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
int64_t clock_wall_ms(void);

// Uniform in [0, below); 0 when below is 0. For jitter and names, not for secrets. Any thread.
uint64_t clock_random(uint64_t below);

#endif
