/*
 * err: carrying what went wrong up to whoever logs it, and dying when the
 * fault is ours. The detail is made safe to print here, once, so that no
 * caller has to think of it (THREATS RS-06).
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int err_set_at(struct err *e, int code, const char *file, int line, const char *text,
	       const char *fmt, ...)
{
	va_list ap;

	if (!e) {
		return code;
	}
	e->code = code;
	e->text = text;
	e->file = file;
	e->line = line;
	e->detail[0] = '\0';
	if (!fmt) {
		return code;
	}
	va_start(ap, fmt);
	vsnprintf(e->detail, sizeof(e->detail), fmt, ap);
	va_end(ap);
	for (char *p = e->detail; *p; p++) {
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e) {
			*p = '?';
		}
	}
	return code;
}

const char *err_str(const struct err *e, char *dst, size_t cap)
{
	const char *why = e->code < 0 ? strerrordesc_np(-e->code) : NULL;
	const char *text = e->text ? e->text : "no error";

	assert(cap > 0);
	if (e->code < 0 && !why) {
		why = "unknown error";
	}
	snprintf(dst, cap, "%s%s%s%s%s", text, e->detail[0] ? ": " : "", e->detail, why ? ": " : "",
		 why ? why : "");
	return dst;
}

_Noreturn void bug_at(const char *file, int line, const char *what)
{
	fprintf(stderr, "postrider: bug at %s:%d: %s\n", file, line, what);
	abort();
}

static void *need(void *p, size_t n)
{
	if (!p) {
		fprintf(stderr, "postrider: out of memory (%zu bytes wanted)\n", n);
		abort();
	}
	return p;
}

void *xmalloc(size_t n)
{
	return need(malloc(n ? n : 1), n);
}

void *xcalloc(size_t n, size_t size)
{
	return need(calloc(n ? n : 1, size ? size : 1), n);
}

char *xstrdup(const char *s)
{
	return need(strdup(s), strlen(s) + 1);
}

void freep(void *pp)
{
	void *p;

	memcpy(&p, pp, sizeof(p));
	free(p);
}

void closep(const int *fd)
{
	if (*fd >= 0) {
		close(*fd);
	}
}
