// A hashed wheel: a timer lies in the slot of its step modulo the number of slots, and is passed
// over until its own round has come. Nearly all timers here are shorter than one round (102 s).
#include "node/net/wheel.h"

#include "cluster/base/check.h"
#include "cluster/base/clock.h"
#include "cluster/base/mem.h"

enum { STEP_MS = 50, SLOTS = 2048 };

struct wheel {
    uv_timer_t timer;
    uint64_t start_ms; // step n is due at start_ms + n * STEP_MS
    uint64_t step;     // whatever was due up to here has run
    size_t running;
    struct list slots[SLOTS];
};

static uint64_t elapsed_ms(const struct wheel *wheel) {
    return clock_mono_ms() - wheel->start_ms;
}

static void on_tick(uv_timer_t *timer);

// Sleeps until the next step. The loop's own time may be old after a long turn; a timer that was
// set by it would come early and find nothing.
static void arm(struct wheel *wheel) {
    uv_update_time(wheel->timer.loop);
    uint64_t elapsed = elapsed_ms(wheel);
    uint64_t next = (elapsed / STEP_MS + 1) * STEP_MS;
    CHECK(uv_timer_start(&wheel->timer, on_tick, next - elapsed, 0) == 0);
}

// Moves what is due up to now_step from one slot to the end of `due`.
static void collect(struct list *slot, uint64_t now_step, struct list *due) {
    LIST_FOREACH(node, slot) {
        if (LIST_ENTRY(node, struct wheel_timer, node)->due_step <= now_step) {
            list_remove(node);
            list_append(due, node);
        }
    }
}

static void on_tick(uv_timer_t *timer) {
    struct wheel *wheel = timer->data;
    uint64_t now_step = elapsed_ms(wheel) / STEP_MS;
    struct list due;
    list_init(&due);
    // After a long sleep (a stopped process) one round sees every slot once.
    uint64_t passed = now_step - wheel->step;
    for (uint64_t i = passed < SLOTS ? passed : SLOTS; i > 0; i--) {
        collect(&wheel->slots[(now_step - i + 1) % SLOTS], now_step, &due);
    }
    wheel->step = now_step;
    // Callbacks may unlink others from `due`, so each turn looks at its first anew.
    for (struct list *node; (node = list_first(&due)) != NULL;) {
        struct wheel_timer *first = LIST_ENTRY(node, struct wheel_timer, node);
        wheel_stop(first);
        first->on_timeout(first);
    }
    if (wheel->running > 0) {
        arm(wheel);
    }
}

static void on_closed(uv_handle_t *handle) {
    mem_free(handle->data);
}

int wheel_open(uv_loop_t *loop, struct wheel **wheel_r) {
    struct wheel *wheel = mem_alloc(sizeof(*wheel));
    int err = uv_timer_init(loop, &wheel->timer);
    if (err != 0) {
        mem_free(wheel);
        return err;
    }
    wheel->timer.data = wheel;
    wheel->start_ms = clock_mono_ms();
    for (size_t i = 0; i < SLOTS; i++) {
        list_init(&wheel->slots[i]);
    }
    *wheel_r = wheel;
    return 0;
}

void wheel_close(struct wheel **wheel) {
    CHECK((*wheel)->running == 0);
    uv_close((uv_handle_t *)&(*wheel)->timer, on_closed);
    *wheel = NULL;
}

void wheel_start(struct wheel *wheel, struct wheel_timer *timer, uint64_t after_ms,
                 void (*on_timeout)(struct wheel_timer *timer)) {
    wheel_stop(timer);
    uint64_t elapsed = elapsed_ms(wheel);
    if (wheel->running == 0) {
        wheel->step = elapsed / STEP_MS; // nothing waited: there is nothing to catch up with
    }
    uint64_t due_step = (elapsed + after_ms + STEP_MS - 1) / STEP_MS;
    timer->due_step = due_step > wheel->step ? due_step : wheel->step + 1;
    timer->on_timeout = on_timeout;
    timer->wheel = wheel;
    list_append(&wheel->slots[timer->due_step % SLOTS], &timer->node);
    wheel->running++;
    if (!uv_is_active((uv_handle_t *)&wheel->timer)) {
        arm(wheel);
    }
}

void wheel_stop(struct wheel_timer *timer) {
    if (timer->wheel == NULL) {
        return;
    }
    list_remove(&timer->node);
    timer->wheel->running--;
    timer->wheel = NULL;
}

bool wheel_is_running(const struct wheel_timer *timer) {
    return timer->wheel != NULL;
}

uint64_t wheel_jitter(uint64_t after_ms) {
    return after_ms - clock_random(after_ms / 10 + 1);
}
