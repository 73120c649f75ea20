/*
 * clock: the monotonic clock for deadlines, the wall clock for dates, and a
 * pin for tests that need a date to stand still.
 */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

#include "base/err.h"

static _Atomic int64_t pinned;

static int64_t read_ns(clockid_t id)
{
	struct timespec ts;
	int r = clock_gettime(id, &ts);

	assert(r == 0);
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t clock_mono(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
	int64_t pin = atomic_load(&pinned);

	return pin ? pin * 1000 : read_ns(CLOCK_REALTIME) / NSEC_PER_MSEC;
}

int64_t clock_wall(void)
{
	return clock_wall_ms() / 1000;
}

int64_t clock_in_ms(int64_t ms)
{
	int64_t now;

	if (ms < 0) {
		return CLOCK_NEVER;
	}
	now = clock_mono();
	if (ms > (CLOCK_NEVER - now) / NSEC_PER_MSEC) {
		return CLOCK_NEVER;
	}
	return now + ms * NSEC_PER_MSEC;
}

void clock_pin_wall(int64_t sec)
{
	atomic_store(&pinned, sec);
}
