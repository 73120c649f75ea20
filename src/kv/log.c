/*
 * Segment files. See log.h.
 *
 * Order of a segment's birth: allocate the spare, write its head, sync it,
 * rename it to its number, sync the directory. So a file with a number has a
 * whole head, whenever the power fails. Called by the committer (append,
 * roll), the applier and readers (read), the keeper (remove, punch).
 */
#include "kv/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"
#include "kv/fault.h"
#include "kv/impl.h"

#define OPEN_FDS_MAX 256
#define SEGMENT_MAX (1u << 30)
#define WINDOW (256u * 1024)

bool is_no_room(int err)
{
	return err == -ENOSPC || err == -EDQUOT || err == -EFBIG;
}

int sync_dir(const char *path)
{
	int fd = fault_open(path, O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (fd < 0) {
		return -errno;
	}
	r = fault_fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static void seg_path(const struct log *l, uint64_t no, char out[KV_PATH_MAX])
{
	snprintf(out, KV_PATH_MAX, "%s/%016llx.seg", l->dir, (unsigned long long)no);
}

static void spare_path(const struct log *l, char out[KV_PATH_MAX])
{
	snprintf(out, KV_PATH_MAX, "%s/spare", l->dir);
}

/* ---- the list of segments --------------------------------------------------- */

static int list_add(struct log *l, struct segment *s)
{
	size_t i = l->n;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct segment **p = realloc(l->seg, cap * sizeof(*p));

		if (!p) {
			return -ENOMEM;
		}
		l->seg = p;
		l->cap = cap;
	}
	while (i && l->seg[i - 1]->no > s->no) {
		l->seg[i] = l->seg[i - 1];
		i--;
	}
	l->seg[i] = s;
	l->n++;
	return 0;
}

/* Index of the first segment with number >= no. */
static size_t list_lower(const struct log *l, uint64_t no)
{
	size_t lo = 0;
	size_t hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->seg[mid]->no < no) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo;
}

static void close_idle(struct log *l)
{
	struct segment *old = NULL;

	for (size_t i = 0; i < l->n; i++) {
		struct segment *s = l->seg[i];

		if (s->fd >= 0 && s->refs == 0 && s != l->cur &&
		    (!old || s->used_at < old->used_at)) {
			old = s;
		}
	}
	if (old) {
		close(old->fd);
		old->fd = -1;
		l->open_fds--;
	}
}

static int seg_open_fd(struct log *l, struct segment *s)
{
	char path[KV_PATH_MAX];

	if (s->fd >= 0) {
		return 0;
	}
	if (l->open_fds >= OPEN_FDS_MAX) {
		close_idle(l);
	}
	seg_path(l, s->no, path);
	s->fd = fault_open(path, O_RDWR, 0);
	if (s->fd < 0) {
		return -errno;
	}
	l->open_fds++;
	return 0;
}

struct segment *log_get(struct log *l, uint64_t no)
{
	struct segment *s = NULL;
	size_t i;

	pthread_mutex_lock(&l->lock);
	i = list_lower(l, no);
	if (i < l->n && l->seg[i]->no == no) {
		s = l->seg[i];
		if (seg_open_fd(l, s) < 0) {
			s = NULL;
		} else {
			s->refs++;
			s->used_at = ++l->clock;
		}
	} else {
		errno = ENOENT;
	}
	pthread_mutex_unlock(&l->lock);
	return s;
}

static void seg_destroy(struct log *l, struct segment *s)
{
	if (s->fd >= 0) {
		close(s->fd);
		l->open_fds--;
	}
	free(s);
}

void log_put(struct log *l, struct segment *s)
{
	if (!s) {
		return;
	}
	pthread_mutex_lock(&l->lock);
	assert(s->refs > 0);
	s->refs--;
	if (s->removed && s->refs == 0) {
		seg_destroy(l, s);
	}
	pthread_mutex_unlock(&l->lock);
}

