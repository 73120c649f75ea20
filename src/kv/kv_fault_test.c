/*
 * What the engine does when the disk fails, fills up or forgets.
 *
 * Injected write and sync failures, a full disk in theory (fallocate says so)
 * and in practice (a small tmpfs, when we may mount one), a lost, garbled or
 * cut index, damaged chunks, a newer format, two processes, and reclaiming
 * under load with readers.
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kv/fault.h"
#include "kv/record.h"
#include "kv/test_ledger.h"
#include "kv/test_util.h"

static struct kv *open_store(const char *dir)
{
	struct kv_local_opts o = ledger_opts(dir);
	struct err e = ERR_INIT;
	struct kv *kv = NULL;

	if (kv_local_open(&o, &kv, &e) < 0) {
		fail_msg("open: %s (%s)", e.text, e.detail);
	}
	return kv;
}

static int open_fails(const char *dir, struct err *e)
{
	struct kv_local_opts o = ledger_opts(dir);
	struct kv *kv = NULL;
	int r = kv_local_open(&o, &kv, e);

	assert_null(kv);
	return r;
}

static void path_in(const char *dir, const char *name, char out[TEST_PATH_MAX])
{
	snprintf(out, TEST_PATH_MAX, "%s/%s", dir, name);
}

static int put(struct kv *kv, const char *key, bool frees) CO_FN;
static int put(struct kv *kv, const char *key, bool frees)
{
	struct kv_batch *b = kv_batch_new((struct kv_part){ 1, 1, 1 });
	int r;

	kv_batch_put(b, slice_cstr(key), S("v"));
	if (frees) {
		kv_batch_frees(b);
	}
	r = kv_commit(kv, &b, 1);
	kv_batch_free(&b);
	return r;
}

/* Acts until one is refused: *n_out acts were acknowledged. */
static int act_until_refused(struct kv *kv, uint64_t *n, uint64_t max) CO_FN;
static int act_until_refused(struct kv *kv, uint64_t *n, uint64_t max)
{
	int r = KV_OK;

	while (*n < max && r == KV_OK) {
		r = ledger_act(kv, *n);
		*n += r == KV_OK;
	}
	return r;
}

/* ---- failing disks -------------------------------------------------------------- */

/* After the failure nothing is acknowledged, reads go on, nothing is lost. */
static void poisoned_by(const char *fault)
{
	struct kv_stats st;
	struct kv *kv;
	char dir[64];
	uint64_t n = 0;

	co_enter();
	test_dir(dir, sizeof(dir));
	kv = open_store(dir);
	assert_int_equal(act_until_refused(kv, &n, 10), KV_OK);
	assert_int_equal(fault_install(fault), 0);
	assert_int_equal(act_until_refused(kv, &n, 1000), -EIO);
	fault_clear();
	for (int i = 0; i < 5; i++) {
		assert_int_equal(ledger_act(kv, n), -EIO);
		assert_int_equal(put(kv, "k", true), -EIO);
	}
	kv_stats(kv, &st);
	assert_true(st.poisoned);
	ledger_check(kv, n);
	kv_close(&kv);
	kv = open_store(dir);
	n = ledger_check(kv, n);
	assert_int_equal(act_until_refused(kv, &n, n + 20), KV_OK);
	ledger_check(kv, n);
	kv_close(&kv);
	test_dir_remove(dir);
}

static void test_poison(void **s)
{
	(void)s;
	poisoned_by("fail:fdatasync:EIO:1");
	poisoned_by("fail:fdatasync:EIO:4");
	poisoned_by("fail:pwrite:EIO:3");
	poisoned_by("fail:pwrite:ENOSPC:2");
	poisoned_by("fail:rename:EIO:1");
	poisoned_by("fail:fsync:EIO:1");
	poisoned_by("fail:fdatasync:EIO:2,fail:pwrite:EIO:5+");
}

