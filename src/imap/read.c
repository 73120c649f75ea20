/*
 * read: takes one command off the connection: its line, and whatever literals
 * it announces (RFC 3501 4.3, RFC 7888).
 *
 * Framing comes before meaning: a line that ends in "{n}" or "{n+}" has a
 * literal behind it whatever else it holds, so that no octet of a literal is
 * ever taken for a command. Limits are checked before anything is read or
 * allocated (THREATS IM-01..IM-04). A refused literal that the client sends
 * anyway ("+") is read and dropped; one too long for that ends the session. A
 * refused literal that waits for our "+" is answered with the tagged reply:
 * the client then does not send it. Messages of APPEND and REPLACE are left to
 * the handlers, which stream them.
 */
#include <string.h>

#include "base/utf8.h"
#include "imap/impl.h"
#include "imap/parse.h"

#define CMD_TEXT_MAX (IMAP_COMMAND_MAX + IMAP_LINE_MAX)

void imap_cmd_init(struct imap_cmd *cmd, struct imap *s)
{
	*cmd = (struct imap_cmd){ .s = s, .secret = s->state == IMAP_NOTAUTH };
	arena_init(&cmd->arena, IMAP_ARENA_MAX);
	buf_init(&cmd->text, CMD_TEXT_MAX);
	buf_init(&cmd->reply, IMAP_REPLY_MAX);
}

void imap_cmd_fini(struct imap_cmd *cmd)
{
	if (cmd->text.p && cmd->secret) {
		explicit_bzero(cmd->text.p, cmd->text.cap);
	}
	buf_fini(&cmd->text);
	buf_fini(&cmd->reply);
	arena_fini(&cmd->arena);
}

CO_FN int imap_drain(struct imap *s, uint64_t n)
{
	char scrap[1024];

	while (n > 0) {
		ssize_t r = conn_read_raw(imap_conn(s), scrap, MIN(n, sizeof(scrap)));
		if (r <= 0) {
			return r == 0 ? -ENOTCONN : (int)r;
		}
		n -= (uint64_t)r;
	}
	return 0;
}

/* One line, added to the text. 1: there; 0: refused; <0: the end. */
CO_FN static int read_line(struct imap_cmd *cmd, struct slice *line)
{
	struct imap *s = cmd->s;
	size_t max = s->state == IMAP_NOTAUTH ? IMAP_LINE_PRE : IMAP_LINE_MAX;

	int r = conn_read_line(imap_conn(s), max, line);

	switch (r) {
	case CONN_LINE:
		return 1;
	case CONN_EOF:
		return -ENOTCONN;
	case CONN_TOOLONG:
		imap_bye(s, "[TOOBIG] Command line is too long");
		return -EMSGSIZE;
	case CONN_BADLINE:
		imap_bad(cmd, "Bare CR, bare LF or NUL in a command");
		return 0;
	default:
		return r < 0 ? r : -EPROTO;
	}
}

/* Web browsers and others that speak to the wrong port (THREATS SM-08). */
static bool is_http(struct slice line)
{
	return slice_find(line, S(" HTTP/1.")) != SIZE_MAX || slice_ends(line, S(" HTTP/2.0"));
}

/*
 * Tag and verb of the first line. True if the command may go on; false with
 * the reply set. Slices are remade once the text is complete.
 */
CO_FN static bool parse_head(struct imap_cmd *cmd, struct slice line)
{
	struct cur c = cur_init(line);
	struct slice tag = imap_parse_tag(&c, IMAP_TAG_MAX);
	struct slice name;

	if (c.err || (!cur_sp(&c) && c.err)) {
		return imap_bad(cmd, "A command begins with a tag");
	}
	cmd->tag = arena_dup(&cmd->arena, tag);
	name = imap_parse_atom(&c);
	if (cmd->s->state == IMAP_NOTAUTH && is_http(line)) {
		cmd->tag = slice_make(NULL, 0);
		imap_bye(cmd->s, "This is an IMAP server");
		return imap_bad(cmd, "Not IMAP");
	}
	if (c.err) {
		return imap_bad(cmd, "Command is missing");
	}
	cmd->verb = imap_verb_for(cmd, name);
	return cmd->verb != NULL;
}

/* Is the literal behind this text for APPEND or REPLACE to stream? All are
 * that come behind the mailbox's name, which may be a literal itself. */
static bool is_message(const struct imap_cmd *cmd)
{
	struct cur c = cur_init(buf_slice(&cmd->text));
	struct slice name;

	imap_parse_tag(&c, IMAP_TAG_MAX);
	cur_sp(&c);
	name = imap_parse_atom(&c);
	cur_sp(&c);
	if (cmd->verb->run == imap_cmd_uid) {
		name = imap_parse_atom(&c);
		cur_sp(&c);
	}
	if (slice_ieq(name, S("REPLACE")) && (cmd->s->state & IMAP_SELECTED)) {
		if (!cur_opt(&c, '*')) {
			imap_parse_atom(&c);
		}
		cur_sp(&c);
	} else if (cmd->verb->run != imap_cmd_append) {
		return false;
	}
	return cur_peek(&c) != '{' || slice_chr(cur_rest(&c), '\n') != SIZE_MAX;
}

