/*
 * Stacks: guards that fault, depth, reuse, trimming, very many of them, and
 * what happens when memory or mappings run out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "co/test_loop.h"
#include "co/stack.h"

/* ---- stacks ------------------------------------------------------------------------------------ */

/* Fills n bytes of stack from the top down; the asm hides that it is idle. */
static unsigned __attribute__((noinline)) dig(size_t n)
{
	unsigned char page[2048];

	memset(page, 1, sizeof(page));
	__asm__ volatile("" : : "r"(page) : "memory");
	if (n <= sizeof(page)) {
		return page[0];
	}
	return dig(n - sizeof(page)) + page[7];
}

static void dig_body(void *arg)
{
	assert_true(dig(*(size_t *)arg) > 0);
}

static void overflow(void *arg)
{
	size_t much = (size_t)16 << 20;

	(void)arg;
	dig_body(&much);
}

static void run_overflow(void *arg)
{
	test_run_loop(overflow, arg);
}

static void run_overflow_mprotect(void *arg)
{
	co_stack_no_guard_install = true;
	test_run_loop(overflow, arg);
}

static void test_guard_faults(void **state)
{
	(void)state;
#ifdef WITH_SANITIZER
	skip(); /* the sanitizer reports it in its own way */
#endif
	assert_true(test_dies_by(SIGSEGV, run_overflow, NULL));
	assert_true(test_dies_by(SIGSEGV, run_overflow_mprotect, NULL));
}

static void depth(void *arg)
{
	size_t deep = co_stack_size - 12 * 1024;
	struct co *c = NULL;

	(void)arg;
#ifdef WITH_SANITIZER
	deep = 40 * 1024; /* frames are bigger there */
#endif
	co_enter();
	assert_int_equal(co_spawn("deep", dig_body, &deep, &c), 0);
	assert_int_equal(co_join(&c), 0);
	assert_true(co_stack_high_water() <= co_stack_size);
	assert_true(co_stack_high_water() >= 32 * 1024);
	co_stack_trim();
	assert_int_equal(co_yield(), 0);
}

static void test_depth_and_high_water(void **state)
{
	(void)state;
	test_run_loop(depth, NULL);
}

struct reuse {
	char *addr[300];
	size_t n;
};

static void reuse_body(void *arg)
{
	struct reuse *r = arg;

	r->addr[r->n++] = __builtin_frame_address(0);
}

static void stacks_are_reused(void *arg)
{
	struct reuse r = { .n = 0 };
	struct co *c = NULL;

	(void)arg;
	co_enter();
	for (int i = 0; i < 300; i++) {
		assert_int_equal(co_spawn("r", reuse_body, &r, &c), 0);
		assert_int_equal(co_join(&c), 0);
	}
	for (int i = 1; i < 300; i++) {
		assert_ptr_equal(r.addr[i], r.addr[0]);
	}
}

static void test_stack_reuse(void **state)
{
	(void)state;
	test_run_loop(stacks_are_reused, NULL);
}

static void trims(void *arg)
{
	size_t deep = 40 * 1024;
	volatile char here[64];

	(void)arg;
	memset((char *)here, 'h', sizeof(here));
	dig_body(&deep);
	co_stack_trim();
	for (size_t i = 0; i < sizeof(here); i++) {
		assert_int_equal(here[i], 'h');
	}
	dig_body(&deep);
}

static void test_trim(void **state)
{
	(void)state;
	test_run_loop(trims, NULL);
}

#ifdef WITH_SANITIZER
#define MANY 2000
#else
#define MANY 20000
#endif

struct crowd {
	struct co_event go;
	size_t arrived;
	size_t left;
};

static void crowd_body(void *arg)
{
	struct crowd *w = arg;

	co_enter();
	w->arrived++;
	assert_int_equal(co_event_wait(&w->go, clock_in_ms(600 * 1000)), 0);
	w->left++;
}

static void crowd(void *arg)
{
	struct crowd w = { .arrived = 0 };

	(void)arg;
	co_enter();
	co_event_init(&w.go);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(co_spawn("crowd", crowd_body, &w, NULL), 0);
	}
	while (w.arrived < MANY) {
		assert_int_equal(co_yield(), 0);
	}
	assert_int_equal(co_loop_count(co_loop_self()), MANY + 1);
	co_event_set(&w.go);
	while (w.left < MANY) {
		assert_int_equal(co_yield(), 0);
	}
}

static void test_many_coroutines(void **state)
{
	(void)state;
	test_run_loop(crowd, NULL);
}

static void keeper(void *arg)
{
	(void)arg;
	co_enter();
	while (co_sleep(60 * 1000) == 0) {
	}
}

static void spawn_to_the_limit(void *arg)
{
	size_t n = 0;
	size_t max = *(size_t *)arg;
	int r;

	co_enter();
	do {
		r = co_spawn("sleeper", keeper, NULL, NULL);
		n += r == 0;
	} while (r == 0 && n < max);
	if (r != -ENOMEM || n < 10) {
		_exit(3);
	}
	/* What is there still works, and room made is room again. */
	co_loop_stop(co_loop_self());
}

static void run_out_of_space(void *arg)
{
	struct rlimit lim = { (rlim_t)512 << 20, (rlim_t)512 << 20 };
	size_t max = 1000000;

	(void)arg;
	setrlimit(RLIMIT_AS, &lim);
	test_run_loop(spawn_to_the_limit, &max);
	raise(SIGUSR1); /* says: got to the end */
}

/* mprotect guards split mappings until vm.max_map_count is reached. */
static void run_out_of_maps(void *arg)
{
	size_t max = 1000000;

	(void)arg;
	co_stack_no_guard_install = true;
	test_run_loop(spawn_to_the_limit, &max);
	raise(SIGUSR1);
}

static void test_exhaustion(void **state)
{
	(void)state;
#ifdef WITH_SANITIZER
	skip(); /* their own memory does not live with such limits */
#endif
	assert_true(test_dies_by(SIGUSR1, run_out_of_space, NULL));
	assert_true(test_dies_by(SIGUSR1, run_out_of_maps, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guard_faults),	cmocka_unit_test(test_depth_and_high_water),
		cmocka_unit_test(test_stack_reuse),	cmocka_unit_test(test_trim),
		cmocka_unit_test(test_many_coroutines), cmocka_unit_test(test_exhaustion),
	};

	return cmocka_run_group_tests_name("co_stacks", tests, NULL, NULL);
}