/* LMDB has no room for a while: the applier waits and misses nothing. */
static void test_apply_retries(void **s)
{
	struct kv *kv;
	char dir[64];
	uint64_t n = 0;

	(void)s;
	co_enter();
	test_dir(dir, sizeof(dir));
	kv = open_store(dir);
	assert_int_equal(fault_install("fail:mdb_commit:ENOSPC:2"), 0);
	assert_int_equal(act_until_refused(kv, &n, 20), KV_OK);
	ledger_check(kv, n);
	fault_clear();
	assert_int_equal(fault_install("fail:mdb_commit:ENOSPC:1+"), 0);
	assert_int_equal(put(kv, "k", false), KV_OK);
	/* The reader is told in the end; new mail is refused. */
	assert_int_equal(kv_sync(kv), -ENOSPC);
	assert_true(kv_is_full(kv));
	assert_int_equal(put(kv, "k2", false), KV_FULL);
	assert_int_equal(put(kv, "k3", true), KV_OK);
	fault_clear();
	assert_int_equal(kv_sync(kv), 0);
	ledger_check(kv, n);
	assert_int_equal(act_until_refused(kv, &n, n + 5), KV_OK);
	/* Any other failure ends it; the next start has it all. */
	assert_int_equal(fault_install("fail:mdb_commit:EIO:1"), 0);
	assert_int_equal(put(kv, "k4", false), KV_OK);
	assert_int_equal(kv_sync(kv), -EIO);
	assert_int_equal(put(kv, "k5", false), -EIO);
	fault_clear();
	kv_close(&kv);
	kv = open_store(dir);
	ledger_check(kv, n);
	kv_close(&kv);
	test_dir_remove(dir);
}

/* ---- full disks ------------------------------------------------------------------ */

static bool wait_not_full(struct kv *kv)
{
	for (int i = 0; i < 100 && kv_is_full(kv); i++) {
		usleep(50000);
	}
	return !kv_is_full(kv);
}

static void test_no_room_for_segments(void **s)
{
	struct kv_stats st;
	struct kv *kv;
	char dir[64];
	uint64_t n = 0;
	uint64_t kept;

	(void)s;
	co_enter();
	test_dir(dir, sizeof(dir));
	kv = open_store(dir);
	assert_int_equal(fault_install("fail:fallocate:ENOSPC:1+"), 0);
	assert_int_equal(act_until_refused(kv, &n, 1000), KV_FULL);
	assert_true(n > 3);
	assert_true(kv_is_full(kv));
	kv_stats(kv, &st);
	assert_true(st.full && !st.poisoned);
	ledger_check(kv, n);
	assert_int_equal(put(kv, "k", false), KV_FULL);
	/* Deletions have the rest of the segment and the spare one. */
	for (int i = 0; i < 50; i++) {
		assert_int_equal(put(kv, "k", true), KV_OK);
	}
	fault_clear();
	kept = n;
	assert_true(wait_not_full(kv));
	assert_int_equal(act_until_refused(kv, &n, kept + 20), KV_OK);
	ledger_check(kv, n);
	kv_close(&kv);
	test_dir_remove(dir);
}

static void test_floor(void **s)
{
	struct kv_local_opts o;
	struct err e = ERR_INIT;
	struct kv *kv = NULL;
	struct kv_blob_writer *w;
	char dir[64];

	(void)s;
	co_enter();
	test_dir(dir, sizeof(dir));
	o = ledger_opts(dir);
	o.free_floor = UINT64_MAX / 2;
	assert_int_equal(kv_local_open(&o, &kv, &e), 0);
	assert_true(kv_is_full(kv));
	assert_int_equal(put(kv, "k", false), KV_FULL);
	assert_int_equal(put(kv, "k", true), KV_OK);
	assert_int_equal(kv_blob_new(kv, S(""), &w), KV_FULL);
	kv_close(&kv);
	test_dir_remove(dir);
}

