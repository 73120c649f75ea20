/*
 * The spool on both sides of its memory limit, with a pool and without, its
 * maximum, and a disk that is full.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "co/test_loop.h"
#include "io/spool.h"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/spool-test-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(dir); /* fails if anything was left behind */
}

static void fill(char *p, size_t n, uint64_t off)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t at = off + i;

		p[i] = (char)(at ^ at >> 8 ^ at >> 16);
	}
}

/* Writes total bytes in pieces, then reads them back in other pieces. */
static void write_and_read(uint64_t total, size_t piece)
{
	static char b[100000];
	static char want[100000];
	struct spool *s = NULL;
	struct err e = ERR_INIT;
	uint64_t at = 0;

	co_enter();
	assert_int_equal(spool_new(dir, 10 << 20, &s), 0);
	while (at < total) {
		size_t n = MIN(piece, total - at);

		fill(b, n, at);
		assert_int_equal(spool_write(s, slice_make(b, n), &e), 0);
		at += n;
		assert_int_equal(spool_size(s), at);
	}
	for (at = 0; at < total;) {
		ssize_t n = spool_read(s, at, b, 7777, &e);

		assert_true(n > 0);
		fill(want, (size_t)n, at);
		assert_memory_equal(b, want, (size_t)n);
		at += (uint64_t)n;
	}
	assert_int_equal(spool_read(s, total, b, sizeof(b), &e), 0);
	assert_int_equal(spool_read(s, UINT64_MAX, b, sizeof(b), &e), 0);
	spool_free(&s);
	assert_null(s);
	spool_free(&s);
}

static void all_sizes(void *arg)
{
	(void)arg;
	write_and_read(0, 1);
	write_and_read(1, 1);
	write_and_read(SPOOL_MEM_MAX - 1, 4096);
	write_and_read(SPOOL_MEM_MAX, 65536);
	write_and_read(SPOOL_MEM_MAX + 1, 4096);
	write_and_read(SPOOL_MEM_MAX + 1, 99999);
	write_and_read(1000000, 99999);
}

static void test_sizes(void **state)
{
	(void)state;
	all_sizes(NULL); /* inline, outside a coroutine */
	test_run_loop(all_sizes, NULL);
	assert_int_equal(co_pool_start(2, 0), 0);
	test_run_loop(all_sizes, NULL);
	co_pool_stop();
}

static void test_max(void **state)
{
	struct spool *s = NULL;
	struct err e = ERR_INIT;
	char b[8];

	(void)state;
	co_enter();
	assert_int_equal(spool_new(dir, 5, &s), 0);
	assert_int_equal(spool_write(s, S("123"), &e), 0);
	assert_int_equal(spool_write(s, S("456"), &e), -EMSGSIZE);
	assert_int_equal(e.code, -EMSGSIZE);
	assert_int_equal(spool_size(s), 3);
	assert_int_equal(spool_write(s, S("45"), &e), 0);
	assert_int_equal(spool_write(s, S("6"), &e), -EMSGSIZE);
	assert_int_equal(spool_read(s, 0, b, sizeof(b), &e), 5);
	assert_memory_equal(b, "12345", 5);
	spool_free(&s);
}

static void test_no_directory(void **state)
{
	static char big[SPOOL_MEM_MAX];
	struct spool *s = NULL;
	struct err e = ERR_INIT;
	char b[8];

	(void)state;
	co_enter();
	assert_int_equal(spool_new("/nonexistent", 10 << 20, &s), 0);
	assert_int_equal(spool_write(s, S("in memory"), &e), 0);
	assert_int_equal(spool_write(s, slice_make(big, sizeof(big)), &e), -ENOENT);
	assert_non_null(strstr(e.detail, "nonexistent"));
	/* What was there stays. */
	assert_int_equal(spool_size(s), 9);
	assert_int_equal(spool_read(s, 3, b, 6, &e), 6);
	assert_memory_equal(b, "memory", 6);
	spool_free(&s);
}

/* A file size limit plays the full disk. */
static void disk_full(void *arg)
{
	static char big[100000];
	struct rlimit old;
	struct rlimit small;
	struct spool *s = NULL;
	struct err e = ERR_INIT;
	char b[8];
	int r = 0;

	(void)arg;
	co_enter();
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ 500000, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(spool_new(dir, 10 << 20, &s), 0);
	memset(big, 'b', sizeof(big));
	for (int i = 0; i < 5; i++) {
		assert_int_equal(spool_write(s, slice_make(big, sizeof(big)), &e), 0);
	}
	r = spool_write(s, S("one too many"), &e);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(e.code, r);
	assert_int_equal(spool_size(s), 500000);
	/* Once there is room again it goes on without a hole. */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(spool_write(s, S("room"), &e), 0);
	assert_int_equal(spool_read(s, 499998, b, sizeof(b), &e), 6);
	assert_memory_equal(b, "bbroom", 6);
	spool_free(&s);
}

static void test_disk_full(void **state)
{
	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	disk_full(NULL);
	assert_int_equal(co_pool_start(1, 0), 0);
	test_run_loop(disk_full, NULL);
	co_pool_stop();
}

/* A real full disk: a tiny tmpfs in a mount namespace of a child's own. */
static void tiny_disk(void *arg)
{
	static char big[SPOOL_MEM_MAX + 1];
	struct spool *s = NULL;
	struct err e = ERR_INIT;
	char b[4];

	(void)arg;
	co_enter();
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", dir, "tmpfs", 0, "size=512k") != 0) {
		raise(SIGUSR2); /* not allowed here */
	}
	memset(big, 'd', sizeof(big));
	if (spool_new(dir, 10 << 20, &s) != 0 ||
	    spool_write(s, slice_make(big, sizeof(big)), &e) != 0 ||
	    spool_write(s, slice_make(big, sizeof(big)), &e) != -ENOSPC || e.code != -ENOSPC ||
	    spool_size(s) != sizeof(big) || spool_read(s, sizeof(big) - 1, b, sizeof(b), &e) != 1 ||
	    b[0] != 'd') {
		raise(SIGTERM);
	}
	spool_free(&s);
	raise(SIGUSR1);
}

static void test_tiny_disk(void **state)
{
	(void)state;
	if (test_dies_by(SIGUSR2, tiny_disk, NULL)) {
		skip();
	}
	assert_true(test_dies_by(SIGUSR1, tiny_disk, NULL));
}

/* More writers than the pool's queue has room for: they wait, none fails. */
static void writer_body(void *arg)
{
	static char big[SPOOL_MEM_MAX + 1];
	struct spool *s = NULL;
	struct err e = ERR_INIT;

	co_enter();
	assert_int_equal(spool_new(dir, 10 << 20, &s), 0);
	assert_int_equal(spool_write(s, slice_make(big, sizeof(big)), &e), 0);
	assert_int_equal(spool_size(s), sizeof(big));
	spool_free(&s);
	++*(int *)arg;
}

static void busy_pool(void *arg)
{
	int done = 0;

	(void)arg;
	co_enter();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(co_spawn("w", writer_body, &done, NULL), 0);
	}
	while (done < 20) {
		assert_int_equal(co_sleep(1), 0);
	}
}

static void test_busy_pool(void **state)
{
	(void)state;
	assert_int_equal(co_pool_start(1, 1), 0);
	test_run_loop(busy_pool, NULL);
	co_pool_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	     cmocka_unit_test(test_max),
		cmocka_unit_test(test_no_directory), cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_tiny_disk),    cmocka_unit_test(test_busy_pool),
	};

	return cmocka_run_group_tests_name("spool", tests, setup, teardown);
}
