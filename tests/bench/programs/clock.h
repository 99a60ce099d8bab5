/* Owns time and percentiles for the load programs. Knows nothing of what is timed.
 *
 * CLOCK_MONOTONIC is one clock for all processes of a machine, so a time stamped by `appender`
 * may be compared in `viewers`. */
#pragma once
#include <stdint.h>
#include <time.h>

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* A histogram with 64 buckets to each power of two: no value is off by more than 1.6 %. */
enum { FINE_BITS = 6, FINE = 1 << FINE_BITS, BUCKETS = 64 * FINE };
typedef struct {
    uint64_t count[BUCKETS], all, highest;
} histogram;

static inline int bucket_of(uint64_t value) {
    if (value < FINE) return (int)value;
    int shift = 63 - __builtin_clzll(value) - FINE_BITS;
    return (shift + 1) * FINE + (int)(value >> shift) - FINE;
}

static inline double bucket_middle(int bucket) {
    if (bucket < FINE) return bucket;
    int shift = bucket / FINE - 1;
    return ((double)(FINE + bucket % FINE) + 0.5) * (double)(1ull << shift);
}

static inline void histogram_add(histogram *h, uint64_t value) {
    h->count[bucket_of(value)]++;
    h->all++;
    if (value > h->highest) h->highest = value;
}

static inline double histogram_percentile(const histogram *h, double percent) {
    uint64_t wanted = (uint64_t)(percent / 100 * (double)h->all + 0.999999), seen = 0;
    for (int i = 0; i < BUCKETS; i++)
        if ((seen += h->count[i]) >= wanted && seen) return bucket_middle(i);
    return 0;
}
