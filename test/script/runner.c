/*
 * runner: plays transcript files against whole sessions over memory.
 *
 * The client of a transcript is a stream: it gives the bytes of a C: line only
 * once everything expected before it was said, so what a server does at its
 * sync points is tested as it is on the wire. Each file is played twice, in
 * segments as written and one byte at a time; both must match.
 *
 *   runner [-v] [--verbs smtp|pop3|imap] FILE|DIR...
 *
 * --verbs also checks that each row of that protocol's table of commands is
 * used in some transcript. Ends with "transcripts: N passed, N failed".
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "imap/imap.h"
#include "line/verb.h"
#include "pop3/pop3.h"
#include "script.h"
#include "smtp/smtp.h"

#define OUTPUT_MAX (256u << 20)

struct play {
	struct stream s;
	struct script *script;
	struct rig *rig;
	enum rig_proto proto; /* of this session */
	const char *path;
	size_t at;	      /* next step */
	struct slice pending; /* of the current segment */
	size_t step;	      /* bytes a read; 0: all */
	struct buf out;
	size_t seen; /* octets of out matched */
	bool any;    /* within S*: */
	bool failed;
	bool eof; /* the client has closed */
};

/* ---- matching ----------------------------------------------------------- */

/* The conversation's last lines, then what was wrong. */
static void fail(struct play *p, unsigned line, const char *what, struct slice want,
		 const struct slice *got)
{
	struct slice said = slice_sub(buf_slice(&p->out), 0, p->seen);

	if (p->failed) {
		return;
	}
	p->failed = true;
	said = slice_from(said, said.n > 1000 ? said.n - 1000 : 0);
	printf("FAIL %s:%u: %s (%s)\n", p->path, line, what,
	       p->step ? "one byte at a time" : "in segments");
	printf("---- matched before:\n%.*s----\n", SLICE_ARG(said));
	if (want.p) {
		printf("- %.*s\n", SLICE_ARG(want));
	}
	if (got) {
		printf("+ %.*s\n", SLICE_ARG(*got));
	}
}

/* The next unmatched output line without its line end. 1, or 0: none. */
static int next_line(const struct play *p, struct slice *line, size_t *used)
{
	struct slice rest = slice_from(buf_slice(&p->out), p->seen);
	size_t nl = slice_chr(rest, '\n');

	if (rest.n == 0) {
		return 0;
	}
	*used = nl == SIZE_MAX ? rest.n : nl + 1;
	*line = slice_sub(rest, 0, nl == SIZE_MAX ? rest.n : nl);
	if (line->n && line->p[line->n - 1] == '\r') {
		line->n--;
	} else if (p->proto != RIG_IMAP) {
		/* Their lines end in CRLF, always: show what did not. */
		*line = slice_sub(rest, 0, *used);
	}
	return 1;
}

static void expect(struct play *p, const struct step *st)
{
	struct slice line;
	size_t used;

	while (next_line(p, &line, &used)) {
		bool ok = step_matches(st, line);

		if (!ok && !p->any) {
			fail(p, st->line, "another answer", st->text, &line);
			return;
		}
		p->seen += used;
		if (ok) {
			p->any = false;
			p->at++;
			return;
		}
	}
	fail(p, st->line, "no such answer", st->text, NULL);
}

/* Whatever was said must have been expected. */
static void nothing_more(struct play *p, unsigned at_line)
{
	struct slice line;
	size_t used;

	if (p->any) {
		p->seen = p->out.n;
		p->any = false;
	} else if (next_line(p, &line, &used)) {
		fail(p, at_line, "more than expected", S(""), &line);
	}
}

static void act(struct play *p, const struct step *st)
{
	p->at++;
	if (rig_do(p->rig, st->text) != 0) {
		fail(p, st->line, "cannot be done", st->text, NULL);
	}
}

