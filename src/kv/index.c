/*
 * The LMDB environment: opening, pooled readers, typed rows. See index.h.
 *
 * Never MDB_NOSYNC, MDB_WRITEMAP or MDB_MAPASYNC: each of them can corrupt
 * silently at a power cut. LMDB has no page checksums, so all values are
 * decoded with length checks and every oddity is -EIO, which leads to a
 * rebuild from snapshot and log at the next start.
 */
#include "kv/index.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_READERS 1024
#define BLOB_ROW_VERSION 1
#define BLOB_ROW_SIZE 38
#define LOC_SIZE 16

int index_err(int mdb)
{
	switch (mdb) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return KV_NOTFOUND;
	case MDB_MAP_FULL:
		return -ENOSPC;
	case MDB_READERS_FULL:
		return -EAGAIN;
	default:
		return mdb > 0 ? -mdb : -EIO;
	}
}

static MDB_val val(struct slice s)
{
	return (MDB_val){ .mv_size = s.n, .mv_data = (void *)(uintptr_t)s.p };
}

static struct slice unval(MDB_val v)
{
	return slice_make(v.mv_data, v.mv_size);
}

static struct slice id_slice(const struct kv_blob_id *id)
{
	return slice_make((const char *)id->b, sizeof(id->b));
}

int index_put(MDB_txn *t, MDB_dbi db, struct slice key, struct slice value)
{
	MDB_val k = val(key);
	MDB_val v = val(value);

	return index_err(mdb_put(t, db, &k, &v, 0));
}

int index_del(MDB_txn *t, MDB_dbi db, struct slice key)
{
	MDB_val k = val(key);
	int r = mdb_del(t, db, &k, NULL);

	return r == MDB_NOTFOUND ? 0 : index_err(r);
}

static int get(MDB_txn *t, MDB_dbi db, struct slice key, struct slice *out)
{
	MDB_val k = val(key);
	MDB_val v = { 0, NULL };
	int r = mdb_get(t, db, &k, &v);

	if (r == 0) {
		*out = unval(v);
	}
	return index_err(r);
}

/* ---- opening -------------------------------------------------------------- */

static int open_dbs(struct index *x, MDB_txn *t)
{
	struct {
		const char *name;
		MDB_dbi *db;
	} const all[] = {
		{ "rows", &x->rows },	  { "vers", &x->vers }, { "blobs", &x->blobs },
		{ "chunks", &x->chunks }, { "zero", &x->zero }, { "segs", &x->segs },
		{ "meta", &x->meta },
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		int r = mdb_dbi_open(t, all[i].name, MDB_CREATE, all[i].db);

		if (r) {
			return index_err(r);
		}
	}
	return 0;
}

static int check_meta(struct index *x, MDB_txn *t, const unsigned char store[16], struct err *e)
{
	struct slice want = slice_make((const char *)store, 16);
	struct slice v = { NULL, 0 };
	struct cur c;
	int r = get(t, x->meta, S("format"), &v);

	if (r == KV_NOTFOUND) {
		unsigned char f[4] = { INDEX_FORMAT };

		r = index_put(t, x->meta, S("format"), slice_make((char *)f, sizeof(f)));
		return r ? r : index_put(t, x->meta, S("store"), want);
	}
	if (r < 0) {
		return r;
	}
	c = cur_init(v);
	if (cur_get32le(&c) > INDEX_FORMAT && !c.err) {
		return err_set(e, -EPROTO,
			       "the index was written by a newer "
			       "version of Postrider; use that one",
			       NULL);
	}
	r = get(t, x->meta, S("store"), &v);
	return c.err || r != 0 || !slice_eq(v, want) ? -EIO : 0;
}