uint64_t log_next(struct log *l, uint64_t no)
{
	uint64_t next = 0;
	size_t i;

	pthread_mutex_lock(&l->lock);
	i = list_lower(l, no + 1);
	if (i < l->n) {
		next = l->seg[i]->no;
	}
	pthread_mutex_unlock(&l->lock);
	return next;
}

uint64_t log_bytes(struct log *l)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < l->n; i++) {
		sum += l->seg[i]->alloc;
	}
	pthread_mutex_unlock(&l->lock);
	return sum;
}

void log_set_live(struct log *l, uint64_t no, int64_t live)
{
	size_t i;

	pthread_mutex_lock(&l->lock);
	i = list_lower(l, no);
	if (i < l->n && l->seg[i]->no == no) {
		l->seg[i]->live = live;
	}
	pthread_mutex_unlock(&l->lock);
}

uint64_t log_live(struct log *l)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < l->n; i++) {
		sum += (uint64_t)MAX(l->seg[i]->live, 0);
	}
	pthread_mutex_unlock(&l->lock);
	return sum;
}

/* ---- opening ---------------------------------------------------------------- */

/* "%016x.seg": 0 and the number, or -EINVAL for anything else. */
static int parse_name(const char *name, uint64_t *out)
{
	uint64_t v = 0;

	if (strlen(name) != 20 || strcmp(name + 16, ".seg") != 0) {
		return -EINVAL;
	}
	for (int i = 0; i < 16; i++) {
		char c = name[i];

		if (c >= '0' && c <= '9') {
			v = v << 4 | (uint64_t)(c - '0');
		} else if (c >= 'a' && c <= 'f') {
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		} else {
			return -EINVAL;
		}
	}
	*out = v;
	return 0;
}

static int read_head(struct log *l, struct segment *s, const char *path, struct err *e)
{
	unsigned char head[SEG_HEAD];
	struct seg_head h;
	struct stat st;
	int r;

	if (fstat(s->fd, &st) < 0 || fault_pread(s->fd, head, sizeof(head), 0) < 0) {
		return err_set(e, -errno, "cannot read a log segment", "%s", path);
	}
	r = seg_head_decode(slice_make((char *)head, sizeof(head)), &h);
	if (r == -EPROTO) {
		return err_set(e, r,
			       "the store was written by a newer version "
			       "of Postrider; use that one",
			       "%s", path);
	}
	if (r < 0 || h.no != s->no || st.st_size < (off_t)SEG_HEAD ||
	    st.st_size > (off_t)SEGMENT_MAX) {
		return err_set(e, -EIO, "the head of a log segment is damaged", "%s", path);
	}
	if (memcmp(h.store, l->store, sizeof(h.store)) != 0) {
		return err_set(e, -EIO, "a log segment of another store lies here", "%s", path);
	}
	s->salt = h.salt;
	s->alloc = s->end = (uint32_t)st.st_size;
	return 0;
}

static int open_segment(struct log *l, uint64_t no, struct err *e)
{
	struct segment *s = calloc(1, sizeof(*s));
	char path[KV_PATH_MAX];
	int r;

	if (!s) {
		return err_set(e, -ENOMEM, "out of memory", NULL);
	}
	s->no = no;
	s->fd = -1;
	seg_path(l, no, path);
	r = seg_open_fd(l, s);
	if (r < 0) {
		free(s);
		return err_set(e, r, "cannot open a log segment", "%s", path);
	}
	r = read_head(l, s, path, e);
	if (r == 0) {
		r = list_add(l, s);
	}
	if (r < 0) {
		seg_destroy(l, s);
		return r;
	}
	l->next_no = MAX(l->next_no, no + 1);
	return 0;
}

int log_open(struct log *l, const char *dir, const unsigned char store[16], uint32_t segment_size,
	     struct err *e)
{
	struct dirent *d;
	struct stat st;
	char path[KV_PATH_MAX];
	DIR *dp;
	int r = 0;

