/*
 * err: what went wrong, for the human who reads the log.
 *
 * Functions return int: 0 done; <0 a negative errno, fatal to the caller,
 * forwarded unchanged; >0 an outcome named at the prototype. Calls into I/O
 * and the store also fill a struct err with a static text, a short detail
 * and the place. Parsers do not. Three classes never mix: the peer's fault
 * (a reply), temporary (4xx, NO), our bug (BUG aborts).
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <errno.h>

#include "base/slice.h"

#ifdef NDEBUG
#error "assert() is part of the program: do not build with NDEBUG"
#endif
#include <assert.h>

#define ERR_DETAIL_MAX 120

struct err {
	int code;		     /* negative errno or a positive outcome; 0 none */
	const char *text;	     /* static: what failed, in plain words */
	char detail[ERR_DETAIL_MAX]; /* path, address, strerror; escaped */
	const char *file;
	int line;
};

#define ERR_INIT ((struct err){ 0 })

/*
 * Fills *e (which may be NULL) and returns code. The detail is printf-style,
 * cut to fit, control bytes and 8-bit made '?'. fmt may be NULL.
 */
int err_set_at(struct err *e, int code, const char *file, int line, const char *text,
	       const char *fmt, ...) __attribute__((format(printf, 6, 7)));
#define err_set(e, code, text, ...) err_set_at((e), (code), __FILE__, __LINE__, (text), __VA_ARGS__)
/* "text: detail: strerror" in one line, NUL-terminated, into dst. */
const char *err_str(const struct err *e, char *dst, size_t cap);

/* Our own bug: says where and aborts. Never for peer, disk or memory. */
_Noreturn void bug_at(const char *file, int line, const char *what);
#define BUG(what) bug_at(__FILE__, __LINE__, (what))

/* Aborts with a clear line when memory is gone; for start-up code only. */
void *xmalloc(size_t n) __attribute__((malloc));
void *xcalloc(size_t n, size_t size) __attribute__((malloc));
char *xstrdup(const char *s) __attribute__((malloc));

/* _cleanup_(x_freep) struct x *v: calls x_freep(&v) at the end of scope. */
#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define TAKE_PTR(ptr)                          \
	({                                     \
		__typeof__(ptr) take_ = (ptr); \
		(ptr) = NULL;                  \
		take_;                         \
	})
void freep(void *pp);	    /* for _cleanup_: free(*(void **)pp) */
void closep(const int *fd); /* for _cleanup_: close if >= 0 */

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
