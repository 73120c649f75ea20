/*
 * fuzz_main: a main() for fuzzers in ordinary builds.
 *
 * Runs LLVMFuzzerTestOneInput over every file named as an argument and every
 * file in every directory named, so that a corpus is a regression test of
 * every build, with every compiler and sanitizer. Finding nothing to run is a
 * failure: a test that reads no file tests nothing.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int run_file(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(freep) uint8_t *data = NULL;
	struct stat st;
	size_t have = 0;

	if (fd < 0 || fstat(fd, &st) < 0) {
		perror(path);
		return -1;
	}
	/* Exactly as long as the file, so that reading past the end is seen. */
	data = xmalloc((size_t)st.st_size);
	while (have < (size_t)st.st_size) {
		ssize_t r = read(fd, data + have, (size_t)st.st_size - have);
		if (r <= 0) {
			perror(path);
			return -1;
		}
		have += (size_t)r;
	}
	LLVMFuzzerTestOneInput(data, have);
	return 1;
}

static int run_dir(const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);
	int count = 0;

	if (n < 0) {
		perror(path);
		return -1;
	}
	for (int i = 0; i < n; i++) {
		_cleanup_(freep) char *file = NULL;
		struct stat st;
		if (asprintf(&file, "%s/%s", path, names[i]->d_name) < 0) {
			abort();
		}
		if (count >= 0 && stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
			int r = run_file(file);
			count = r < 0 ? r : count + r;
		}
		free(names[i]);
	}
	free(names);
	return count;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;
		bool dir = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
		int r = dir ? run_dir(argv[i]) : run_file(argv[i]);
		if (r < 0) {
			return 1;
		}
		total += r;
	}
	printf("%d inputs replayed\n", total);
	if (total == 0) {
		fprintf(stderr, "%s: no input found\n", argv[0]);
		return 1;
	}
	return 0;
}
