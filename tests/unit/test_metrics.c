// GET /metrics: the names of the contract, sums over workers, and a text that Prometheus can read.
#include "cluster/base/mem.h"
#include "node/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// What the cluster library gives; this test stands without a cluster.
static const struct cluster_stats stats = {
    .messages_received = 7,
    .publishes = {[PUBLISH_OK] = 3, [PUBLISH_UNKNOWN] = 1},
    .history_window_seconds = 12.5,
    .subscriptions = 4,
    .links = {{"command", true, 2, 30, 40}, {"pubsub", false, 0, 5, 1500}},
};

// The caller owns the text: mem_free.
static char *scrape(const struct metrics *const *workers, size_t count, bool is_ready) {
    const struct cluster_state state = {.is_ready = is_ready};
    struct bytes text = {0};
    metrics_append(&text, workers, count, &stats, &state);
    bytes_append_char(&text, '\0');
    return text.data;
}

static void assert_line(const char *text, const char *line) {
    char whole[256];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    if (strstr(text, whole) == NULL) {
        fail_msg("no line \"%s\"", line);
    }
}

static void every_name_of_the_contract_is_there_with_its_labels(void **state) {
    (void)state;
    static const char *const series[] = {
        "freshet_ready 1",
        "freshet_connections{transport=\"poll\"} 0",
        "freshet_connections{transport=\"long_poll\"} 0",
        "freshet_connections{transport=\"sse\"} 0",
        "freshet_connections{transport=\"stream\"} 0",
        "freshet_channels 4",
        "freshet_subscribers{transport=\"sse\"} 0",
        "freshet_messages_received_total 7",
        "freshet_deliveries_total{transport=\"stream\"} 0",
        "freshet_delivery_lag_seconds_bucket{le=\"0.001\"} 0",
        "freshet_delivery_lag_seconds_bucket{le=\"10\"} 0",
        "freshet_delivery_lag_seconds_bucket{le=\"+Inf\"} 0",
        "freshet_delivery_lag_seconds_sum 0.000",
        "freshet_delivery_lag_seconds_count 0",
        "freshet_resets_total{reason=\"lost\"} 0",
        "freshet_resets_total{reason=\"expired\"} 0",
        "freshet_resets_total{reason=\"foreign\"} 0",
        "freshet_gaps_total 0",
        "freshet_gap_messages_total 0",
        "freshet_publishes_total{result=\"ok\"} 3",
        "freshet_publishes_total{result=\"conflict\"} 0",
        "freshet_publishes_total{result=\"refused\"} 0",
        "freshet_publishes_total{result=\"unavailable\"} 0",
        "freshet_publishes_total{result=\"unknown\"} 1",
        "freshet_frames_encoded_total{kind=\"object\"} 0",
        "freshet_backlog_bytes 0",
        "freshet_slow_subscribers 0",
        "freshet_closed_total{reason=\"stall\"} 0",
        "freshet_refused_total{reason=\"forbidden\"} 0",
        "freshet_redis_up{link=\"command\"} 1",
        "freshet_redis_up{link=\"pubsub\"} 0",
        "freshet_redis_reconnects_total{link=\"command\"} 2",
        "freshet_redis_commands_total 35",
        "freshet_echo_age_seconds{link=\"pubsub\"} 1.500",
        "freshet_history_window_seconds 12.500",
    };
    static struct metrics metrics;
    const struct metrics *workers[] = {&metrics};
    char *text = scrape(workers, 1, true);
    for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++) {
        assert_line(text, series[i]);
    }
    assert_non_null(strstr(text, "\nfreshet_envelopes_refused_total{reason=\""));
    mem_free(text);
    text = scrape(workers, 1, false);
    assert_line(text, "freshet_ready 0");
    mem_free(text);
}

