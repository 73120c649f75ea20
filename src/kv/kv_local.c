/*
 * kv_local: the embedded engine's opening, closing and reading.
 *
 * The directory holds FORMAT (version and store id), lock, log/, index/,
 * snap.* and ballast; docs/format.md describes them. Opening: lock, index (or
 * its rebuild), recovery of the log, replay, a new segment, threads. Reads go
 * to LMDB on the caller's thread at once, unless the partition has commits
 * that are acknowledged and not yet applied: those readers wait for the
 * applier, which then hurries.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/rand.h"
#include "kv/fault.h"
#include "kv/local.h"

#define MIB (UINT64_C(1) << 20)
#define STORE_FORMAT 1u
#define SEGMENT_DEFAULT (64 * MIB)
#define SEGMENT_MIN (64 * 1024)
#define SEGMENT_LARGEST (512 * MIB)
#define SEGMENT_LAST_RESORT (256 * 1024)
#define MAP_DEFAULT (UINT64_C(256) << 30)
#define SCAN_PAGE 512

/* ---- reading ------------------------------------------------------------------ */

/* Waits until what was acknowledged for this partition can be read. */
static int wait_visible(struct local *l, struct kv_part part) CO_FN;
static int wait_visible(struct local *l, struct kv_part part)
{
	unsigned char name[KV_PART_SIZE];
	struct dirty *d;
	uint64_t seq = 0;

	part_encode(part, name);
	pthread_mutex_lock(&l->lock);
	d = table_get(&l->dirty, slice_make((char *)name, sizeof(name)));
	if (d && d->acked > l->applied.seq) {
		seq = d->acked;
	}
	pthread_mutex_unlock(&l->lock);
	return seq ? wait_applied(l, seq) : 0;
}

static int local_get(struct kv *kv, struct kv_part part, struct slice key, struct buf *value_out)
{
	struct local *l = local_of(kv);
	struct slice v;
	MDB_txn *t;
	int r;

	co_enter();
	r = wait_visible(l, part);
	if (r == 0) {
		r = index_read(&l->idx, &t);
	}
	if (r < 0) {
		return r;
	}
	r = index_get_row(&l->idx, t, part, key, &v);
	if (r == KV_OK) {
		buf_add(value_out, v);
		r = value_out->err;
	}
	index_read_end(&l->idx, t);
	return r;
}

/* A scan between two pages. */
struct scan {
	struct local *l;
	unsigned char at[INDEX_KEY_MAX];
	struct slice next; /* in at: where the page begins */
	bool behind;	   /* `next` itself was seen */
	unsigned char end[INDEX_KEY_MAX];
	struct slice to; /* in end; only the partition: to its end */
	kv_row_fn *fn;
	void *arg;
	bool done;
};

static bool in_range(const struct scan *s, struct slice key)
{
	if (!slice_starts(key, slice_make((const char *)s->end, KV_PART_SIZE))) {
		return false;
	}
	return s->to.n == KV_PART_SIZE || slice_cmp(key, s->to) < 0;
}

static int scan_rows(struct scan *s, MDB_cursor *c)
{
	MDB_val k = { s->next.n, s->at };
	MDB_val v;
	int r = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	unsigned n = 0;

	while (r == 0) {
		struct slice key = slice_make(k.mv_data, k.mv_size);

		if (!in_range(s, key)) {
			r = MDB_NOTFOUND;
			break;
		}
		if (!s->behind || !slice_eq(key, s->next)) {
			int x = s->fn(s->arg, slice_from(key, KV_PART_SIZE),
				      slice_make(v.mv_data, v.mv_size));

			if (x) {
				s->done = true;
				return x;
			}
			if (++n == SCAN_PAGE) {
				memcpy(s->at, key.p, key.n);
				s->next = slice_make((char *)s->at, key.n);
				s->behind = true;
				return 0;
			}
		}
		r = mdb_cursor_get(c, &k, &v, MDB_NEXT);
	}
	s->done = true;
	return r == MDB_NOTFOUND ? 0 : index_err(r);
}