/* One step while the session waits for input (or, ended, will never). */
static void one_step(struct play *p, const struct step *st, bool ended)
{
	switch (st->kind) {
	case STEP_EXPECT:
		expect(p, st);
		return;
	case STEP_ANY:
		p->any = true;
		p->at++;
		return;
	case STEP_ACT:
		act(p, st);
		return;
	case STEP_CLOSED:
		if (!ended) {
			fail(p, st->line, "server did not close", S(""), NULL);
		}
		p->at++;
		return;
	case STEP_SEND:
		nothing_more(p, st->line);
		if (ended) {
			fail(p, st->line, "server closed before", st->text, NULL);
		}
		p->pending = st->text;
		p->at++;
		return;
	case STEP_NEW:
		nothing_more(p, st->line);
		return;
	}
}

/* Goes on until there is something to send, the end, or ev is set. */
static void advance(struct play *p, const struct co_event *ev)
{
	const struct script *s = p->script;

	while (!p->failed && p->pending.n == 0 && p->at < s->n_steps &&
	       s->steps[p->at].kind != STEP_NEW && !(ev && ev->set)) {
		one_step(p, &s->steps[p->at], false);
	}
}

/* ---- the client as a stream --------------------------------------------- */

static ssize_t play_read(struct stream *st, char *buf, size_t n)
{
	struct play *p = (struct play *)st;

	advance(p, NULL);
	if (p->failed || p->pending.n == 0) {
		p->eof = true;
		return 0;
	}
	n = MIN(n, p->pending.n);
	n = p->step ? MIN(n, p->step) : n;
	memcpy(buf, p->pending.p, n);
	p->pending = slice_from(p->pending, n);
	st->bytes_in += n;
	return (ssize_t)n;
}

static int play_write(struct stream *st, const char *buf, size_t n)
{
	struct play *p = (struct play *)st;

	buf_add(&p->out, slice_make(buf, n));
	st->bytes_out += n;
	return p->out.err ? -EPIPE : 0;
}

static int play_wait(struct stream *st, struct co_event *ev, int64_t deadline)
{
	struct play *p = (struct play *)st;

	(void)deadline;
	advance(p, ev);
	return ev && ev->set && p->pending.n == 0 ? STREAM_EVENT : STREAM_READY;
}

static int play_nothing(struct stream *st)
{
	(void)st;
	return 0;
}

static void play_free(struct stream *st)
{
	(void)st; /* lives on play_once's stack */
}

static const struct stream_ops play_ops = {
	.name = "play",
	.read = play_read,
	.write = play_write,
	.wait = play_wait,
	.shutdown = play_nothing,
	.detach = play_nothing,
	.attach = play_nothing,
	.free = play_free,
};

/* ---- playing ------------------------------------------------------------ */

static bool set_up(struct play *p)
{
	for (size_t i = 0; i < p->script->n_setup; i++) {
		if (rig_do(p->rig, p->script->setup[i]) != 0) {
			fail(p, 0, "setting cannot be done", p->script->setup[i], NULL);
			return false;
		}
	}
	return true;
}

/* The session has ended: what is left up to the next one, or the end. */
static void check_end(struct play *p)
{
	const struct script *s = p->script;
	const struct step *last = p->at ? &s->steps[p->at - 1] : NULL;

	assert(s->steps && s->n_steps > 0);
	/* The server need not read all of the last segment. */
	p->pending.n = 0;
	if (p->eof && last && last->kind == STEP_CLOSED) {
		fail(p, last->line, "server did not close", S(""), NULL);
	}
	while (!p->failed && p->at < s->n_steps) {
		const struct step *st = &s->steps[p->at];

		one_step(p, st, true);
		if (st->kind == STEP_NEW) {
			return;
		}
	}
	if (!p->failed) {
		nothing_more(p, s->steps[s->n_steps - 1].line);
	}
}

static void play_session(struct play *p)
{
	const struct script *script = p->script;
	struct stream *s = &p->s;
	struct session *session;

	p->s = (struct stream){ .ops = &play_ops, .deadline = CLOCK_NEVER };
	p->eof = false;
	session = rig_session(p->rig, p->proto, script->tls, script->starttls, &script->peer, &s);
	co_enter();
	if (session_run(session) != SESSION_END) {
		fail(p, 0, "session did not end", S(""), NULL);
	}
	check_end(p);
	session_free(&session);
}

