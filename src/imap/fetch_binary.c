/*
 * fetch_binary: BINARY[section], BINARY.PEEK[section] and BINARY.SIZE[section]
 * (RFC 3516 4.2, RFC 9051 6.4.5): parts without their transfer encoding.
 *
 * A part is decoded twice: once to find its size, and whether a NUL makes it a
 * literal8, once to send it; memory is constant. BINARY.SIZE is the size that
 * BINARY has. What we cannot decode is NIL (or is left out, where NIL cannot
 * stand), and the command ends with NO [UNKNOWN-CTE]. Sections that have no
 * encoding (HEADER, TEXT, MIME) are taken too, and are what BODY gives; so are
 * ranges without an end, which clients of other servers are used to.
 */
#include "imap/fetch.h"
#include "imap/octets.h"
#include "imap/parse.h"

static void parse_binary(struct fetch *f, struct fetch_item *it)
{
	struct imap_cmd *cmd = f->cmd;
	struct buf label = BUF_INIT(2 * IMAP_COMMAND_MAX);
	bool size = slice_ieq(it->kind->name, S("BINARY.SIZE"));

	section_parse_open(&cmd->c, &cmd->arena, &it->sec);
	if (size && it->sec.partial) {
		cur_fail(&cmd->c, -EINVAL);
	}
	f->needs_tree |= section_needs_tree(&it->sec);
	/* What section_parse calls BODY[...] */
	buf_adds(&label, size ? "BINARY.SIZE" : "BINARY");
	buf_add(&label, slice_from(it->sec.label, 4));
	it->sec.label = arena_dup(&cmd->arena, buf_slice(&label));
	if (label.err || !it->sec.label.p) {
		cur_fail(&cmd->c, -ENOMEM);
	}
	buf_fini(&label);
}

/* Opens the section and measures it. True, or false with what stands for it:
 * *result_out. */
CO_FN static bool open_section(struct fetch *f, const struct fetch_item *it,
			       const struct fetch_msg *m, struct octets *o, uint64_t *n_out,
			       bool *nul_out, int *result_out)
{
	uint64_t off = it->sec.partial ? it->sec.off : 0;
	uint64_t count = it->sec.partial ? it->sec.count : UINT64_MAX;
	int r = -ENOENT;

	*o = (struct octets){ 0 };
	if (m->tree || !section_needs_tree(&it->sec)) {
		r = octets_open(o, f->cmd->s->mbox, m->m.uid, m->m.size, m->tree, &it->sec, true);
	}
	if (r == OCTETS_OK) {
		r = octets_measure(o, off, count, f->chunk, n_out, nul_out);
	}
	if (r != OCTETS_OK) {
		octets_close(o);
	}
	f->unknown_cte |= r == OCTETS_UNKNOWN_CTE;
	f->failed |= r < 0 && r != -ENOENT;
	*result_out = r < 0 ? BODY_GONE : BODY_OK;
	return r == OCTETS_OK;
}

CO_FN static int send_piece(void *arg, struct slice s)
{
	struct fetch *f = arg;
	struct conn *c = imap_conn(f->cmd->s);

	conn_write(c, s);
	return c->err;
}

CO_FN static int put_binary(struct fetch *f, const struct fetch_item *it, const struct fetch_msg *m)
{
	struct octets o;
	uint64_t n = 0;
	bool nul = false;
	int r;

	buf_add(&f->line, it->sec.label);
	if (!open_section(f, it, m, &o, &n, &nul, &r)) {
		buf_adds(&f->line, " NIL");
		return r;
	}
	if (n == 0) {
		buf_adds(&f->line, " \"\"");
	} else {
		buf_printf(&f->line, " %s{%llu}\r\n", nul ? "~" : "", (unsigned long long)n);
		fetch_flush(f);
		r = octets_run(&o, it->sec.partial ? it->sec.off : 0, n, f->chunk, send_piece, f);
	}
	octets_close(&o);
	return r;
}

CO_FN static int put_size(struct fetch *f, const struct fetch_item *it, const struct fetch_msg *m)
{
	struct octets o;
	uint64_t n = 0;
	bool nul;
	int r;

	if (open_section(f, it, m, &o, &n, &nul, &r)) {
		octets_close(&o);
		buf_add(&f->line, it->sec.label);
		buf_printf(&f->line, " %llu", (unsigned long long)n);
	} else {
		/* No number is right; but something must stand here. */
		buf_printf(&f->line, "UID %u", m->m.uid);
	}
	return r;
}

const struct fetch_kind fetch_binary = { S("BINARY"), FETCH_BRACKET | FETCH_SEEN, parse_binary,
					 put_binary };
const struct fetch_kind fetch_binary_peek = { S("BINARY.PEEK"), FETCH_BRACKET, parse_binary,
					      put_binary };
const struct fetch_kind fetch_binary_size = { S("BINARY.SIZE"), FETCH_BRACKET, parse_binary,
					      put_size };