static int scan_page(struct scan *s)
{
	struct index *x = &s->l->idx;
	MDB_cursor *c;
	MDB_txn *t;
	int r = index_read(x, &t);

	if (r < 0) {
		return r;
	}
	r = index_err(mdb_cursor_open(t, x->rows, &c));
	if (r == 0) {
		r = scan_rows(s, c);
		mdb_cursor_close(c);
	}
	index_read_end(x, t);
	return r;
}

static int local_scan(struct kv *kv, struct kv_part part, struct slice from, struct slice to,
		      kv_row_fn *fn, void *arg)
{
	struct local *l = local_of(kv);
	struct scan *s;
	int r;

	co_enter();
	r = wait_visible(l, part);
	if (r < 0) {
		return r;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		return -ENOMEM;
	}
	s->l = l;
	s->fn = fn;
	s->arg = arg;
	s->next = index_key(s->at, part, from);
	s->to = index_key(s->end, part, to);
	r = scan_page(s);
	while (r == 0 && !s->done) {
		r = co_yield();
		if (r == 0) {
			r = scan_page(s);
		}
	}
	free(s);
	return r;
}

static int local_version(struct kv *kv, struct kv_part part, uint64_t *out)
{
	struct local *l = local_of(kv);
	MDB_txn *t;
	int r;

	co_enter();
	r = wait_visible(l, part);
	if (r == 0) {
		r = index_read(&l->idx, &t);
	}
	if (r < 0) {
		return r;
	}
	r = index_get_version(&l->idx, t, part, out);
	index_read_end(&l->idx, t);
	return r;
}

static int local_sync(struct kv *kv)
{
	struct local *l = local_of(kv);
	uint64_t seq;

	co_enter();
	pthread_mutex_lock(&l->lock);
	seq = l->durable_seq;
	pthread_mutex_unlock(&l->lock);
	return wait_applied(l, seq);
}

static bool local_is_full(struct kv *kv)
{
	struct local *l = local_of(kv);

	return flag_get(&l->below_floor) || flag_get(&l->no_spare) || flag_get(&l->stuck);
}

static uint64_t count_blobs(struct local *l)
{
	MDB_stat all = { 0 };
	MDB_stat zero = { 0 };
	MDB_txn *t;

	if (index_read(&l->idx, &t) < 0) {
		return 0;
	}
	(void)!mdb_stat(t, l->idx.blobs, &all);
	(void)!mdb_stat(t, l->idx.zero, &zero);
	index_read_end(&l->idx, t);
	return all.ms_entries - MIN(zero.ms_entries, all.ms_entries);
}

static void local_stats(struct kv *kv, struct kv_stats *out)
{
	struct local *l = local_of(kv);

	out->log_bytes = log_bytes(&l->log);
	out->live_bytes = log_live(&l->log);
	out->blobs = count_blobs(l);
	out->syncs = __atomic_load_n(&l->syncs, __ATOMIC_RELAXED);
	out->reclaimed_bytes = __atomic_load_n(&l->reclaimed, __ATOMIC_RELAXED);
	out->disk_free = __atomic_load_n(&l->disk_free, __ATOMIC_RELAXED);
	out->poisoned = flag_get(&l->poisoned);
	out->full = local_is_full(kv);
	pthread_mutex_lock(&l->log.lock);
	out->segments = l->log.n;
	pthread_mutex_unlock(&l->log.lock);
	pthread_mutex_lock(&l->lock);
	out->commits = l->commits;
	pthread_mutex_unlock(&l->lock);
}

/* ---- opening: the directory -------------------------------------------------------- */

static int make_dir(const char *path, struct err *e)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		return err_set(e, -errno, "cannot create a directory", "%s", path);
	}
	return 0;
}

