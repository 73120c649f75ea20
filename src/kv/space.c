/*
 * Room on the disk: the floor, and the ballast.
 *
 * New mail is refused below a floor of free space, while deletions go on.
 * When the disk is full all the same (others fill it, too), two reserves are
 * left: the spare segment for the log, and the ballast, a file that is given
 * up when LMDB finds no room for the pages a deletion rewrites. Called by the
 * keeper, and by the applier when it is stuck.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "kv/fault.h"
#include "kv/local.h"

#define MIB (UINT64_C(1) << 20)
#define FLOOR_MIN (256 * MIB)
#define FLOOR_CAP (10240 * MIB)

static uint64_t floor_of(const struct local *l, const struct statvfs *v)
{
	uint64_t total = (uint64_t)v->f_blocks * v->f_frsize;

	if (l->free_floor) {
		return l->free_floor == 1 ? 0 : l->free_floor;
	}
	return MIN(MAX(total / 20, FLOOR_MIN), FLOOR_CAP);
}

void space_check(struct local *l)
{
	struct statvfs v;
	uint64_t room;

	if (statvfs(l->dir, &v) < 0) {
		return;
	}
	room = (uint64_t)v.f_bavail * v.f_frsize;
	__atomic_store_n(&l->disk_free, room, __ATOMIC_RELAXED);
	flag_set(&l->below_floor, room < floor_of(l, &v));
}

/* Only when it leaves as much again free. */
void ballast_make(struct local *l)
{
	struct stat st;
	int fd;

	if (stat(l->ballast, &st) == 0 ||
	    __atomic_load_n(&l->disk_free, __ATOMIC_RELAXED) < 2 * l->ballast_size) {
		return;
	}
	fd = fault_open(l->ballast, O_RDWR | O_CREAT, 0600);
	if (fd < 0) {
		return;
	}
	if (fault_fallocate(fd, 0, 0, (off_t)l->ballast_size) < 0) {
		unlink(l->ballast);
	}
	close(fd);
}

bool ballast_release(struct local *l)
{
	return unlink(l->ballast) == 0;
}