/* Walks everything: false on the first page LMDB cannot make sense of. */
static bool walk_all(struct index *x, MDB_txn *t)
{
	const MDB_dbi dbs[] = { x->rows, x->vers, x->blobs, x->chunks, x->zero, x->segs, x->meta };

	for (size_t i = 0; i < ARRAY_LEN(dbs); i++) {
		MDB_cursor *c;
		MDB_val k;
		MDB_val v = { 0, NULL };
		int r = mdb_cursor_open(t, dbs[i], &c);

		if (r) {
			return false;
		}
		do {
			r = mdb_cursor_get(c, &k, &v, MDB_NEXT);
		} while (r == 0);
		mdb_cursor_close(c);
		if (r != MDB_NOTFOUND) {
			return false;
		}
	}
	return true;
}

/*
 * A file shorter than its last page is either fine (freed pages at the end
 * are never written) or cut off. Beyond its end a touched page would be a
 * SIGBUS, so it is made long enough first; zeros are damage LMDB reports.
 */
static int check_length(struct index *x, const char *path, bool *short_out)
{
	MDB_envinfo info;
	MDB_stat st;
	struct stat fs;
	uint64_t need;

	if (mdb_env_info(x->env, &info) || mdb_env_stat(x->env, &st) || stat(path, &fs) < 0) {
		return -EIO;
	}
	need = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize;
	*short_out = (uint64_t)fs.st_size < need;
	if (need > info.me_mapsize) {
		return -EIO;
	}
	if (*short_out && truncate(path, (off_t)need) < 0) {
		return -errno;
	}
	return 0;
}

/* Real blocks under the lock file: it is written through a mapping, and a
 * full disk must not become a SIGBUS. */
static void fill_lock_file(const char *dir)
{
	char path[KV_PATH_MAX];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/lock.mdb", dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		if (fstat(fd, &st) == 0 && st.st_size > 0) {
			(void)!posix_fallocate(fd, 0, st.st_size);
		}
		close(fd);
	}
}

static int open_env(struct index *x, const char *dir, uint64_t map_size)
{
	int r = mdb_env_create(&x->env);

	if (r == 0) {
		r = mdb_env_set_maxdbs(x->env, 16);
	}
	if (r == 0) {
		r = mdb_env_set_mapsize(x->env, map_size);
	}
	if (r == 0) {
		r = mdb_env_set_maxreaders(x->env, MAX_READERS);
	}
	if (r == 0) {
		r = mdb_env_open(x->env, dir, MDB_NOTLS, 0600);
	}
	return index_err(r);
}

int index_open(struct index *x, const char *dir, uint64_t map_size, const unsigned char store[16],
	       struct err *e)
{
	char path[KV_PATH_MAX];
	MDB_txn *t = NULL;
	bool is_short = false;
	int r;

	*x = (struct index){ 0 };
	pthread_mutex_init(&x->lock, NULL);
	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	r = open_env(x, dir, map_size);
	if (r == 0) {
		fill_lock_file(dir);
		r = check_length(x, path, &is_short);
	}
	if (r == 0) {
		r = index_err(mdb_txn_begin(x->env, NULL, 0, &t));
	}
	if (r == 0) {
		r = open_dbs(x, t);
	}
	if (r == 0) {
		r = check_meta(x, t, store, e);
	}
	if (r == 0 && is_short && !walk_all(x, t)) {
		r = -EIO;
	}
	if (r == 0) {
		r = index_err(mdb_txn_commit(t));
	} else if (t) {
		mdb_txn_abort(t);
	}
	if (r != 0) {
		index_close(x);
		if (r == KV_NOTFOUND) {
			r = -EIO;
		}
		return e && e->code ? r : err_set(e, r, "cannot open the index", "%s", dir);
	}
	return 0;
}

void index_close(struct index *x)
{
	while (x->idle_n) {
		mdb_txn_abort(x->idle[--x->idle_n]);
	}
	if (x->env) {
		mdb_env_close(x->env);
		x->env = NULL;
		pthread_mutex_destroy(&x->lock);
	}
}

/* ---- readers ---------------------------------------------------------------- */