static int lock_dir(struct local *l, struct err *e)
{
	char path[KV_PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/lock", l->dir);
	l->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (l->lock_fd < 0) {
		return err_set(e, -errno, "cannot create the lock file", "%s", path);
	}
	if (flock(l->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
		return err_set(e, r, "the store is in use by another process", "%s", l->dir);
	}
	return 0;
}

/* "postrider-kv <format>\n<32 hex digits>\n" */
static int parse_format(struct local *l, struct slice s, const char *path, struct err *e)
{
	struct slice line = slice_split(&s, '\n');
	struct slice id = slice_split(&s, '\n');
	struct buf raw = BUF_INIT(16);
	uint32_t v;
	int r = 0;

	if (!slice_starts(line, S("postrider-kv ")) || slice_u32(slice_from(line, 13), &v) < 0) {
		return err_set(e, -EIO, "the FORMAT file is not one of ours", "%s", path);
	}
	if (v > STORE_FORMAT) {
		return err_set(e, -EPROTO,
			       "the store was written by a newer "
			       "version of Postrider; use that one",
			       "%s", path);
	}
	if (hex_decode(&raw, id) < 0 || raw.n != sizeof(l->store)) {
		r = err_set(e, -EIO, "the FORMAT file is damaged", "%s", path);
	} else {
		memcpy(l->store, raw.p, sizeof(l->store));
	}
	buf_fini(&raw);
	return r;
}

static int read_format(struct local *l, const char *path, struct err *e)
{
	char text[128];
	ssize_t n;
	int fd = fault_open(path, O_RDONLY, 0);

	if (fd < 0) {
		return errno == ENOENT ? KV_NOTFOUND
				       : err_set(e, -errno, "cannot read", "%s", path);
	}
	n = fault_pread(fd, text, sizeof(text), 0);
	close(fd);
	if (n < 0) {
		return err_set(e, -errno, "cannot read", "%s", path);
	}
	return parse_format(l, slice_make(text, (size_t)n), path, e);
}

static int write_format(struct local *l, const char *path, struct err *e)
{
	char tmp[KV_PATH_MAX + 8];
	char text[80];
	int n = snprintf(text, sizeof(text), "postrider-kv %u\n", STORE_FORMAT);
	int fd;
	int r = 0;

	rand_bytes(l->store, sizeof(l->store));
	for (size_t i = 0; i < sizeof(l->store); i++) {
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%02x", l->store[i]);
	}
	text[n++] = '\n';
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	fd = fault_open(tmp, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || fault_pwrite(fd, text, (size_t)n, 0) != n || fault_fsync(fd) < 0 ||
	    fault_rename(tmp, path) < 0) {
		r = errno ? -errno : -EIO;
	}
	if (fd >= 0) {
		close(fd);
	}
	if (r == 0) {
		r = sync_dir(l->dir);
	}
	return r < 0 ? err_set(e, r, "cannot write", "%s", path) : 0;
}

/* A directory without FORMAT must be new: no log may lie in it. */
static int open_format(struct local *l, const char *log_dir, struct err *e)
{
	char path[KV_PATH_MAX];
	struct stat st;
	int r;

	snprintf(path, sizeof(path), "%s/FORMAT", l->dir);
	r = read_format(l, path, e);
	if (r != KV_NOTFOUND) {
		return r;
	}
	if (stat(log_dir, &st) == 0) {
		/* Made after FORMAT: so FORMAT was lost. */
		return err_set(e, -EIO, "the FORMAT file is missing", "%s", path);
	}
	return write_format(l, path, e);
}

/* ---- opening: the state -------------------------------------------------------------- */

static void set_options(struct local *l, const struct kv_local_opts *o)
{
	uint64_t size = o->segment_size ? o->segment_size : SEGMENT_DEFAULT;

	l->segment_size = (uint32_t)MIN(MAX(size, SEGMENT_MIN), SEGMENT_LARGEST);
	l->map_size = o->map_size ? o->map_size : MAP_DEFAULT;
	l->free_floor = o->free_floor;
	l->apply_ms = o->apply_ms ? o->apply_ms : 50;
	l->reclaim_mb_s = o->reclaim_mb_s ? o->reclaim_mb_s : 32;
	l->ballast_size = MIN(MAX((uint64_t)l->segment_size / 16, 256 * 1024), 4 * MIB);
}

static void cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(c, &a);
	pthread_condattr_destroy(&a);
}

static struct local *local_new(const struct kv_local_opts *o)
{
	struct local *l = calloc(1, sizeof(*l));

	if (!l) {
		return NULL;
	}
	l->lock_fd = -1;
	set_options(l, o);
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->snap_lock, NULL);
	pthread_mutex_init(&l->zlock, NULL);
	cond_init(&l->work);
	cond_init(&l->apply);
	cond_init(&l->keep);
	list_init(&l->queue);
	list_init(&l->chunk_waiters);
	list_init(&l->dirty_order);
	list_init(&l->lost);
	list_init(&l->releases);
	list_init(&l->apply_waiters);
	table_init(&l->dirty);
	table_init(&l->held);
	l->dead = calloc(DEAD_MAX, sizeof(*l->dead));
	if (asprintf(&l->dir, "%s", o->dir) < 0 ||
	    asprintf(&l->index_dir, "%s/index", o->dir) < 0 ||
	    asprintf(&l->ballast, "%s/ballast", o->dir) < 0 || !l->dead) {
		BUG("out of memory at start");
	}
	return l;
}

