/* Tests of err.c: what a human gets to read, and the cleanup helpers. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/err.h"

static void test_set(void **state)
{
	struct err e = ERR_INIT;
	char s[256];

	(void)state;
	assert_string_equal(err_str(&e, s, sizeof(s)), "no error");
	assert_int_equal(err_set(&e, -ENOENT, "cannot open", "%s", "/x"), -ENOENT);
	assert_int_equal(e.code, -ENOENT);
	assert_non_null(strstr(e.file, "err_test.c"));
	assert_true(e.line > 0);
	assert_string_equal(err_str(&e, s, sizeof(s)),
			    "cannot open: /x: No such file or directory");
	assert_int_equal(err_set(&e, 3, "conflict", NULL), 3);
	assert_string_equal(err_str(&e, s, sizeof(s)), "conflict");
	err_set(&e, -99999, "odd", NULL);
	assert_string_equal(err_str(&e, s, sizeof(s)), "odd: unknown error");
	assert_int_equal(err_set(NULL, -EIO, "x", "%d", 1), -EIO);
}

static void test_detail(void **state)
{
	struct err e = ERR_INIT;
	char s[8];

	(void)state;
	err_set(&e, -EIO, "t", "a\r\nb\x1b[\xc3\xa4%c", '~');
	assert_string_equal(e.detail, "a??b?[??~");
	err_set(&e, -EIO, "t", "%500s", "");
	assert_int_equal(strlen(e.detail), ERR_DETAIL_MAX - 1);
	err_str(&e, s, sizeof(s));
	assert_int_equal(strlen(s), 7);
}

static void test_cleanup(void **state)
{
	int fd = open("/dev/null", O_RDONLY);

	(void)state;
	assert_true(fd >= 0);
	{
		_cleanup_(closep) int owned = fd;
		_cleanup_(closep) int nothing = -1;
		_cleanup_(freep) char *p = xstrdup("x");
		_cleanup_(freep) char *q = NULL;
		assert_string_equal(p, "x");
		assert_true(owned >= 0 && nothing < 0 && !q);
	}
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	char *a = xmalloc(0);
	char *b = TAKE_PTR(a);
	assert_null(a);
	assert_non_null(b);
	free(b);
	b = xcalloc(0, 5);
	assert_non_null(b);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_detail),
		cmocka_unit_test(test_cleanup),
	};

	return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