static bool literal_fits(const struct imap_cmd *cmd, uint64_t n, unsigned count)
{
	uint64_t max = cmd->s->state == IMAP_NOTAUTH ? IMAP_LITERAL_PRE : IMAP_LITERAL_MAX;

	return n <= max && count < IMAP_LITERALS_MAX && cmd->text.n + n <= IMAP_COMMAND_MAX;
}

/* A literal that is not wanted. 1: dropped, the command goes on; 0: refused,
 * and the client knows; <0: the end. */
CO_FN static int refuse_literal(struct imap_cmd *cmd, uint64_t n, bool sync)
{
	struct imap *s = cmd->s;

	if (cmd->reply.n == 0 && cmd->verb && cmd->verb->run == imap_cmd_setmetadata) {
		imap_metadata_too_long(cmd); /* RFC 5464 4.3 */
	} else if (cmd->reply.n == 0) {
		imap_bad(cmd, "[TOOBIG] Literal is too large");
	}
	if (sync) {
		/* A client that does not wait would have its octets run. */
		if (s->state == IMAP_NOTAUTH || conn_has_input(imap_conn(s))) {
			imap_send_reply(cmd);
			imap_bye(s, "Literal refused");
			return -EMSGSIZE;
		}
		return 0;
	}
	if (n > IMAP_DRAIN_MAX) {
		imap_bye(s, "[TOOBIG] Literal is too large");
		return -EMSGSIZE;
	}
	int r = imap_drain(s, n);
	return r < 0 ? r : 1;
}

CO_FN static int take_literal(struct imap_cmd *cmd, uint64_t n, bool sync)
{
	struct conn *c = imap_conn(cmd->s);
	size_t have = 0;

	if (sync) {
		conn_write(c, S("+ OK\r\n"));
	}
	buf_add(&cmd->text, S("\r\n"));
	while (have < n) {
		size_t want = MIN(n - have, IMAP_CHUNK);
		char *p = buf_reserve(&cmd->text, want);
		ssize_t r = p ? conn_read_raw(c, p, want) : -ENOMEM;
		if (r <= 0) {
			return r == 0 ? -ENOTCONN : (int)r;
		}
		buf_commit(&cmd->text, (size_t)r);
		have += (size_t)r;
	}
	return 1;
}

/* One line's literal. 1: go on reading; 0: the command is complete or
 * refused; <0: the end. */
CO_FN static int line_literal(struct imap_cmd *cmd, struct slice line, bool ok, unsigned *count)
{
	uint64_t n = 0;
	bool sync = true;
	int r = imap_parse_literal_tail(line, &n, &sync);

	if (r == 0) {
		return 0;
	}
	if (r < 0) {
		n = UINT64_MAX;
		ok = false;
	}
	if (ok && is_message(cmd)) {
		cmd->literal = true;
		cmd->literal_size = n;
		cmd->literal_sync = sync;
		return 0;
	}
	if (ok && literal_fits(cmd, n, *count)) {
		(*count)++;
		return take_literal(cmd, n, sync);
	}
	return refuse_literal(cmd, n, sync);
}

/* The cursor behind the verb of a complete text. */
static void begin_arguments(struct imap_cmd *cmd)
{
	cmd->c = cur_init(buf_slice(&cmd->text));
	imap_parse_tag(&cmd->c, IMAP_TAG_MAX);
	cur_sp(&cmd->c);
	imap_parse_atom(&cmd->c);
}

CO_FN int imap_cmd_reread(struct imap_cmd *cmd, struct buf *text)
{
	cmd->text = *text;
	buf_init(text, CMD_TEXT_MAX);
	cmd->again = true;
	if (!parse_head(cmd, buf_slice(&cmd->text)) || !cmd->verb) {
		return 0;
	}
	begin_arguments(cmd);
	return 1;
}

CO_FN int imap_cmd_read(struct imap_cmd *cmd)
{
	unsigned literals = 0;
	bool ok = true;

	for (bool first = true;; first = false) {
		struct slice line;
		int r = read_line(cmd, &line);
		if (r <= 0) {
			return r;
		}
		if (first) {
			ok = parse_head(cmd, line);
		}
		if (ok && imap_utf8(cmd->s) && !utf8_valid(line)) {
			imap_bad(cmd, "Not UTF-8"); /* RFC 6855 3 */
			ok = false;
		}
		if (ok && cmd->text.n + line.n > IMAP_COMMAND_MAX) {
			imap_bad(cmd, "[TOOBIG] Command is too long");
			ok = false;
		}
		if (ok) {
			buf_add(&cmd->text, line);
		}
		r = line_literal(cmd, line, ok, &literals);
		if (r < 0) {
			return r;
		}
		ok = ok && cmd->reply.n == 0;
		if (r == 0) {
			break;
		}
	}
	if (!ok || cmd->text.err) {
		if (ok) {
			imap_no(cmd, "[LIMIT] Out of memory");
		}
		return 0;
	}
	begin_arguments(cmd);
	return 1;
}
