/* files: small durable files and throwaway directories, for demo and init. */
#ifndef CLI_FILES_H
#define CLI_FILES_H

#include <sys/types.h>

#include "base/slice.h"

/* Writes a file whole or not at all (temporary name, fsync, rename), with
 * this mode. 0 or -errno. */
int files_write(const char *path, struct slice data, mode_t mode);
/* Removes a directory with all that is in it; never follows links. */
void files_remove_tree(const char *dir);
/* "dir/name", malloc'ed; aborts when out of memory. */
char *files_join(const char *dir, const char *name);
/* An absolute form of path, malloc'ed; the file need not exist. */
char *files_absolute(const char *path);

#endif
