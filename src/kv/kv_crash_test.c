/*
 * kill -9 at every named point, against a ledger outside the process.
 *
 * A child runs the workload of test_ledger.h with a fault that kills it at a
 * point, and says through a pipe which acts were acknowledged. The parent
 * reopens the store and compares: nothing acknowledged is missing, the one
 * act under way is there wholly or not at all, verify finds nothing. The rest
 * are damaged and torn tails of the log, byte by byte.
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kv/fault.h"
#include "kv/record.h"
#include "kv/test_ledger.h"
#include "kv/test_util.h"

#define ACTS 40
#define ROUNDS 3

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

/* ---- kill points -------------------------------------------------------------------- */

static void child_main(const char *dir, const char *fault, uint64_t from, int out)
{
	struct kv *kv = NULL;
	struct kv_local_opts o = ledger_opts(dir);
	struct err e = ERR_INIT;

	co_enter();
	if (fault_install(fault) < 0 || kv_local_open(&o, &kv, &e) < 0) {
		_exit(3);
	}
	for (uint64_t i = from; i < from + ACTS; i++) {
		if (ledger_act(kv, i) != KV_OK || write(out, &i, sizeof(i)) != sizeof(i)) {
			_exit(4);
		}
		if (i % 10 == 9 && kv_snapshot(kv, &e) < 0) {
			_exit(5);
		}
	}
	kv_snapshot(kv, &e);
	usleep(100000); /* for the keeper */
	kv_close(&kv);
	_exit(0);
}

/* Runs a child from act `from` on; *acked_out is behind its last answer. True
 * if it was killed at the point. */
static bool run_child(const char *dir, const char *fault, uint64_t from, uint64_t *acked_out)
{
	uint64_t i;
	int p[2];
	int status;
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(p[0]);
		child_main(dir, fault, from, p[1]);
	}
	close(p[1]);
	*acked_out = from;
	while (read(p[0], &i, sizeof(i)) == sizeof(i)) {
		*acked_out = i + 1;
	}
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return true;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

static void lose_index(const char *dir)
{
	char path[TEST_PATH_MAX];

	snprintf(path, sizeof(path), "%s/index/data.mdb", dir);
	assert_int_equal(unlink(path), 0);
}

static void crash_at(const char *point, bool without_index)
{
	char dir[64];
	uint64_t n = 0;
	unsigned killed = 0;

	co_enter();
	test_dir(dir, sizeof(dir));
	/* Some history, a snapshot and dead segments to begin with. */
	assert_false(run_child(dir, "", 0, &n));
	for (unsigned round = 1; round <= ROUNDS; round++) {
		char fault[80];
		struct kv *kv;

		if (without_index) {
			lose_index(dir);
		}
		snprintf(fault, sizeof(fault), "kill:%s:%u", point, round);
		killed += run_child(dir, fault, n, &n);
		kv = open_store(dir);
		n = ledger_check(kv, n);
		kv_close(&kv);
	}
	if (killed == 0) {
		fail_msg("nothing ever passed %s", point);
	}
	test_dir_remove(dir);
}

static void test_kill_commit(void **s)
{
	(void)s;
	crash_at("commit.before_write", false);
	crash_at("commit.after_write", false);
	crash_at("commit.before_sync", false);
	crash_at("commit.after_sync", false);
}

static void test_kill_apply(void **s)
{
	(void)s;
	crash_at("apply.before_commit", false);
	crash_at("apply.after_commit", false);
}

static void test_kill_segment(void **s)
{
	static const char *const points[] = {
		"segment.spare_made",	 "segment.before",	 "segment.head_written",
		"segment.before_rename", "segment.after_rename", "segment.made",
		"segment.before_seal",	 "segment.sealed",
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		crash_at(points[i], false);
	}
}

static void test_kill_snapshot(void **s)
{
	static const char *const points[] = {
		"snapshot.before",  "snapshot.copied", "snapshot.synced",
		"snapshot.renamed", "snapshot.done",
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		crash_at(points[i], false);
	}
}

static void test_kill_reclaim(void **s)
{
	static const char *const points[] = {
		"reclaim.before_move",	 "reclaim.moved",	 "reclaim.applied",
		"reclaim.before_unlink", "reclaim.after_unlink", "reclaim.punch",
	};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		crash_at(points[i], false);
	}
}

static void test_kill_recovery(void **s)
{
	(void)s;
	crash_at("recover.scanned", false);
	crash_at("recover.sealed", false);
	crash_at("recover.applied", false);
	crash_at("rebuild.copied", true);
	crash_at("rebuild.restored", true);
	crash_at("recover.scanned", true);
	crash_at("recover.applied", true);
}

/* ---- tails ---------------------------------------------------------------------------- */

/* Five rows, one commit each, none of them applied; no orderly end. */
static void tail_child(const char *dir)
{
	struct kv_local_opts o = ledger_opts(dir);
	struct err e = ERR_INIT;
	struct kv *kv = NULL;

	co_enter();
	o.apply_ms = 600000;
	if (kv_local_open(&o, &kv, &e) < 0) {
		_exit(1);
	}
	for (uint32_t i = 0; i < 5; i++) {
		struct kv_batch *b = kv_batch_new((struct kv_part){ 1, 0, 0 });
		char key = (char)('a' + i);

		kv_batch_put(b, slice_make(&key, 1), S("value"));
		if (kv_commit(kv, &b, 1) != KV_OK) {
			_exit(2);
		}
	}
	_exit(0);
}

struct tail {
	char dir[64];
	char log[TEST_PATH_MAX]; /* the segment with the five records */
	uint32_t rec[6];	 /* where they begin, and the end */
	char *bytes;
	size_t n;
};

