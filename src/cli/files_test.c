/* files: written whole or not at all, and trees removed without following. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/files.h"

static char dir[] = "/tmp/postrider-files-XXXXXX";

static char *in_dir(const char *name)
{
	return files_join(dir, name);
}

static void content(const char *path, const char *want)
{
	char got[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(read(fd, got, sizeof(got) - 1) >= 0);
	close(fd);
	assert_string_equal(got, want);
}

static void test_write_and_replace(void **state)
{
	char *path = in_dir("a"), *tmp = in_dir("a.new");
	struct stat st;

	(void)state;
	assert_int_equal(files_write(path, S("one"), 0600), 0);
	content(path, "one");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(files_write(path, S(""), 0644), 0);
	content(path, "");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(access(tmp, F_OK), -1);
	free(path);
	free(tmp);
}

/* A link planted where the temporary file goes is not written through. */
static void test_planted_link(void **state)
{
	char *path = in_dir("b"), *tmp = in_dir("b.new"), *victim = in_dir("v");
	struct stat st;

	(void)state;
	assert_int_equal(files_write(victim, S("precious"), 0600), 0);
	assert_int_equal(symlink(victim, tmp), 0);
	assert_int_equal(files_write(path, S("new"), 0600), 0);
	content(victim, "precious");
	content(path, "new");
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	free(path);
	free(tmp);
	free(victim);
}

static void test_failures_leave_nothing(void **state)
{
	char *missing = in_dir("none/x"), *sub = in_dir("sub");
	char *tmp = in_dir("sub.new");

	(void)state;
	assert_int_equal(files_write(missing, S("x"), 0600), -ENOENT);
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(files_write(sub, S("x"), 0600), -EISDIR);
	assert_int_equal(access(tmp, F_OK), -1);
	free(missing);
	free(sub);
	free(tmp);
}

static void test_names(void **state)
{
	char *p = files_join("/a", "b"), *abs = files_absolute("/x/y");
	char *rel = files_absolute("z"), *cwd = getcwd(NULL, 0);

	(void)state;
	assert_string_equal(p, "/a/b");
	assert_string_equal(abs, "/x/y");
	assert_int_equal(strncmp(rel, cwd, strlen(cwd)), 0);
	assert_string_equal(rel + strlen(cwd), "/z");
	free(p);
	free(abs);
	free(rel);
	free(cwd);
}

static void test_tree_without_following(void **state)
{
	char *tree = in_dir("tree"), *deep = in_dir("tree/d");
	char *file = in_dir("tree/d/f"), *link = in_dir("tree/l");
	char *outside = in_dir("outside"), *kept = in_dir("outside/kept");

	(void)state;
	assert_int_equal(mkdir(tree, 0700), 0);
	assert_int_equal(mkdir(deep, 0700), 0);
	assert_int_equal(mkdir(outside, 0700), 0);
	assert_int_equal(files_write(file, S("x"), 0600), 0);
	assert_int_equal(files_write(kept, S("kept"), 0600), 0);
	assert_int_equal(symlink(outside, link), 0);
	files_remove_tree(tree);
	assert_int_equal(access(tree, F_OK), -1);
	content(kept, "kept");
	files_remove_tree(tree); /* not there: nothing happens */
	free(tree);
	free(deep);
	free(file);
	free(link);
	free(outside);
	free(kept);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
	(void)state;
	files_remove_tree(dir);
	return access(dir, F_OK) == 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_and_replace),      cmocka_unit_test(test_planted_link),
		cmocka_unit_test(test_failures_leave_nothing), cmocka_unit_test(test_names),
		cmocka_unit_test(test_tree_without_following),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