static bool play_once(const char *path, struct script *script, size_t step)
{
	struct play p = { .script = script, .path = path, .step = step, .proto = script->proto };

	buf_init(&p.out, OUTPUT_MAX);
	p.rig = rig_new();
	if (set_up(&p)) {
		play_session(&p);
	}
	while (!p.failed && p.at < script->n_steps) {
		assert(script->steps[p.at].kind == STEP_NEW);
		p.proto = script->steps[p.at++].proto;
		play_session(&p);
	}
	rig_free(&p.rig);
	buf_fini(&p.out);
	return !p.failed;
}

/* ---- coverage ----------------------------------------------------------- */

static const struct verb *verbs;
static size_t n_verbs;
static bool used[256];

static void note_word(struct slice word)
{
	const struct verb *v = verb_find(verbs, n_verbs, word);

	if (v) {
		used[v - verbs] = true;
	}
}

static void note_verbs(const struct script *s)
{
	for (size_t i = 0; verbs && i < s->n_steps; i++) {
		struct slice rest = s->steps[i].text;

		while (s->steps[i].kind == STEP_SEND && rest.p) {
			struct slice line = slice_split(&rest, '\n');

			line = slice_trim(line);
			if (s->proto == RIG_IMAP) {
				slice_split(&line, ' ');
				struct slice after = line;
				slice_split(&after, ' ');
				note_word(slice_split(&after, ' '));
			}
			note_word(slice_split(&line, ' '));
		}
	}
}

static unsigned check_verbs(void)
{
	unsigned missing = 0;

	for (size_t i = 0; i < n_verbs; i++) {
		if (!used[i]) {
			printf("FAIL no transcript uses %.*s\n", SLICE_ARG(verbs[i].name));
			missing++;
		}
	}
	return missing;
}

static void choose_verbs(const char *proto)
{
	struct slice name = slice_cstr(proto);

	if (slice_eq(name, S("smtp"))) {
		verbs = smtp_verbs(&n_verbs);
	} else if (slice_eq(name, S("pop3"))) {
		verbs = pop3_verbs(&n_verbs);
	} else if (slice_eq(name, S("imap"))) {
		verbs = imap_verbs(&n_verbs);
	} else {
		fprintf(stderr, "--verbs: smtp, pop3 or imap\n");
		exit(2);
	}
	assert(n_verbs <= ARRAY_LEN(used));
}

/* ---- files -------------------------------------------------------------- */

static unsigned passed, failed;
static bool verbose;

static void run_file(const char *path)
{
	struct script script;
	bool ok = script_read(path, &script) == 0;

	if (ok) {
		note_verbs(&script);
		ok = play_once(path, &script, 0) && (script.whole || play_once(path, &script, 1));
	}
	script_free(&script);
	passed += ok;
	failed += !ok;
	if (ok && verbose) {
		printf("ok   %s\n", path);
	}
}

static int is_script(const struct dirent *d)
{
	return slice_ends(slice_cstr(d->d_name), S(".txt"));
}

static void run_path(const char *path)
{
	struct dirent **names;
	struct stat st;
	int n;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	n = scandir(path, &names, is_script, alphasort);
	if (n < 0) {
		perror(path);
		exit(2);
	}
	for (int i = 0; i < n; i++) {
		_cleanup_(freep) char *file = NULL;

		if (asprintf(&file, "%s/%s", path, names[i]->d_name) < 0) {
			abort();
		}
		run_file(file);
		free(names[i]);
	}
	free(names);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct slice arg = slice_cstr(argv[i]);

		if (slice_eq(arg, S("-v"))) {
			verbose = true;
		} else if (slice_eq(arg, S("--verbs")) && i + 1 < argc) {
			choose_verbs(argv[++i]);
		} else {
			run_path(argv[i]);
		}
	}
	failed += check_verbs();
	printf("transcripts: %u passed, %u failed\n", passed, failed);
	return failed || !passed ? 1 : 0;
}
