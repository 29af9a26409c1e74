// In a microsecond `rate` millionths of a token come: the unit needs no division.
#include "node/net/bucket.h"

#include "cluster/base/check.h"

#define TOKEN     UINT64_C(1000000)
#define SECOND_US UINT64_C(1000000)

void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t now_us) {
    CHECK(rate <= BUCKET_RATE_MAX);
    *bucket = (struct bucket){.rate = rate, .level = rate * TOKEN, .at_us = now_us};
}

static void refill(struct bucket *bucket, uint64_t now_us) {
    uint64_t full = bucket->rate * TOKEN;
    if (now_us <= bucket->at_us) {
        return;
    }
    uint64_t elapsed_us = now_us - bucket->at_us;
    bucket->at_us = now_us;
    bucket->level += (elapsed_us < SECOND_US ? elapsed_us : SECOND_US) * bucket->rate;
    bucket->level = bucket->level < full ? bucket->level : full;
}

bool bucket_take(struct bucket *bucket, uint64_t now_us) {
    refill(bucket, now_us);
    if (bucket->level < TOKEN) {
        return false;
    }
    bucket->level -= TOKEN;
    return true;
}