/* Takes what room is left on the file system. */
static void fill_disk(const char *dir)
{
	char path[TEST_PATH_MAX];
	char *block = calloc(1, 4096);
	int fd;

	path_in(dir, "../filler", path);
	fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
	assert_true(fd >= 0);
	while (write(fd, block, 4096) > 0) {
	}
	close(fd);
	free(block);
}

/* LMDB calls a short write EIO. Where there is no room it is that, and the same
 * records are applied again; where there is, it is a failure (see
 * test_apply_retries). */
static void test_short_index_write(void **s)
{
	char mnt[64];
	char dir[128];
	char filler[TEST_PATH_MAX];
	struct kv_stats stats;
	struct kv *kv;

	(void)s;
	co_enter();
	test_dir(mnt, sizeof(mnt));
	if (mount("none", mnt, "tmpfs", 0, "size=8m") < 0) {
		test_dir_remove(mnt);
		print_message("cannot mount a tmpfs here: skipped\n");
		skip();
	}
	snprintf(dir, sizeof(dir), "%s/store", mnt);
	path_in(dir, "../filler", filler);
	kv = open_store(dir);
	assert_int_equal(put(kv, "before", false), KV_OK);
	assert_int_equal(kv_sync(kv), 0);
	fill_disk(dir);
	assert_int_equal(fault_install("fail:mdb_commit:EIO:1"), 0);
	assert_int_equal(put(kv, "while", true), KV_OK);
	assert_int_equal(kv_sync(kv), 0);
	fault_clear();
	kv_stats(kv, &stats);
	assert_false(stats.poisoned);
	unlink(filler);
	assert_true(wait_not_full(kv));
	assert_int_equal(put(kv, "after", false), KV_OK);
	kv_close(&kv);
	assert_int_equal(umount(mnt), 0);
	test_dir_remove(mnt);
}

static void test_really_full(void **s)
{
	char mnt[64];
	char dir[128];
	char filler[TEST_PATH_MAX];
	struct kv *kv;
	uint64_t n = 0;
	uint64_t left;

	(void)s;
	co_enter();
	test_dir(mnt, sizeof(mnt));
	if (mount("none", mnt, "tmpfs", 0, "size=8m") < 0) {
		test_dir_remove(mnt);
		print_message("cannot mount a tmpfs here: skipped\n");
		skip();
	}
	snprintf(dir, sizeof(dir), "%s/store", mnt);
	path_in(dir, "../filler", filler);
	kv = open_store(dir);
	for (int round = 0; round < 3; round++) {
		/* Full by our own mail, then to the last byte by others. */
		assert_int_equal(act_until_refused(kv, &n, n + 100000), KV_FULL);
		fill_disk(dir);
		left = ledger_check(kv, n);
		assert_int_equal(left, n);
		/* Deletions still find room. */
		for (uint64_t i = 0; i < n; i++) {
			if (ledger_holds(i, n) && i + 1 < n) {
				assert_int_equal(ledger_remove(kv, i), KV_OK);
			}
		}
		unlink(filler);
		assert_true(wait_not_full(kv));
		if (round == 1) {
			kv_close(&kv);
			kv = open_store(dir);
		}
		/* Mail flows again; the old one is gone. */
		assert_int_equal(ledger_remove(kv, n - 1), KV_OK);
		n = (n / 5 + 1) * 5;
		assert_int_equal(ledger_act(kv, n), KV_OK);
		assert_int_equal(ledger_remove(kv, n), KV_OK);
		n += 5;
		kv_close(&kv);
		test_dir_remove(dir);
		kv = open_store(dir);
		n = 0;
	}
	kv_close(&kv);
	assert_int_equal(umount(mnt), 0);
	test_dir_remove(mnt);
}