int index_read(struct index *x, MDB_txn **out)
{
	MDB_txn *t = NULL;
	int r;

	pthread_mutex_lock(&x->lock);
	if (x->idle_n) {
		t = x->idle[--x->idle_n];
	}
	pthread_mutex_unlock(&x->lock);
	if (t) {
		r = mdb_txn_renew(t);
		if (r) {
			mdb_txn_abort(t);
			return index_err(r);
		}
	} else {
		r = mdb_txn_begin(x->env, NULL, MDB_RDONLY, &t);
		if (r) {
			return index_err(r);
		}
	}
	*out = t;
	return 0;
}

void index_read_end(struct index *x, MDB_txn *t)
{
	mdb_txn_reset(t);
	pthread_mutex_lock(&x->lock);
	if (x->idle_n < INDEX_POOL) {
		x->idle[x->idle_n++] = t;
		t = NULL;
	}
	pthread_mutex_unlock(&x->lock);
	if (t) {
		mdb_txn_abort(t);
	}
}

/* ---- rows ------------------------------------------------------------------- */

struct slice index_key(unsigned char k[INDEX_KEY_MAX], struct kv_part p, struct slice key)
{
	assert(key.n <= KV_KEY_MAX);
	part_encode(p, k);
	if (key.n) {
		memcpy(k + KV_PART_SIZE, key.p, key.n);
	}
	return slice_make((char *)k, KV_PART_SIZE + key.n);
}

int index_get_row(struct index *x, MDB_txn *t, struct kv_part p, struct slice key,
		  struct slice *value_out)
{
	unsigned char k[INDEX_KEY_MAX];

	return get(t, x->rows, index_key(k, p, key), value_out);
}

int index_get_version(struct index *x, MDB_txn *t, struct kv_part p, uint64_t *out)
{
	unsigned char k[INDEX_KEY_MAX];
	struct slice v = { NULL, 0 };
	struct cur c;
	int r = get(t, x->vers, index_key(k, p, S("")), &v);

	if (r == KV_NOTFOUND) {
		*out = 0;
		return 0;
	}
	if (r < 0) {
		return r;
	}
	c = cur_init(v);
	*out = cur_get64le(&c);
	return c.err ? -EIO : 0;
}

static struct slice fixed(struct buf *b, char *p, size_t cap)
{
	*b = (struct buf){ .p = p, .cap = cap, .max = cap };
	return slice_make(p, cap);
}

int index_put_version(struct index *x, MDB_txn *t, struct kv_part p, uint64_t v)
{
	unsigned char k[INDEX_KEY_MAX];
	char raw[8];
	struct buf b;

	fixed(&b, raw, sizeof(raw));
	buf_put64le(&b, v);
	return index_put(t, x->vers, index_key(k, p, S("")), buf_slice(&b));
}

static void put_loc(struct buf *b, struct loc l)
{
	buf_put64le(b, l.at.seg);
	buf_put32le(b, l.at.off);
	buf_put32le(b, l.len);
}

static struct loc get_loc(struct cur *c)
{
	struct loc l;

	l.at.seg = cur_get64le(c);
	l.at.off = cur_get32le(c);
	l.len = cur_get32le(c);
	return l;
}

int loc_decode(struct slice v, struct loc *out)
{
	struct cur c = cur_init(v);

	*out = get_loc(&c);
	return c.err || out->len > rec_size(REC_PAYLOAD_MAX) ? -EIO : 0;
}

int blob_row_decode(struct slice v, struct blob_row *out)
{
	struct cur c = cur_init(v);
	struct blob_row row;

	if (cur_get8(&c) != BLOB_ROW_VERSION) {
		return -EIO;
	}
	row.whole = cur_get8(&c) & 1;
	row.refs = cur_get64le(&c);
	row.chunks = cur_get32le(&c);
	row.size = cur_get64le(&c);
	row.first = get_loc(&c);
	if (c.err || row.first.len > rec_size(REC_PAYLOAD_MAX)) {
		return -EIO;
	}
	*out = row;
	return 0;
}

