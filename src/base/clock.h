/*
 * clock: the only place that asks what time it is.
 *
 * Deadlines and timeouts use the monotonic clock in nanoseconds; dates in
 * mail use the wall clock in seconds (or ms). Tests may pin both.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NSEC_PER_SEC INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)
/* A deadline that never comes. */
#define CLOCK_NEVER INT64_MAX

/* Monotonic nanoseconds. */
int64_t clock_mono(void);
/* Unix seconds / milliseconds, UTC. */
int64_t clock_wall(void);
int64_t clock_wall_ms(void);
/* A monotonic deadline this many milliseconds from now; <0 means never. */
int64_t clock_in_ms(int64_t ms);
/* Tests: pin the wall clock (seconds) and stop; 0 lets it run again. */
void clock_pin_wall(int64_t sec);

#endif