/* Opening on a disk that is full, and that room comes back by deleting. */
static void test_open_full(void **s)
{
	char mnt[64];
	char dir[128];
	struct kv *kv;
	uint64_t n = 0;

	(void)s;
	co_enter();
	test_dir(mnt, sizeof(mnt));
	if (mount("none", mnt, "tmpfs", 0, "size=8m") < 0) {
		test_dir_remove(mnt);
		print_message("cannot mount a tmpfs here: skipped\n");
		skip();
	}
	snprintf(dir, sizeof(dir), "%s/store", mnt);
	kv = open_store(dir);
	assert_int_equal(act_until_refused(kv, &n, 100000), KV_FULL);
	kv_close(&kv);
	fill_disk(dir);
	kv = open_store(dir);
	ledger_check(kv, n);
	for (uint64_t i = 0; i + 1 < n; i++) {
		if (ledger_holds(i, n)) {
			assert_int_equal(ledger_remove(kv, i), KV_OK);
		}
	}
	kv_close(&kv);
	assert_int_equal(umount(mnt), 0);
	test_dir_remove(mnt);
}

/* ---- a broken index ------------------------------------------------------------------ */

static void garble(const char *path, off_t at, size_t n)
{
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(pwrite(fd, "\xa5", 1, at + (off_t)i), 1);
	}
	close(fd);
}

static void after_damage(const char *dir, uint64_t n)
{
	struct kv *kv = open_store(dir);

	co_enter();
	assert_int_equal(ledger_check(kv, n), n);
	assert_int_equal(put(kv, "k", false), KV_OK);
	kv_close(&kv);
}

static void test_index_lost(void **s)
{
	char path[TEST_PATH_MAX];
	char dir[64];
	struct err e = ERR_INIT;
	struct stat st;
	struct kv *kv;
	uint64_t n = 0;

	(void)s;
	co_enter();
	test_dir(dir, sizeof(dir));
	path_in(dir, "index/data.mdb", path);
	/* From the log alone, while it still begins at its beginning. */
	kv = open_store(dir);
	assert_int_equal(act_until_refused(kv, &n, 3), KV_OK);
	kv_close(&kv);
	assert_int_equal(unlink(path), 0);
	after_damage(dir, n);
	/* From a snapshot and what came after it. */
	kv = open_store(dir);
	assert_int_equal(act_until_refused(kv, &n, 60), KV_OK);
	assert_int_equal(kv_snapshot(kv, &e), 0);
	assert_int_equal(act_until_refused(kv, &n, 100), KV_OK);
	kv_close(&kv);
	assert_int_equal(unlink(path), 0);
	after_damage(dir, n);
	/* Garbage where LMDB keeps its meta pages. */
	garble(path, 0, 8192);
	after_damage(dir, n);
	/* Cut to half. */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size / 2 / 4096 * 4096), 0);
	after_damage(dir, n);
	/* Asked for by hand. */
	path_in(dir, "rebuild", path);
	close(open(path, O_RDWR | O_CREAT, 0600));
	after_damage(dir, n);
	test_dir_remove(dir);
}

/* The index is ahead of the log: the only case in which it is the better
 * witness. Nothing may be rebuilt over it. */
static void test_log_lost(void **s)
{
	char path[TEST_PATH_MAX];
	char away[TEST_PATH_MAX];
	char dir[64];
	struct err e = ERR_INIT;
	struct kv *kv;
	uint64_t n = 0;
	unsigned last;

	(void)s;
	co_enter();
	test_dir(dir, sizeof(dir));
	kv = open_store(dir);
	assert_int_equal(act_until_refused(kv, &n, 20), KV_OK);
	assert_int_equal(kv_snapshot(kv, &e), 0);
	assert_int_equal(act_until_refused(kv, &n, 40), KV_OK);
	assert_int_equal(kv_sync(kv), 0);
	kv_close(&kv);
	for (last = 100; last > 0; last--) {
		snprintf(path, sizeof(path), "%s/log/%016x.seg", dir, last);
		if (access(path, F_OK) == 0) {
			break;
		}
	}
	path_in(dir, "away", away);
	assert_int_equal(rename(path, away), 0);
	for (int i = 0; i < 2; i++) {
		e = ERR_INIT;
		assert_int_equal(open_fails(dir, &e), -EIO);
		assert_non_null(e.text);
	}
	/* Put back, all is there. */
	assert_int_equal(rename(away, path), 0);
	after_damage(dir, n);
	test_dir_remove(dir);
}

