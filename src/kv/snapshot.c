/*
 * Snapshots of the index, and rebuilding it from one.
 *
 * A snapshot is a copy of the LMDB file (mdb_env_copy2), named
 * snap.<segment>.<offset> after a position at or before the one inside it.
 * The log behind that position must be kept; what is before it holds only
 * blobs. Born as snap.tmp, synced, renamed; older ones go last. A damaged or
 * missing index is replaced by the newest snapshot (or by nothing, if the log
 * still begins at its beginning) and recovery replays the rest.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kv/fault.h"
#include "kv/local.h"

#define NAME_LEN 30 /* "snap." 16 "." 8 */

/* Lower-case hex of exactly n digits. */
static bool hex(const char *s, size_t n, uint64_t *out)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		const char *digits = "0123456789abcdef";
		const char *d = s[i] ? strchr(digits, s[i]) : NULL;

		if (!d) {
			return false;
		}
		v = v << 4 | (uint64_t)(d - digits);
	}
	*out = v;
	return true;
}

static bool parse_name(const char *name, struct pos *out)
{
	uint64_t seg;
	uint64_t off;

	if (strlen(name) != NAME_LEN || strncmp(name, "snap.", 5) != 0 || name[21] != '.' ||
	    !hex(name + 5, 16, &seg) || !hex(name + 22, 8, &off)) {
		return false;
	}
	*out = (struct pos){ seg, (uint32_t)off };
	return true;
}

static void snap_path(const struct local *l, struct pos at, char *path, size_t cap)
{
	snprintf(path, cap, "%s/snap.%016llx.%08x", l->dir, (unsigned long long)at.seg, at.off);
}

/* Finds the newest snapshot and removes those older than *keep, if that is
 * given. 0 or -ENOENT. */
static int each_snapshot(struct local *l, const struct pos *keep, struct pos *newest_out)
{
	struct pos best = { 0 };
	struct dirent *d;
	DIR *dp = opendir(l->dir);
	int r = -ENOENT;

	if (!dp) {
		return -errno;
	}
	while ((d = readdir(dp))) {
		char path[KV_PATH_MAX];
		struct pos at;

		if (!parse_name(d->d_name, &at)) {
			continue;
		}
		if (keep && pos_cmp(at, *keep) < 0) {
			snap_path(l, at, path, sizeof(path));
			unlink(path);
		} else if (r < 0 || pos_cmp(at, best) > 0) {
			best = at;
			r = 0;
		}
	}
	closedir(dp);
	if (r == 0 && newest_out) {
		*newest_out = best;
	}
	return r;
}

int snapshot_find(struct local *l, char *path, size_t cap, struct pos *out)
{
	int r = each_snapshot(l, NULL, out);

	if (r == 0) {
		snap_path(l, *out, path, cap);
	}
	return r;
}

/* ---- taking ----------------------------------------------------------------------- */

static int copy_env(struct local *l, const char *path)
{
	int fd = fault_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	int r;

	if (fd < 0) {
		return -errno;
	}
	r = -fault_check("mdb_copy");
	if (r == 0) {
		/* Compacting needs no lock on the writer, but refuses an index
		 * that once lost pages; the plain copy does not. */
		r = index_err(mdb_env_copyfd2(l->idx.env, fd, MDB_CP_COMPACT));
		if (r < 0 && !is_no_room(r)) {
			r = ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0
				    ? -errno
				    : index_err(mdb_env_copyfd2(l->idx.env, fd, 0));
		}
	}
	fault_point("snapshot.copied");
	if (r == 0 && fault_fsync(fd) < 0) {
		r = -errno;
	}
	close(fd);
	return r;
}

static int take(struct local *l, struct pos at)
{
	char tmp[KV_PATH_MAX];
	char path[KV_PATH_MAX];
	int r;

	snprintf(tmp, sizeof(tmp), "%s/snap.tmp", l->dir);
	snap_path(l, at, path, sizeof(path));
	fault_point("snapshot.before");
	r = copy_env(l, tmp);
	if (r == 0) {
		fault_point("snapshot.synced");
		r = fault_rename(tmp, path) < 0 ? -errno : 0;
	}
	if (r == 0) {
		fault_point("snapshot.renamed");
		r = sync_dir(l->dir);
	}
	if (r < 0) {
		unlink(tmp);
		return r;
	}
	each_snapshot(l, &at, NULL);
	fault_point("snapshot.done");
	return 0;
}

int snapshot_take(struct local *l, struct err *e)
{
	struct pos at;
	int r = 0;

	pthread_mutex_lock(&l->snap_lock);
	pthread_mutex_lock(&l->lock);
	at = l->applied.at;
	pthread_mutex_unlock(&l->lock);
	if (at.seg && pos_cmp(at, l->snap_pos) != 0) {
		r = take(l, at);
	}
	if (r == 0 && at.seg) {
		pthread_mutex_lock(&l->lock);
		l->snap_pos = at;
		pthread_mutex_unlock(&l->lock);
	}
	pthread_mutex_unlock(&l->snap_lock);
	return r < 0 ? err_set(e, r, "cannot write a snapshot of the index", "%s", l->dir) : 0;
}

