// SipHash (Aumasson, Bernstein: "SipHash: a fast short-input PRF"), with the numbers of rounds as
// arguments: map.c uses 1-3, the tests also check the authors' vectors for 2-4.
#ifndef FRESHET_CLUSTER_BASE_SIPHASH_H
#define FRESHET_CLUSTER_BASE_SIPHASH_H

#include "cluster/base/slice.h"

#include <stddef.h>
#include <stdint.h>

static inline uint64_t siphash_rotate(uint64_t x, unsigned bits) {
    return x << bits | x >> (64 - bits);
}

static inline void siphash_rounds(uint64_t v[static 4], int rounds) {
    for (int i = 0; i < rounds; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = siphash_rotate(v[1], 13) ^ v[0];
        v[3] = siphash_rotate(v[3], 16) ^ v[2];
        v[0] = siphash_rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = siphash_rotate(v[1], 17) ^ v[2];
        v[3] = siphash_rotate(v[3], 21) ^ v[0];
        v[2] = siphash_rotate(v[2], 32);
    }
}

// Up to eight bytes, little-endian on every machine.
static inline uint64_t siphash_word(const char *at, size_t len) {
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++) {
        word |= (uint64_t)(unsigned char)at[i] << (8 * i);
    }
    return word;
}

static inline void siphash_absorb(uint64_t v[static 4], uint64_t word, int rounds) {
    v[3] ^= word;
    siphash_rounds(v, rounds);
    v[0] ^= word;
}

static inline uint64_t siphash(const uint64_t key[static 2], struct slice s, int word_rounds,
                               int last_rounds) {
    uint64_t v[4] = {
        key[0] ^ UINT64_C(0x736f6d6570736575),
        key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261),
        key[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t at = 0;
    for (; s.len - at >= 8; at += 8) {
        siphash_absorb(v, siphash_word(s.data + at, 8), word_rounds);
    }
    uint64_t tail = at < s.len ? siphash_word(s.data + at, s.len - at) : 0;
    siphash_absorb(v, tail | (uint64_t)s.len << 56, word_rounds);
    v[2] ^= 0xff;
    siphash_rounds(v, last_rounds);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