static int first_key(void *arg, struct slice key, struct slice value)
{
	(void)key;
	memcpy(arg, value.p, 16);
	return 1;
}

static void count_problem(void *arg, const char *text)
{
	(void)text;
	++*(int *)arg;
}

/* A flipped bit in a message: that one cannot be read, all others can. */
static void test_damaged_chunk(void **s)
{
	struct kv_blob_id id;
	char path[TEST_PATH_MAX];
	char dir[64];
	char buf[100];
	struct kv *kv;
	uint64_t n = 0;
	int found = 0;
	int problems;

	(void)s;
	co_enter();
	test_dir(dir, sizeof(dir));
	kv = open_store(dir);
	assert_int_equal(act_until_refused(kv, &n, 30), KV_OK);
	kv_close(&kv);
	snprintf(path, sizeof(path), "%s/log/%016x.seg", dir, 1);
	/* The first that stays is the 5th (i = 4), and big: here lies its
	 * second chunk. */
	garble(path, 150000, 1);
	kv = open_store(dir);
	assert_int_equal(kv_scan(kv, (struct kv_part){ 7, 0, 0 }, S(""), S(""), first_key, &id), 1);
	assert_int_equal(kv_blob_read(kv, id, 0, buf, 100), 100);
	assert_int_equal(kv_blob_read(kv, id, 140000, buf, 100), -EIO);
	problems = kv_verify(kv, count_problem, &found);
	assert_true(problems >= 1);
	assert_int_equal(problems, found);
	assert_int_equal(put(kv, "k", false), KV_OK);
	kv_close(&kv);
	test_dir_remove(dir);
}

/* ---- who may open ------------------------------------------------------------------- */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_refuses(void **s)
{
	char path[TEST_PATH_MAX];
	char seg[TEST_PATH_MAX];
	char dir[64];
	struct err e = ERR_INIT;
	unsigned char head[SEG_HEAD];
	struct seg_head h = { .format = LOG_FORMAT + 1, .no = 77, .salt = 1 };
	struct kv *kv;
	int fd;

	(void)s;
	test_dir(dir, sizeof(dir));
	kv = open_store(dir);
	assert_int_equal(open_fails(dir, &e), -EBUSY);
	assert_non_null(e.text);
	kv_close(&kv);
	/* A segment of a newer format. */
	seg_head_encode(&h, head);
	path_in(dir, "log/000000000000004d.seg", seg);
	fd = open(seg, O_RDWR | O_CREAT, 0600);
	assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
	close(fd);
	e = ERR_INIT;
	assert_int_equal(open_fails(dir, &e), -EPROTO);
	assert_non_null(strstr(e.text, "newer"));
	unlink(seg);
	/* A newer store, a broken FORMAT, none. */
	path_in(dir, "FORMAT", path);
	write_file(path, "postrider-kv 2\n00112233445566778899aabbccddeeff\n");
	e = ERR_INIT;
	assert_int_equal(open_fails(dir, &e), -EPROTO);
	assert_non_null(strstr(e.text, "newer"));
	write_file(path, "something else\n");
	assert_int_equal(open_fails(dir, NULL), -EIO);
	write_file(path, "postrider-kv 1\n00112233445566778899aabbccddeeff\n");
	assert_int_equal(open_fails(dir, NULL), -EIO); /* another store's */
	unlink(path);
	assert_int_equal(open_fails(dir, NULL), -EIO);
	test_dir_remove(dir);
}

/* ---- reclaiming ------------------------------------------------------------------------ */

#define READERS 3
#define LOAD_ACTS 400

struct load {
	struct kv *kv;
	struct co_loop *loop;
	uint64_t done;
	unsigned left;
};

static void load_end(struct load *w)
{
	if (--w->left == 0) {
		co_loop_stop(w->loop);
	}
}