	*l = (struct log){ .segment_size = segment_size, .next_no = 1 };
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->grow, NULL);
	memcpy(l->store, store, sizeof(l->store));
	l->dir = strdup(dir);
	dp = l->dir ? opendir(dir) : NULL;
	if (!dp) {
		return err_set(e, l->dir ? -errno : -ENOMEM, "cannot open the log directory", "%s",
			       dir);
	}
	while (r == 0 && (d = readdir(dp))) {
		uint64_t no;

		if (parse_name(d->d_name, &no) == 0) {
			r = open_segment(l, no, e);
		}
	}
	closedir(dp);
	spare_path(l, path);
	if (r == 0 && stat(path, &st) == 0) {
		/* It may be half made: never trusted over a restart. */
		r = fault_unlink(path) < 0 ? -errno : 0;
	}
	return r;
}

void log_fini(struct log *l)
{
	for (size_t i = 0; i < l->n; i++) {
		seg_destroy(l, l->seg[i]);
	}
	free(l->seg);
	free(l->dir);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->grow);
}

/* ---- growing ---------------------------------------------------------------- */

/* Real blocks for the whole file, or -ENOSPC. File systems without fallocate
 * get zeros written. */
static int allocate(int fd, uint32_t size)
{
	static const char zeros[65536];
	struct stat st;

	if (fault_fallocate(fd, 0, 0, size) == 0) {
		return 0;
	}
	if (errno != EOPNOTSUPP && errno != ENOSYS) {
		return -errno;
	}
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	for (off_t at = st.st_size; at < (off_t)size;) {
		size_t n = MIN(sizeof(zeros), (size_t)((off_t)size - at));
		ssize_t w = fault_pwrite(fd, zeros, n, at);

		if (w < 0) {
			return -errno;
		}
		at += w;
	}
	return 0;
}

/* Under `grow`. */
static int make_spare_file(struct log *l, uint32_t size)
{
	char path[KV_PATH_MAX];
	int fd;
	int r;

	spare_path(l, path);
	fd = fault_open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0) {
		return -errno;
	}
	r = allocate(fd, size);
	if (r == 0 && fault_fsync(fd) < 0) {
		r = -errno;
	}
	close(fd);
	if (r == 0) {
		l->spare = true;
		l->spare_size = size;
	} else if (!l->spare) {
		unlink(path);
	}
	return r;
}

int log_make_spare(struct log *l)
{
	int r = 0;

	pthread_mutex_lock(&l->grow);
	if (!l->spare) {
		r = make_spare_file(l, l->segment_size);
		fault_point("segment.spare_made");
	}
	pthread_mutex_unlock(&l->grow);
	return r;
}

static int write_head(struct log *l, int fd, struct segment *s)
{
	unsigned char head[SEG_HEAD];
	struct seg_head h = {
		.format = LOG_FORMAT, .no = s->no, .salt = s->salt, .created_ms = clock_wall_ms()
	};
	ssize_t w;

	memcpy(h.store, l->store, sizeof(h.store));
	seg_head_encode(&h, head);
	w = fault_pwrite(fd, head, sizeof(head), 0);
	if (w != (ssize_t)sizeof(head)) {
		return w < 0 ? -errno : -EIO;
	}
	fault_point("segment.head_written");
	return fault_fsync(fd) < 0 ? -errno : 0;
}

/* The spare becomes segment s, which gets the open descriptor. */
static int take_spare(struct log *l, struct segment *s)
{
	char from[KV_PATH_MAX];
	char to[KV_PATH_MAX];
	int r;

	spare_path(l, from);
	seg_path(l, s->no, to);
	s->fd = fault_open(from, O_RDWR, 0);
	if (s->fd < 0) {
		return -errno;
	}
	pthread_mutex_lock(&l->lock);
	l->open_fds++;
	pthread_mutex_unlock(&l->lock);
	l->spare = false;
	r = write_head(l, s->fd, s);
	if (r == 0) {
		fault_point("segment.before_rename");
		r = fault_rename(from, to) < 0 ? -errno : 0;
	}
	if (r == 0) {
		fault_point("segment.after_rename");
		r = sync_dir(l->dir);
	}
	fault_point("segment.made");
	return r;
}