struct snap_job {
	struct local *l;
	struct err *e;
};

static int snap_body(void *arg)
{
	struct snap_job *j = arg;

	return snapshot_take(j->l, j->e);
}

int local_snapshot(struct kv *kv, struct err *e)
{
	struct snap_job j = { local_of(kv), e };
	int r = kv_sync(kv);

	if (r == 0) {
		r = co_offload(snap_body, &j);
	}
	/* There may be something to give back now. */
	pthread_mutex_lock(&j.l->lock);
	pthread_cond_signal(&j.l->keep);
	pthread_mutex_unlock(&j.l->lock);
	return r;
}

/* ---- rebuilding -------------------------------------------------------------------- */

static int copy_bytes(int from, int to)
{
	char *p = malloc(1 << 20);
	off_t at = 0;
	int r = p ? 0 : -ENOMEM;

	while (r == 0) {
		ssize_t n = fault_pread(from, p, 1 << 20, at);

		if (n <= 0) {
			r = n < 0 ? -errno : 0;
			break;
		}
		if (fault_pwrite(to, p, (size_t)n, at) != n) {
			r = errno ? -errno : -EIO;
		}
		at += n;
	}
	free(p);
	return r;
}

static int copy_file(const char *from, const char *to)
{
	int in = fault_open(from, O_RDONLY, 0);
	int out = in < 0 ? -1 : fault_open(to, O_RDWR | O_CREAT | O_TRUNC, 0600);
	int r = out < 0 ? -errno : copy_bytes(in, out);

	if (r == 0 && fault_fsync(out) < 0) {
		r = -errno;
	}
	if (in >= 0) {
		close(in);
	}
	if (out >= 0) {
		close(out);
	}
	return r;
}

/* Puts the newest snapshot, or nothing, in the place of the index. */
static int restore(struct local *l)
{
	char snap[KV_PATH_MAX];
	char tmp[KV_PATH_MAX];
	char data[KV_PATH_MAX];
	char lock[KV_PATH_MAX];
	struct pos at;
	int r;

	snprintf(tmp, sizeof(tmp), "%s/restore.tmp", l->index_dir);
	snprintf(data, sizeof(data), "%s/data.mdb", l->index_dir);
	snprintf(lock, sizeof(lock), "%s/lock.mdb", l->index_dir);
	unlink(lock);
	if (snapshot_find(l, snap, sizeof(snap), &at) < 0) {
		r = unlink(data) < 0 && errno != ENOENT ? -errno : 0;
	} else {
		r = copy_file(snap, tmp);
		fault_point("rebuild.copied");
		if (r == 0 && fault_rename(tmp, data) < 0) {
			r = -errno;
		}
	}
	if (r == 0) {
		r = sync_dir(l->index_dir);
	}
	fault_point("rebuild.restored");
	return r;
}

/* Is there anything an index must have known? */
static bool has_history(struct local *l)
{
	char path[KV_PATH_MAX];
	struct pos at;

	for (size_t i = 0; i < l->log.n; i++) {
		if (l->log.seg[i]->alloc > SEG_HEAD) {
			return true;
		}
	}
	return snapshot_find(l, path, sizeof(path), &at) == 0;
}

static int try_open(struct local *l, struct err *e)
{
	MDB_txn *t;
	int r = index_open(&l->idx, l->index_dir, l->map_size, l->store, e);

	if (r < 0) {
		return r;
	}
	r = index_read(&l->idx, &t);
	if (r == 0) {
		r = index_get_pos(&l->idx, t, &l->applied);
		index_read_end(&l->idx, t);
	}
	if (r < 0) {
		index_close(&l->idx);
		return err_set(e, r, "cannot read the index", "%s", l->index_dir);
	}
	return 0;
}

int index_open_or_rebuild(struct local *l, struct err *e)
{
	char mark[KV_PATH_MAX];
	struct err first = ERR_INIT;
	int r = -EIO;

	snprintf(mark, sizeof(mark), "%s/rebuild", l->dir);
	if (access(mark, F_OK) < 0) {
		r = try_open(l, &first);
		/* One without a position may be what a rebuild that was cut
		 * short had just made. */
		if (r == 0 && (l->applied.at.seg || !has_history(l))) {
			return 0;
		}
		if (r < 0 && r != -EIO && r != -EINVAL) {
			*e = first;
			return r;
		}
		if (r == 0) {
			index_close(&l->idx);
		}
	}
	r = restore(l);
	if (r < 0) {
		return err_set(e, r, "cannot put the index snapshot in place", "%s", l->index_dir);
	}
	r = try_open(l, e);
	if (r == 0) {
		unlink(mark);
	}
	return r;
}