static void drop_releases(struct list *releases)
{
	struct list *n;

	while ((n = list_pop(releases))) {
		writer_destroy(list_of(n, struct req, node)->writer);
	}
}

static void local_free(struct local *l)
{
	struct list *n;

	index_close(&l->idx);
	if (l->log.dir) {
		log_fini(&l->log);
	}
	while ((n = list_pop(&l->dirty_order))) {
		free(list_of(n, struct dirty, order));
	}
	drop_releases(&l->releases);
	table_fini(&l->dirty);
	table_fini(&l->held);
	blob_fini(l);
	if (l->lock_fd >= 0) {
		close(l->lock_fd);
	}
	free(l->dead);
	free(l->dir);
	free(l->index_dir);
	free(l->ballast);
	free(l);
}

/* Live bytes of the segments, as the index counted them. */
static int load_live(struct local *l)
{
	MDB_txn *t;
	int r = index_read(&l->idx, &t);

	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < l->log.n && r == 0; i++) {
		r = index_get_live(&l->idx, t, l->log.seg[i]->no, &l->log.seg[i]->live);
	}
	index_read_end(&l->idx, t);
	return r;
}

/* Index, log and replay. *log_good_out: the log was checked and is whole. */
static int recover_once(struct local *l, bool *log_good_out, struct err *e)
{
	int r = index_open_or_rebuild(l, e);

	if (r == 0) {
		r = load_live(l);
	}
	if (r == 0) {
		r = recover_log(l, e);
		*log_good_out = r == 0;
	}
	return r ? r : apply_all(l, e);
}

static void mark_for_rebuild(struct local *l)
{
	char path[KV_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/rebuild", l->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0) {
		close(fd);
	}
}

/*
 * An index that opens but cannot take a good log is damaged inside: it is
 * rebuilt once from its snapshot. Never so when the log is what is wrong: the
 * index may then be the only one that still knows what was acknowledged.
 */
static int recover(struct local *l, struct err *e)
{
	struct err first = ERR_INIT;
	struct err second = ERR_INIT;
	char path[KV_PATH_MAX];
	struct pos at;
	bool log_good = false;
	int r = recover_once(l, &log_good, &first);

	if (r == -EIO && log_good &&
	    (snapshot_find(l, path, sizeof(path), &at) == 0 ||
	     (l->log.n && l->log.seg[0]->no == 1))) {
		index_close(&l->idx);
		l->applied = (struct index_pos){ 0 };
		mark_for_rebuild(l);
		r = recover_once(l, &log_good, &second);
	}
	if (r < 0) {
		*e = first.code ? first : second;
	}
	return r;
}

/* The segment of this run. On a full disk a small one must do. */
static int first_segment(struct local *l, struct err *e)
{
	int r = log_roll(&l->log, 0);

	if (r == -ENOSPC) {
		l->log.segment_size = SEGMENT_LAST_RESORT;
		r = log_roll(&l->log, 0);
		if (r == -ENOSPC && ballast_release(l)) {
			r = log_roll(&l->log, 0);
		}
		l->log.segment_size = l->segment_size;
	}
	if (r < 0) {
		return err_set(e, r, "cannot create a log segment", "%s", l->log.dir);
	}
	l->epoch = l->log.cur->no;
	flag_set(&l->no_spare, log_make_spare(&l->log) < 0);
	return 0;
}