static int new_segment(struct log *l, uint32_t size, struct segment **out)
{
	struct segment *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		return -ENOMEM;
	}
	s->no = l->next_no;
	s->salt = rand_u64();
	s->fd = -1;
	s->end = SEG_HEAD;
	s->alloc = MAX(size, l->spare_size);
	r = take_spare(l, s);
	pthread_mutex_lock(&l->lock);
	if (r == 0) {
		r = list_add(l, s);
	}
	if (r < 0) {
		seg_destroy(l, s);
	}
	pthread_mutex_unlock(&l->lock);
	if (r < 0) {
		/* ENOSPC behind the allocation is damage, not fullness. */
		return is_no_room(r) ? -EIO : r;
	}
	l->next_no++;
	*out = s;
	return 0;
}

int log_seal(struct log *l, struct segment *s)
{
	(void)l;
	if (s->sealed) {
		return 0;
	}
	if (fault_fdatasync(s->fd) < 0) {
		return -errno;
	}
	fault_point("segment.before_seal");
	if (s->alloc != s->end && (fault_ftruncate(s->fd, s->end) < 0 || fault_fsync(s->fd) < 0)) {
		return -errno;
	}
	fault_point("segment.sealed");
	s->alloc = s->end;
	s->sealed = true;
	return 0;
}

/* Nothing has happened to the log, and it may work later. */
static bool is_shortage(int err)
{
	return is_no_room(err) || err == -EMFILE || err == -ENFILE || err == -ENOMEM;
}

int log_roll(struct log *l, uint32_t need)
{
	uint32_t size = MAX(l->segment_size, SEG_HEAD + need);
	struct segment *s = NULL;
	int r = 0;

	pthread_mutex_lock(&l->grow);
	if (!l->spare || l->spare_size < size) {
		r = make_spare_file(l, size);
	}
	if (r == 0) {
		fault_point("segment.before");
		r = new_segment(l, size, &s);
	}
	pthread_mutex_unlock(&l->grow);
	if (r < 0) {
		return is_shortage(r) ? -ENOSPC : r;
	}
	if (l->cur) {
		r = log_seal(l, l->cur);
	}
	pthread_mutex_lock(&l->lock);
	l->cur = s;
	pthread_mutex_unlock(&l->lock);
	return r;
}

int log_append(struct log *l, const void *p, size_t n)
{
	struct segment *s = l->cur;
	const char *at = p;

	assert(s->end + n <= s->alloc);
	while (n) {
		ssize_t w = fault_pwrite(s->fd, at, n, s->end);

		if (w < 0 && errno == EINTR) {
			continue;
		}
		if (w <= 0) {
			return w < 0 ? -errno : -EIO;
		}
		at += w;
		n -= (size_t)w;
		__atomic_store_n(&s->end, s->end + (uint32_t)w, __ATOMIC_RELEASE);
	}
	return 0;
}

int log_sync(struct log *l)
{
	return fault_fdatasync(l->cur->fd) < 0 ? -errno : 0;
}

int log_remove(struct log *l, uint64_t no)
{
	char path[KV_PATH_MAX];
	struct segment *s;
	size_t i;

	seg_path(l, no, path);
	fault_point("reclaim.before_unlink");
	if (fault_unlink(path) < 0 && errno != ENOENT) {
		return -errno;
	}
	fault_point("reclaim.after_unlink");
	pthread_mutex_lock(&l->lock);
	i = list_lower(l, no);
	assert(i < l->n && l->seg[i]->no == no && l->seg[i] != l->cur);
	s = l->seg[i];
	memmove(l->seg + i, l->seg + i + 1, (l->n - i - 1) * sizeof(*l->seg));
	l->n--;
	s->removed = true;
	if (s->refs == 0) {
		seg_destroy(l, s);
	}
	pthread_mutex_unlock(&l->lock);
	return sync_dir(l->dir);
}