static void tail_load(struct tail *t)
{
	struct seg_head h;
	struct stat st;
	struct rec r;
	int fd = open(t->log, O_RDONLY);

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	t->n = (size_t)st.st_size;
	t->bytes = malloc(t->n);
	assert_int_equal(read(fd, t->bytes, t->n), t->n);
	close(fd);
	assert_int_equal(seg_head_decode(slice_make(t->bytes, t->n), &h), 0);
	t->rec[0] = SEG_HEAD;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(rec_decode(slice_make(t->bytes + t->rec[i], REC_HEAD), h.salt,
					    t->rec[i], &r),
				 1);
		t->rec[i + 1] = t->rec[i] + rec_size(r.len);
	}
}

static void tail_start(struct tail *t)
{
	int status;
	pid_t pid;

	test_dir(t->dir, sizeof(t->dir));
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		tail_child(t->dir);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	snprintf(t->log, sizeof(t->log), "%s/log/%016x.seg", t->dir, 1);
	tail_load(t);
}

static void tail_end(struct tail *t)
{
	free(t->bytes);
	test_dir_remove(t->dir);
}

/* The state of that moment again, with other bytes in the segment. */
static void tail_restore(struct tail *t, const char *bytes, size_t n)
{
	char cmd[400];
	int fd;

	/* Nothing was applied: without index and other segments it is the
	 * same as it was. */
	snprintf(cmd, sizeof(cmd), "rm -rf %s/index %s/log/* %s/snap.* %s/rebuild", t->dir, t->dir,
		 t->dir, t->dir);
	assert_int_equal(system(cmd), 0);
	fd = open(t->log, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

static void expect_rows(struct kv *kv, unsigned n)
{
	struct kv_part p = { 1, 0, 0 };

	co_enter();
	for (unsigned i = 0; i < 5; i++) {
		struct buf v = BUF_INIT(100);
		char key = (char)('a' + i);

		assert_int_equal(kv_get(kv, p, slice_make(&key, 1), &v),
				 i < n ? KV_OK : KV_NOTFOUND);
		buf_fini(&v);
	}
}

/* Opens, finds n rows, and the store goes on from there. */
static void expect_cut(struct tail *t, unsigned n)
{
	struct kv_batch *b = kv_batch_new((struct kv_part){ 1, 0, 0 });
	struct kv *kv = open_store(t->dir);

	co_enter();
	expect_rows(kv, n);
	kv_batch_put(b, S("z"), S("after"));
	assert_int_equal(kv_commit(kv, &b, 1), KV_OK);
	kv_batch_free(&b);
	kv_close(&kv);
	kv = open_store(t->dir);
	expect_rows(kv, n);
	kv_close(&kv);
}

static void test_torn_tail(void **s)
{
	struct tail t;

	(void)s;
	tail_start(&t);
	for (uint32_t at = t.rec[4]; at < t.rec[5]; at += 3) {
		/* Cut off, and the same with zeros behind. */
		tail_restore(&t, t.bytes, at);
		expect_cut(&t, 4);
		char *zeroed = malloc(t.n);
		memcpy(zeroed, t.bytes, t.n);
		memset(zeroed + at, 0, t.n - at);
		tail_restore(&t, zeroed, t.n);
		/* Only padding, which is zeros anyway, makes no difference. */
		expect_cut(&t, memcmp(zeroed, t.bytes, t.n) == 0 ? 5 : 4);
		free(zeroed);
	}
	tail_restore(&t, t.bytes, t.n);
	expect_cut(&t, 5);
	tail_end(&t);
}

static void test_damaged_tail(void **s)
{
	struct tail t;

	(void)s;
	tail_start(&t);
	for (uint32_t at = t.rec[4]; at + 8 < t.rec[5]; at += 2) {
		t.bytes[at] ^= 0x10;
		tail_restore(&t, t.bytes, t.n);
		expect_cut(&t, 4);
		t.bytes[at] ^= 0x10;
	}
	tail_end(&t);
}

/* Damage in front of records that knew the damaged one as synced. */
static void test_damaged_middle(void **s)
{
	struct tail t;

	(void)s;
	tail_start(&t);
	for (uint32_t at = t.rec[2]; at + 8 < t.rec[3]; at += 2) {
		struct kv_local_opts o = ledger_opts(t.dir);
		struct err e = ERR_INIT;
		struct kv *kv = NULL;

		t.bytes[at] ^= 0x10;
		tail_restore(&t, t.bytes, t.n);
		t.bytes[at] ^= 0x10;
		assert_int_equal(kv_local_open(&o, &kv, &e), -EIO);
		assert_non_null(e.text);
		assert_null(kv);
	}
	/* The head of the segment is no place to guess, either. */
	for (uint32_t at = 0; at < SEG_HEAD; at += 9) {
		struct kv_local_opts o = ledger_opts(t.dir);
		struct err e = ERR_INIT;
		struct kv *kv = NULL;

		t.bytes[at] ^= 0x10;
		tail_restore(&t, t.bytes, t.n);
		t.bytes[at] ^= 0x10;
		assert_true(kv_local_open(&o, &kv, &e) < 0);
	}
	tail_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_torn_tail),      cmocka_unit_test(test_damaged_tail),
		cmocka_unit_test(test_damaged_middle), cmocka_unit_test(test_kill_commit),
		cmocka_unit_test(test_kill_apply),     cmocka_unit_test(test_kill_segment),
		cmocka_unit_test(test_kill_snapshot),  cmocka_unit_test(test_kill_reclaim),
		cmocka_unit_test(test_kill_recovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
