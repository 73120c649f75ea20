/* Tests of log.c: escaping, cutting, dropping when nobody reads. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"

struct fixture {
	int fd[2];
	char got[8192];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(pipe2(f->fd, O_CLOEXEC), 0);
	fcntl(f->fd[0], F_SETFL, O_NONBLOCK);
	log_setup(f->fd[1], LOG_INFO);
	clock_pin_wall(1767323045); /* 2026-01-02T03:04:05Z */
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	log_setup(STDERR_FILENO, LOG_INFO);
	clock_pin_wall(0);
	close(f->fd[0]);
	close(f->fd[1]);
	free(f);
	return 0;
}

static const char *got(struct fixture *f)
{
	ssize_t n = read(f->fd[0], f->got, sizeof(f->got) - 1);

	f->got[n > 0 ? n : 0] = '\0';
	return f->got;
}

static void test_line(void **state)
{
	struct fixture *f = *state;

	log_event(LOG_INFO, "7f3a", "smtp.accepted", LOG_C("rcpt", "a@b"), LOG_I("size", -1));
	assert_string_equal(got(f), "ts=2026-01-02T03:04:05.000Z level=info event=smtp.accepted"
				    " sid=7f3a rcpt=a@b size=-1\n");
	log_line(LOG_ERROR, "", "x", NULL, 0);
	assert_string_equal(got(f), "ts=2026-01-02T03:04:05.000Z level=error event=x\n");
	log_line(LOG_DEBUG, "", "x", NULL, 0);
	assert_string_equal(got(f), "");
	log_setup(f->fd[1], LOG_DEBUG);
	log_line(LOG_DEBUG, "", "x", NULL, 0);
	assert_non_null(strstr(got(f), "level=debug"));
}

static void test_escape(void **state)
{
	struct fixture *f = *state;

	log_event(LOG_INFO, "", "e", LOG_S("a", S("x\r\nlevel=error")), LOG_S("b", S("")),
		  LOG_S("c", S("q\"\\")), LOG_S("d", S("\xc3\xa4\0")), LOG_S("e", S("a b")));
	assert_non_null(strstr(got(f), " a=\"x\\x0d\\x0alevel=error\" b=\"\" c=\"q\\\"\\\\\""
				       " d=\"\\xc3\\xa4\\x00\" e=\"a b\"\n"));
}

static void test_long(void **state)
{
	struct fixture *f = *state;
	static char big[5000];

	memset(big, 'v', sizeof(big));
	log_event(LOG_INFO, "", "e", LOG_S("big", slice_make(big, sizeof(big))), LOG_C("k", "w"));
	assert_non_null(strstr(got(f), "vvv...\" k=w\n"));
	memset(big, '\n', sizeof(big)); /* grows fourfold when escaped */
	log_event(LOG_INFO, "", "e", LOG_C("a", "1"), LOG_S("big", slice_make(big, sizeof(big))),
		  LOG_C("k", "w"));
	assert_non_null(strstr(got(f), "event=e a=1 cut=1\n"));
}

static void test_drop(void **state)
{
	struct fixture *f = *state;
	uint64_t before = log_dropped();

	for (int i = 0; i < 5000; i++) {
		log_event(LOG_INFO, "", "flood", LOG_I("i", i));
	}
	assert_true(log_dropped() > before);
	errno = 4711;
	log_line(LOG_INFO, "", "x", NULL, 0);
	assert_int_equal(errno, 4711);
	log_setup(-1, LOG_INFO);
	before = log_dropped();
	log_line(LOG_INFO, "", "x", NULL, 0);
	assert_int_equal(log_dropped(), before + 1);
	(void)f;
}

static void *writer(void *arg)
{
	for (int i = 0; i < 100; i++) {
		log_event(LOG_INFO, arg, "thread", LOG_I("i", i));
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct fixture *f = *state;
	pthread_t t[2];
	char ids[2][4] = { "aa", "bb" };
	static char all[32768];
	size_t lines = 0;

	assert_int_equal(pthread_create(&t[0], NULL, writer, ids[0]), 0);
	assert_int_equal(pthread_create(&t[1], NULL, writer, ids[1]), 0);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	ssize_t n = read(f->fd[0], all, sizeof(all));
	assert_true(n > 0 && (size_t)n < sizeof(all));
	struct slice rest = slice_make(all, (size_t)n);
	while (rest.n) {
		struct slice line = slice_split(&rest, '\n');
		assert_true(slice_starts(line, S("ts=2026")));
		assert_int_equal(slice_find(slice_from(line, 3), S("ts=")), SIZE_MAX);
		lines++;
	}
	assert_int_equal(lines, 200);
}

#define UNIT(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_line), UNIT(test_escape),  UNIT(test_long),
		UNIT(test_drop), UNIT(test_threads),
	};

	return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