int log_punch(struct log *l, struct segment *s, uint64_t off, uint64_t n)
{
	(void)l;
	if (fault_fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
			    (off_t)n) < 0) {
		return -errno;
	}
	return 0;
}

/* ---- reading ------------------------------------------------------------------ */

int reader_open(struct log_reader *r, struct log *l, struct pos at, uint32_t limit)
{
	*r = (struct log_reader){ .log = l, .off = at.off, .limit = limit };
	r->seg = log_get(l, at.seg);
	if (!r->seg) {
		return -errno;
	}
	r->window = BUF_INIT(2 * WINDOW + REC_PAYLOAD_MAX);
	r->window_off = at.off;
	return 0;
}

void reader_close(struct log_reader *r)
{
	if (r->seg) {
		buf_fini(&r->window);
		log_put(r->log, r->seg);
		r->seg = NULL;
	}
}

/* n bytes at off are in the window: 1; 0 the limit or the file is nearer. */
static int want(struct log_reader *r, uint32_t n, const char **out)
{
	struct buf *w = &r->window;
	uint64_t have = r->window_off + w->n;
	size_t ask;
	ssize_t got;
	char *p;

	if ((uint64_t)r->off + n > r->limit) {
		return 0;
	}
	if (r->off >= r->window_off && (uint64_t)r->off + n <= have) {
		*out = w->p + (r->off - r->window_off);
		return 1;
	}
	buf_reset(w);
	r->window_off = r->off;
	ask = MIN((size_t)MAX(n, WINDOW), (size_t)(r->limit - r->off));
	p = buf_reserve(w, ask);
	if (!p) {
		return w->err;
	}
	while (w->n < ask) {
		got = fault_pread(r->seg->fd, p + w->n, ask - w->n, (off_t)(r->off + w->n));
		if (got < 0) {
			return -errno;
		}
		if (got == 0) {
			break;
		}
		buf_commit(w, (size_t)got);
	}
	*out = w->p;
	return w->n >= n;
}

/* At the limit, or in front of nothing but zeros less than a head long. */
static int at_end(struct log_reader *r)
{
	const char *p = NULL;
	struct rec rec;
	uint32_t left = r->limit > r->off ? r->limit - r->off : 0;
	int n = left ? want(r, left, &p) : 1;

	if (left == 0 || n <= 0) {
		return n < 0 ? n : 0;
	}
	return rec_decode(slice_make(p, left), r->seg->salt, r->off, &rec);
}

int reader_next(struct log_reader *r, bool full, struct rec *rec_out, struct slice *payload_out)
{
	struct rec rec;
	const char *p;
	uint32_t n;
	int k = want(r, REC_HEAD, &p);

	if (k <= 0) {
		return k < 0 ? k : at_end(r);
	}
	k = rec_decode(slice_make(p, REC_HEAD), r->seg->salt, r->off, &rec);
	if (k <= 0) {
		return k;
	}
	*rec_out = rec;
	n = rec.len;
	if (!full && rec.type == REC_CHUNK) {
		n = MIN(n, CHUNK_HEAD);
	}
	if ((uint64_t)r->off + rec_size(rec.len) > r->limit) {
		return -EBADMSG;
	}
	k = want(r, REC_HEAD + n, &p);
	if (k <= 0) {
		return k < 0 ? k : -EBADMSG;
	}
	*payload_out = slice_make(p + REC_HEAD, n);
	if (n == rec.len && hash_sum64(*payload_out) != rec.sum) {
		return -EBADMSG;
	}
	r->off += rec_size(rec.len);
	return 1;
}

void reader_skip(struct log_reader *r, const struct rec *rec)
{
	r->off += rec_size(rec->len);
}