int index_get_blob(struct index *x, MDB_txn *t, struct kv_blob_id id, struct blob_row *out)
{
	struct slice v = { NULL, 0 };
	int r = get(t, x->blobs, id_slice(&id), &v);

	return r ? r : blob_row_decode(v, out);
}

int index_put_blob(struct index *x, MDB_txn *t, struct kv_blob_id id, const struct blob_row *row)
{
	char raw[BLOB_ROW_SIZE];
	struct buf b;

	fixed(&b, raw, sizeof(raw));
	buf_put8(&b, BLOB_ROW_VERSION);
	buf_put8(&b, row->whole);
	buf_put64le(&b, row->refs);
	buf_put32le(&b, row->chunks);
	buf_put64le(&b, row->size);
	put_loc(&b, row->first);
	assert(b.n == BLOB_ROW_SIZE && !b.err);
	return index_put(t, x->blobs, id_slice(&id), buf_slice(&b));
}

static struct slice chunk_key(unsigned char k[20], struct kv_blob_id id, uint32_t chunk)
{
	uint32_t be = __builtin_bswap32(chunk);

	memcpy(k, id.b, 16);
	memcpy(k + 16, &be, 4);
	return slice_make((char *)k, 20);
}

int index_get_loc(struct index *x, MDB_txn *t, struct kv_blob_id id, uint32_t chunk,
		  const struct blob_row *row, struct loc *out)
{
	unsigned char k[20];
	struct slice v = { NULL, 0 };
	int r;

	if (chunk == 0) {
		*out = row->first;
		return 0;
	}
	r = get(t, x->chunks, chunk_key(k, id, chunk), &v);
	return r ? r : loc_decode(v, out);
}

int index_put_loc(struct index *x, MDB_txn *t, struct kv_blob_id id, uint32_t chunk, struct loc loc)
{
	unsigned char k[20];
	char raw[LOC_SIZE];
	struct buf b;

	fixed(&b, raw, sizeof(raw));
	put_loc(&b, loc);
	return index_put(t, x->chunks, chunk_key(k, id, chunk), buf_slice(&b));
}

int index_get_pos(struct index *x, MDB_txn *t, struct index_pos *out)
{
	struct slice v = { NULL, 0 };
	struct cur c;
	int r = get(t, x->meta, S("position"), &v);

	if (r) {
		*out = (struct index_pos){ 0 };
		return r == KV_NOTFOUND ? 0 : r;
	}
	c = cur_init(v);
	out->at.seg = cur_get64le(&c);
	out->at.off = cur_get32le(&c);
	out->seq = cur_get64le(&c);
	return c.err ? -EIO : 0;
}

int index_put_pos(struct index *x, MDB_txn *t, struct index_pos p)
{
	char raw[20];
	struct buf b;

	fixed(&b, raw, sizeof(raw));
	buf_put64le(&b, p.at.seg);
	buf_put32le(&b, p.at.off);
	buf_put64le(&b, p.seq);
	return index_put(t, x->meta, S("position"), buf_slice(&b));
}

int index_get_live(struct index *x, MDB_txn *t, uint64_t seg, int64_t *out)
{
	unsigned char k[8];
	struct slice v = { NULL, 0 };
	struct cur c;
	int r;

	put64be(k, seg);
	r = get(t, x->segs, slice_make((char *)k, 8), &v);
	if (r) {
		*out = 0;
		return r == KV_NOTFOUND ? 0 : r;
	}
	c = cur_init(v);
	*out = (int64_t)cur_get64le(&c);
	return c.err ? -EIO : 0;
}

int index_put_live(struct index *x, MDB_txn *t, uint64_t seg, int64_t live)
{
	unsigned char k[8];
	char raw[8];
	struct buf b;

	put64be(k, seg);
	if (live == 0) {
		return index_del(t, x->segs, slice_make((char *)k, 8));
	}
	fixed(&b, raw, sizeof(raw));
	buf_put64le(&b, (uint64_t)live);
	return index_put(t, x->segs, slice_make((char *)k, 8), buf_slice(&b));
}