static void workers_are_summed(void **state) {
    (void)state;
    static struct metrics a;
    static struct metrics b;
    metrics_add(&a.connections[TRANSPORT_SSE], 2);
    metrics_add(&b.connections[TRANSPORT_SSE], 3);
    metrics_add(&b.connections[TRANSPORT_SSE], -1);
    metrics_add(&a.resets[RESET_EXPIRED], 1);
    metrics_add(&b.resets[RESET_EXPIRED], 1);
    const struct metrics *workers[] = {&a, &b};
    char *text = scrape(workers, 2, true);
    assert_line(text, "freshet_connections{transport=\"sse\"} 4");
    assert_line(text, "freshet_connections{transport=\"poll\"} 0");
    assert_line(text, "freshet_resets_total{reason=\"expired\"} 2");
    mem_free(text);
}

static void a_delivery_falls_into_the_buckets_from_its_lag_on(void **state) {
    (void)state;
    static struct metrics metrics;
    metrics_delivery(&metrics, TRANSPORT_SSE, 1000, 1001);      // 1 ms
    metrics_delivery(&metrics, TRANSPORT_SSE, 1000, 1002);      // 2 ms
    metrics_delivery(&metrics, TRANSPORT_LONG_POLL, 1000, 900); // clocks apart
    metrics_delivery(&metrics, TRANSPORT_STREAM, 1000, 1000 + 20000);
    const struct metrics *workers[] = {&metrics};
    char *text = scrape(workers, 1, true);
    assert_line(text, "freshet_deliveries_total{transport=\"sse\"} 2");
    assert_line(text, "freshet_deliveries_total{transport=\"long_poll\"} 1");
    assert_line(text, "freshet_delivery_lag_seconds_bucket{le=\"0.001\"} 2");
    assert_line(text, "freshet_delivery_lag_seconds_bucket{le=\"0.002\"} 3");
    assert_line(text, "freshet_delivery_lag_seconds_bucket{le=\"10\"} 3");
    assert_line(text, "freshet_delivery_lag_seconds_bucket{le=\"+Inf\"} 4");
    assert_line(text, "freshet_delivery_lag_seconds_count 4");
    assert_line(text, "freshet_delivery_lag_seconds_sum 20.003");
    mem_free(text);
}

// The family that a sample of this line belongs to.
static size_t family_length(const char *line) {
    size_t len = strcspn(line, "{ ");
    static const char *const endings[] = {"_bucket", "_sum", "_count"};
    for (size_t i = 0; i < 3; i++) {
        size_t ending = strlen(endings[i]);
        if (strncmp(line, "freshet_delivery_lag", 20) == 0 && len > ending &&
            strncmp(line + len - ending, endings[i], ending) == 0) {
            return len - ending;
        }
    }
    return len;
}

static void every_sample_stands_behind_help_and_type_of_its_family(void **state) {
    (void)state;
    static struct metrics metrics;
    const struct metrics *workers[] = {&metrics};
    char *text = scrape(workers, 1, true);
    char family[96] = "";
    size_t families = 0;
    assert_int_equal(text[strlen(text) - 1], '\n');
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            snprintf(family, sizeof(family), "%.*s", (int)strcspn(line + 7, " "), line + 7);
            families++;
            line = strtok(NULL, "\n");
            char type[128];
            snprintf(type, sizeof(type), "# TYPE %s ", family);
            assert_non_null(line);
            assert_int_equal(strncmp(line, type, strlen(type)), 0);
            bool is_total =
                strlen(family) > 6 && strcmp(family + strlen(family) - 6, "_total") == 0;
            assert_true(is_total == (strcmp(line + strlen(type), "counter") == 0));
            continue;
        }
        assert_int_equal(family_length(line), strlen(family));
        assert_int_equal(strncmp(line, family, strlen(family)), 0);
    }
    assert_true(families >= 22);
    mem_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_of_the_contract_is_there_with_its_labels),
        cmocka_unit_test(workers_are_summed),
        cmocka_unit_test(a_delivery_falls_into_the_buckets_from_its_lag_on),
        cmocka_unit_test(every_sample_stands_behind_help_and_type_of_its_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
