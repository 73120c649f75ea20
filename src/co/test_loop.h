/*
 * For tests of any layer: run a function as the first coroutine of a fresh
 * loop, failing loudly instead of hanging; and see that something kills its
 * process.
 */
#ifndef CO_TEST_LOOP_H
#define CO_TEST_LOOP_H

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "co/co.h"

struct test_first {
	void (*fn)(void *arg);
	void *arg;
};

static inline void test_first_body(void *arg)
{
	struct test_first *f = arg;

	f->fn(f->arg);
	co_loop_stop(co_loop_self());
}

/*
 * The process dies by SIGALRM if the loop is not done after a minute. A failed
 * assertion prints and aborts: cmocka's way, a longjmp to the test's start,
 * would leave the coroutine's stack behind the sanitizers' backs.
 */
static inline void test_run_loop(void (*fn)(void *arg), void *arg)
{
	struct test_first f = { fn, arg };
	struct co_loop *l = NULL;

	setenv("CMOCKA_TEST_ABORT", "1", 1);
	alarm(60);
	if (co_loop_new(&l) != 0 || co_spawn("first", test_first_body, &f, NULL) != 0) {
		BUG("no loop for a test");
	}
	assert(co_loop_self() == l);
	co_loop_run(l);
	assert(co_loop_count(l) == 0);
	co_loop_free(&l);
	assert(!l && !co_loop_self());
	alarm(0);
}

/* True if fn(arg) in a child process ends by the signal. */
static inline bool test_dies_by(int sig, void (*fn)(void *arg), void *arg)
{
	int status = 0;
	pid_t pid = fork();

	assert(pid >= 0);
	if (pid == 0) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		fn(arg);
		_exit(0);
	}
	assert(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == sig;
}

#endif
