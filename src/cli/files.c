/* Small durable files and throwaway directories (files.h). */
#include "cli/files.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"

char *files_join(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, name) < 0) {
		BUG("out of memory");
	}
	return path;
}

char *files_absolute(const char *path)
{
	char *cwd, *out;

	if (path[0] == '/') {
		return xstrdup(path);
	}
	cwd = getcwd(NULL, 0);
	out = files_join(cwd ? cwd : ".", path);
	free(cwd);
	return out;
}

static int write_all(int fd, struct slice data)
{
	while (data.n) {
		ssize_t n = write(fd, data.p, data.n);

		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		data = slice_from(data, n > 0 ? (size_t)n : 0);
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

static int sync_parent(const char *path)
{
	struct slice dir = slice_cstr(path);
	size_t cut = slice_rchr(dir, '/');
	char *name = cut == SIZE_MAX ? xstrdup(".") : strndup(path, cut ? cut : 1);
	int fd = name ? open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int r = fd >= 0 && fsync(fd) == 0 ? 0 : -errno;

	if (fd >= 0) {
		close(fd);
	}
	free(name);
	return r;
}

int files_write(const char *path, struct slice data, mode_t mode)
{
	char *tmp;
	int fd, r;

	if (asprintf(&tmp, "%s.new", path) < 0) {
		return -ENOMEM;
	}
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	r = fd >= 0 ? write_all(fd, data) : -errno;
	if (fd >= 0) {
		fchmod(fd, mode);
		close(fd);
	}
	if (r == 0 && rename(tmp, path) != 0) {
		r = -errno;
	}
	if (r != 0) {
		unlink(tmp);
	}
	free(tmp);
	return r ? r : sync_parent(path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

void files_remove_tree(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
