/*
 * kill -9 under a stream of deliveries, expunges and flags, over the embedded
 * engine, with a ledger of every promise held by someone who lives on.
 *
 * The child tells, through a pipe, each act once it was acknowledged, and
 * each expunge also before it is tried. The parent kills it after a random
 * number of lines, opens the store, and holds it to the ledger: what was
 * acknowledged is there and whole (I1), what was expunged stays away (I8), no
 * UID is given twice (I5), and the store finds nothing wrong with itself.
 */
#include <signal.h>
#include <sys/wait.h>

#include "co/test_loop.h"
#include "store/test_util.h"

#define ROUNDS 12
#define CREWS 6
#define MAX_UID 200000

/* One line of the ledger. */
struct entry {
	char act; /* D delivered, e will expunge, E expunged, F flagged */
	uint32_t uid;
};

static struct t_engine engine;
static int ledger_fd;
static struct store *child_store;

static struct {
	bool delivered, trying, expunged, flagged;
} seen[MAX_UID];
static uint32_t top; /* highest UID that was ever promised */

/* ---- the child ------------------------------------------------------------ */

static void tell(char act, uint32_t uid)
{
	struct entry x = { act, uid };

	if (write(ledger_fd, &x, sizeof(x)) != sizeof(x)) {
		_exit(1);
	}
}

static void expunge_one(struct store_mailbox *m, uint32_t uid)
{
	struct err e = ERR_INIT;
	size_t n = 0;

	co_enter();
	tell('e', uid);
	if (store_expunge(m, &uid, 1, false, &n, &e) == 0 && n == 1) {
		tell('E', uid);
	}
}

static void flag_one(struct store_mailbox *m, uint32_t uid)
{
	struct err e = ERR_INIT;

	co_enter();
	if (store_flags_change(m, &uid, 1, STORE_FLAGS_ADD,
			       (struct store_flags){ STORE_FLAGGED, 0 }, &e) == 0) {
		tell('F', uid);
	}
}

static void crew(void *arg)
{
	struct rng rng = { .x = (uint64_t)(uintptr_t)arg * 2 + 1 };
	struct store_account *a = t_account(child_store, 1);
	struct store_mailbox *m = t_box(a, "INBOX");
	uint32_t mine[16] = { 0 };

	for (unsigned i = 0;; i++) {
		uint32_t uid = 0;

		if (t_deliver(child_store, 1, T_MESSAGE, &uid) != 0) {
			_exit(2);
		}
		tell('D', uid);
		uint32_t *slot = &mine[rng_below(&rng, 16)];

		if (*slot && rng_below(&rng, 2)) {
			flag_one(m, *slot);
		} else if (*slot) {
			expunge_one(m, *slot);
		}
		*slot = uid;
	}
}

static void child_body(void *arg)
{
	(void)arg;
	co_enter();
	child_store = t_store(engine.kv);
	for (uintptr_t i = 1; i <= CREWS; i++) {
		assert_int_equal(co_spawn("crew", crew, (void *)(i + (uintptr_t)getpid()), NULL),
				 0);
	}
	co_sleep(60 * 1000);
}

/* ---- the parent ----------------------------------------------------------- */

static void note(const struct entry *x)
{
	assert_true(x->uid > 0 && x->uid < MAX_UID);
	switch (x->act) {
	case 'D':
		assert_false(seen[x->uid].delivered);
		seen[x->uid].delivered = true;
		top = MAX(top, x->uid);
		break;
	case 'e':
		seen[x->uid].trying = true;
		break;
	case 'E':
		seen[x->uid].expunged = true;
		break;
	case 'F':
		seen[x->uid].flagged = true;
		break;
	default:
		fail_msg("ledger");
	}
}

/* Reads the ledger; after `lines` of it the child dies. */
static void follow(int fd, pid_t pid, unsigned lines)
{
	struct entry x;
	uint32_t was = top;
	int status = 0;

	while (read(fd, &x, sizeof(x)) == sizeof(x)) {
		assert_true(x.act != 'D' || x.uid > was);
		note(&x);
		if (lines && --lines == 0) {
			assert_int_equal(kill(pid, SIGKILL), 0);
		}
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void run_child(unsigned lines)
{
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		close(fd[0]);
		ledger_fd = fd[1];
		t_engine_open(&engine);
		test_run_loop(child_body, NULL);
		_exit(3);
	}
	close(fd[1]);
	follow(fd[0], pid, lines);
	close(fd[0]);
}

static void check_message(struct store_mailbox *m, uint32_t uid)
{
	char piece[sizeof(T_MESSAGE)];
	struct err e = ERR_INIT;
	const struct msg *x = box_live(m, uid);

	co_enter();
	if (!x) {
		/* Only an expunge that was under way may have done it. */
		assert_true(seen[uid].trying);
		return;
	}
	assert_false(seen[uid].expunged);
	if (seen[uid].flagged) {
		assert_true(x->system & STORE_FLAGGED);
	}
	if (uid % 16 == 0) {
		assert_int_equal(store_read(m, uid, 0, piece, sizeof(piece), &e),
				 sizeof(T_MESSAGE) - 1);
		assert_memory_equal(piece, T_MESSAGE, sizeof(T_MESSAGE) - 1);
	}
}

static void hold_to_ledger(void)
{
	t_engine_open(&engine);
	struct store *s = t_store(engine.kv);
	struct store_account *a = t_account(s, 1);
	struct store_mailbox *m = t_box(a, "INBOX");

	assert_true(m->uidnext > top);
	for (uint32_t uid = 1; uid <= top; uid++) {
		if (seen[uid].delivered) {
			check_message(m, uid);
		}
	}
	t_check(s);
	store_mailbox_close(&m);
	store_account_close(&a);
	store_close(&s);
	kv_close(&engine.kv);
}

static void test_kill(void **state)
{
	struct rng rng = { .x = (rand_u64() >> 32) | 1 };
	struct err e = ERR_INIT;

	(void)state;
	co_enter();
	print_message("seed %llu\n", (unsigned long long)rng.x);
	setenv("STORE_ENGINE", "local", 1);
	t_engine_new(&engine);
	struct store *s = t_store(engine.kv);

	assert_int_equal(store_account_create(s, 1, 0, 0, &e), 0);
	store_close(&s);
	kv_close(&engine.kv);
	for (int i = 0; i < ROUNDS; i++) {
		run_child(1 + rng_below(&rng, i % 3 ? 400 : 20));
		hold_to_ledger();
	}
	assert_true(top > ROUNDS);
	test_dir_remove(engine.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
