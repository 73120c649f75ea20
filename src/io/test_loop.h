/*
 * For tests: run a function as the first coroutine of a fresh loop, and fail
 * loudly instead of hanging when nothing happens for a long time.
 */
#ifndef IO_TEST_LOOP_H
#define IO_TEST_LOOP_H

#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "co/co.h"

struct test_first {
	void (*fn)(void *arg);
	void *arg;
};

static inline void test_first_body(void *arg)
{
	struct test_first *f = arg;

	f->fn(f->arg);
	co_loop_stop(co_loop_self());
}

/*
 * The process dies by SIGALRM if the loop is not done after a minute. A failed
 * assertion prints and aborts: cmocka's way, a longjmp to the test's start,
 * would leave the coroutine's stack behind the sanitizers' backs.
 */
static inline void test_run_loop(void (*fn)(void *arg), void *arg)
{
	struct test_first f = { fn, arg };
	struct co_loop *l = NULL;

	setenv("CMOCKA_TEST_ABORT", "1", 1);
	alarm(60);
	if (co_loop_new(&l) != 0 ||
	    co_spawn("first", test_first_body, &f, NULL) != 0) {
		BUG("no loop for a test");
	}
	co_loop_run(l);
	co_loop_free(&l);
	alarm(0);
}

#endif