/* Segments of runs that wrote nothing. */
static int remove_empty(struct local *l)
{
	int r = 0;

	for (size_t i = 0; i < l->log.n && r == 0;) {
		struct segment *s = l->log.seg[i];

		if (s == l->log.cur || s->end > SEG_HEAD || s->no <= l->applied.at.seg) {
			i++;
			continue;
		}
		r = log_remove(&l->log, s->no);
	}
	return r;
}

static int open_store(struct local *l, struct err *e)
{
	char log_dir[KV_PATH_MAX];
	char snap[KV_PATH_MAX];
	int r;

	snprintf(log_dir, sizeof(log_dir), "%s/log", l->dir);
	r = make_dir(l->dir, e);
	if (r == 0) {
		r = lock_dir(l, e);
	}
	if (r == 0) {
		r = open_format(l, log_dir, e);
	}
	if (r == 0) {
		r = make_dir(log_dir, e);
	}
	if (r == 0) {
		r = make_dir(l->index_dir, e);
	}
	if (r == 0) {
		r = sync_dir(l->dir);
	}
	if (r == 0) {
		r = log_open(&l->log, log_dir, l->store, l->segment_size, e);
	}
	if (r == 0) {
		r = recover(l, e);
	}
	if (r < 0) {
		return r;
	}
	if (snapshot_find(l, snap, sizeof(snap), &l->snap_pos) < 0) {
		l->snap_pos = (struct pos){ 0, 0 };
	}
	r = first_segment(l, e);
	if (r == 0) {
		r = remove_empty(l);
	}
	if (r == 0) {
		space_check(l);
		ballast_make(l);
	}
	return r;
}

static int start_threads(struct local *l)
{
	sigset_t all;
	sigset_t old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&l->committer, NULL, committer_main, l);
	if (r == 0) {
		r = pthread_create(&l->applier, NULL, applier_main, l);
	}
	if (r == 0) {
		r = pthread_create(&l->keeper, NULL, keeper_main, l);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		BUG("cannot start a thread");
	}
	return -r;
}

/* ---- closing ----------------------------------------------------------------------------- */

static void local_close(struct kv *kv)
{
	struct local *l = local_of(kv);

	pthread_mutex_lock(&l->lock);
	flag_set(&l->keeper_stop, true);
	pthread_cond_broadcast(&l->keep);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->keeper, NULL);
	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	pthread_cond_broadcast(&l->work);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->committer, NULL);
	pthread_join(l->applier, NULL);
	if (!flag_get(&l->poisoned)) {
		(void)log_seal(&l->log, l->log.cur);
	}
	local_free(l);
}

static const struct kv_ops local_ops = {
	.close = local_close,
	.get = local_get,
	.scan = local_scan,
	.version = local_version,
	.commit = local_commit,
	.sync = local_sync,
	.blob_new = local_blob_new,
	.blob_write = local_blob_write,
	.blob_finish = local_blob_finish,
	.blob_free = local_blob_free,
	.blob_read = local_blob_read,
	.blob_size = local_blob_size,
	.snapshot = local_snapshot,
	.verify = local_verify,
	.stats = local_stats,
	.is_full = local_is_full,
};

int kv_local_open(const struct kv_local_opts *o, struct kv **out, struct err *e)
{
	struct err unused = ERR_INIT;
	struct sigaction sa;
	struct local *l;
	int r;

	e = e ? e : &unused;
	if (fault_from_env() < 0) {
		return err_set(e, -EINVAL, "POSTRIDER_FAULT cannot be understood", NULL);
	}
	/* A file size limit must be an error (EFBIG), not a death. */
	if (sigaction(SIGXFSZ, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL) {
		signal(SIGXFSZ, SIG_IGN);
	}
	if (strlen(o->dir) > KV_DIR_MAX) {
		return err_set(e, -ENAMETOOLONG, "the data directory's path is too long", NULL);
	}
	l = local_new(o);
	if (!l) {
		return err_set(e, -ENOMEM, "out of memory", NULL);
	}
	l->kv.ops = &local_ops;
	r = open_store(l, e);
	if (r == 0) {
		r = start_threads(l);
	}
	if (r < 0) {
		if (!e->code) {
			err_set(e, r, "cannot open the store", "%s", l->dir);
		}
		local_free(l);
		return r;
	}
	*out = &l->kv;
	return 0;
}