static void load_writer(void *arg)
{
	struct load *w = arg;
	struct err e = ERR_INIT;

	co_enter();
	while (w->done < LOAD_ACTS) {
		assert_int_equal(ledger_act(w->kv, w->done), KV_OK);
		w->done++;
		if (w->done % 40 == 0) {
			assert_int_equal(kv_snapshot(w->kv, &e), 0);
		}
	}
	load_end(w);
}

struct ids {
	struct kv_blob_id id[LOAD_ACTS];
	size_t n;
};

static int collect(void *arg, struct slice key, struct slice value)
{
	struct ids *c = arg;

	(void)key;
	memcpy(c->id[c->n++].b, value.p, 16);
	return c->n == LOAD_ACTS;
}

/* Reads whatever is there: whole, or gone meanwhile; never damaged. */
static void load_reader(void *arg)
{
	struct load *w = arg;
	struct ids *c = calloc(1, sizeof(*c));
	char *p = malloc(300000);

	co_enter();
	for (uint64_t i = 0; w->done < LOAD_ACTS; i++) {
		c->n = 0;
		assert_true(kv_scan(w->kv, (struct kv_part){ 7, i % 4, 0 }, S(""), S(""), collect,
				    c) >= 0);
		for (size_t k = 0; k < c->n; k++) {
			ssize_t n = kv_blob_read(w->kv, c->id[k], 0, p, 300000);

			assert_true(n >= 500 || n == -ENOENT);
		}
		co_sleep(1);
	}
	free(c);
	free(p);
	load_end(w);
}

static void test_reclaim_under_load(void **s)
{
	struct load w = { .left = READERS + 1 };
	struct kv_stats st;
	struct err e = ERR_INIT;
	char dir[64];

	(void)s;
	co_enter();
	test_dir(dir, sizeof(dir));
	assert_int_equal(co_pool_start(2, 0), 0);
	w.kv = open_store(dir);
	assert_int_equal(co_loop_new(&w.loop), 0);
	assert_int_equal(co_spawn("writer", load_writer, &w, NULL), 0);
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(co_spawn("reader", load_reader, &w, NULL), 0);
	}
	co_loop_run(w.loop);
	co_loop_free(&w.loop);
	co_pool_stop();
	assert_int_equal(w.done, LOAD_ACTS);
	ledger_check(w.kv, LOAD_ACTS);
	for (int i = 0; i < 60; i++) {
		assert_int_equal(kv_snapshot(w.kv, &e), 0);
		kv_stats(w.kv, &st);
		if (st.log_bytes < 3 * st.live_bytes) {
			break;
		}
		usleep(50000);
	}
	assert_true(st.reclaimed_bytes > 0);
	assert_true(st.log_bytes < 3 * st.live_bytes);
	ledger_check(w.kv, LOAD_ACTS);
	kv_close(&w.kv);
	w.kv = open_store(dir);
	ledger_check(w.kv, LOAD_ACTS);
	kv_close(&w.kv);
	/* And all of it from snapshot and log. */
	char path[TEST_PATH_MAX];
	path_in(dir, "index/data.mdb", path);
	assert_int_equal(unlink(path), 0);
	/* A rebuild that fails half way does not spoil the next one. */
	assert_int_equal(fault_install("fail:rename:EIO:1"), 0);
	assert_int_equal(open_fails(dir, NULL), -EIO);
	fault_clear();
	after_damage(dir, LOAD_ACTS);
	test_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_poison),
		cmocka_unit_test(test_apply_retries),
		cmocka_unit_test(test_no_room_for_segments),
		cmocka_unit_test(test_floor),
		cmocka_unit_test(test_short_index_write),
		cmocka_unit_test(test_really_full),
		cmocka_unit_test(test_open_full),
		cmocka_unit_test(test_index_lost),
		cmocka_unit_test(test_log_lost),
		cmocka_unit_test(test_damaged_chunk),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_reclaim_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
