/* Reading messages and other files for `postrider trust`: see trust.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/trust.h"

#define PIECE 65536

static int read_all(int fd, struct buf *out)
{
	ssize_t n;

	do {
		char *p = buf_reserve(out, PIECE);

		if (!p) {
			return out->err;
		}
		n = read(fd, p, PIECE);
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		buf_commit(out, n > 0 ? (size_t)n : 0);
	} while (n != 0);
	return 0;
}

int trust_read(const struct cli *c, const char *path, size_t max, struct buf *out)
{
	bool in = !path || strcmp(path, "-") == 0;
	_cleanup_(closep) int fd = in ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	int r;

	if (!in && fd < 0) {
		return cli_fail(c, "%s: %s", path, strerror(errno));
	}
	buf_init(out, max + PIECE);
	r = read_all(in ? STDIN_FILENO : fd, out);
	if (r == 0 && out->n > max) {
		r = -EMSGSIZE;
	}
	if (r < 0) {
		buf_fini(out);
		return cli_fail(c, "%s: %s", in ? "standard input" : path,
				r == -EMSGSIZE ? "too big" : strerror(-r));
	}
	return CLI_DONE;
}

/* LF alone becomes CRLF. */
static int make_crlf(const struct buf *in, struct buf *out, bool *lf)
{
	struct slice rest = buf_slice(in);

	*lf = false;
	buf_init(out, 2 * (size_t)TRUST_MESSAGE_MAX);
	while (rest.n) {
		size_t at = slice_chr(rest, '\n');
		struct slice line = slice_sub(rest, 0, at);

		buf_add(out, line);
		if (at != SIZE_MAX) {
			bool bare = !slice_ends(line, S("\r"));

			*lf = *lf || bare;
			buf_add(out, bare ? S("\r\n") : S("\n"));
			at++;
		}
		rest = slice_from(rest, at);
	}
	return out->err;
}

static size_t find_body(struct slice s)
{
	size_t at;

	if (slice_starts(s, S("\r\n"))) {
		return 2;
	}
	at = slice_find(s, S("\r\n\r\n"));
	return at == SIZE_MAX ? s.n : at + 4;
}

int trust_read_message(const struct cli *c, const char *path, struct buf *out, size_t *body_at,
		       bool *lf)
{
	struct buf raw;
	bool bare;
	int r = trust_read(c, path, TRUST_MESSAGE_MAX, &raw);

	if (r != CLI_DONE) {
		return r;
	}
	r = make_crlf(&raw, out, lf ? lf : &bare);
	buf_fini(&raw);
	if (r < 0) {
		buf_fini(out);
		return cli_fail(c, "%s", strerror(-r));
	}
	*body_at = find_body(buf_slice(out));
	return CLI_DONE;
}
