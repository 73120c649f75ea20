/*
 * append_url: what CATENATE names by URL (RFC 4469 3), copied into the message
 * that is put together, octet for octet, without setting \Seen.
 *
 * Only relative URLs are ours. The base is the user's own server, and, when a
 * mailbox is selected, that mailbox: so ";UID=n" names a message in it, and a
 * name without "/" in front stands beside it. A message or mailbox that may
 * not be read is answered like one that is not there (THREATS IM-11).
 */
#include "imap/append.h"
#include "imap/octets.h"
#include "imap/target.h"
#include "imap/url.h"

/* NO [BADURL "url"]; what would not fit into a response code is %-encoded. */
static int bad_url(struct append *a, struct slice url)
{
	struct buf b = BUF_INIT(4 * IMAP_URL_MAX);

	for (size_t i = 0; i < url.n && i < IMAP_URL_MAX; i++) {
		unsigned char ch = (unsigned char)url.p[i];
		if (ch > 0x20 && ch < 0x7f && ch != '"' && ch != '\\' && ch != ']') {
			buf_addc(&b, (char)ch);
		} else {
			buf_printf(&b, "%%%02X", ch);
		}
	}
	imap_no(a->cmd, "[BADURL \"%.*s\"] No such message, or part of one", SLICE_ARG(b));
	buf_fini(&b);
	return APPEND_REFUSED;
}

/* The name that a URL has relative to the selected mailbox's (RFC 3986 5.2.3). */
static bool full_name(struct append *a, const struct imap_url *u, struct slice *out)
{
	struct imap *s = a->cmd->s;
	struct buf b = BUF_INIT(2 * IMAP_URL_MAX);
	bool ok;

	if (!u->rooted && s->lender) {
		return false; /* beside another's mailbox */
	}
	if (!u->rooted && s->mbox) {
		struct slice base = store_mailbox_name(s->mbox);
		size_t at = slice_rchr(base, '/');
		buf_add(&b, slice_sub(base, 0, at == SIZE_MAX ? 0 : at + 1));
	}
	buf_add(&b, u->mailbox);
	ok = !b.err && imap_mailbox_canon(&a->cmd->arena, buf_slice(&b), true, out);
	buf_fini(&b);
	return ok;
}

/* The mailbox that a URL names, if it is not the selected one. STORE_OK,
 * STORE_NOTFOUND, <0. */
CO_FN static int open_mailbox(struct append *a, const struct imap_url *u,
			      struct store_mailbox **out)
{
	struct slice name;

	/* Not while another's mailbox is selected on another loop. */
	if (!full_name(a, u, &name) || !a->cmd->s->account) {
		return STORE_NOTFOUND;
	}
	return store_mailbox_open(a->cmd->s->account, name, out, &a->e);
}

CO_FN static int put(void *arg, struct slice s)
{
	struct append *a = arg;

	append_put(a, s);
	return 0;
}

/* Copies a section. enum append_result, or OCTETS_*, STORE_* beyond it. */
CO_FN static int copy(struct append *a, struct octets *o, const struct imap_url *u, int *r)
{
	uint64_t want = u->count ? u->count : UINT64_MAX;
	uint64_t n = 0;

	*r = octets_measure(o, u->offset, u->partial ? want : UINT64_MAX, a->piece, &n, NULL);
	if (*r != 0) {
		return APPEND_REFUSED;
	}
	if (!append_admit(a, n)) {
		return APPEND_REFUSED;
	}
	a->copied += n;
	if (a->copied > APPEND_COPY_MAX) {
		imap_no(a->cmd, "[LIMIT] Too many octets are copied");
		return APPEND_REFUSED;
	}
	*r = octets_run(o, u->offset, n, a->piece, put, a);
	return *r == 0 ? append_verdict(a) : APPEND_REFUSED;
}

/* The section of an open mailbox's message. *r: a result of the store's. */
CO_FN static int copy_from(struct append *a, struct store_mailbox *m, const struct imap_url *u,
			   int *r)
{
	struct arena *arena = &a->cmd->arena;
	struct section sec = { .what = SECTION_ALL };
	struct cur c = cur_init(u->section);
	struct store_status st;
	struct mime_tree tree;
	struct octets o;
	uint64_t size;
	int done = APPEND_REFUSED;

	store_mailbox_get_status(m, &st);
	if (u->section.p) {
		section_parse_spec(&c, arena, &sec);
	}
	*r = STORE_NOTFOUND;
	if ((u->uidvalidity && u->uidvalidity != st.uidvalidity) || !cur_end(&c) ||
	    store_message_size(m, u->uid, &size) != STORE_OK) {
		return done;
	}
	*r = section_needs_tree(&sec) ? store_tree(m, u->uid, arena, &tree, &a->e) : STORE_OK;
	if (*r != STORE_OK) {
		return done;
	}
	*r = octets_open(&o, m, u->uid, size, &tree, &sec, false);
	if (*r == OCTETS_OK) {
		done = copy(a, &o, u, r);
	}
	octets_close(&o);
	return done;
}

CO_FN int append_url(struct append *a, struct slice text)
{
	struct store_mailbox *m = NULL;
	struct imap_url u;
	int done = APPEND_REFUSED;
	int r = imap_url_parse(text, &a->cmd->arena, &u);

	if (r != 0 || u.absolute || u.access != URL_NO_ACCESS) {
		return bad_url(a, text);
	}
	if (u.mailbox.p) {
		r = open_mailbox(a, &u, &m);
	} else {
		r = a->cmd->s->mbox && imap_may(a->cmd->s, STORE_RIGHT_READ) ? STORE_OK
									     : STORE_NOTFOUND;
	}
	if (r == STORE_OK) {
		done = copy_from(a, m ? m : a->cmd->s->mbox, &u, &r);
	}
	store_mailbox_close(&m);
	if (r > 0 || r == -ENOENT) {
		return bad_url(a, text);
	}
	return r < 0 ? append_no(a, r, &a->e) : done;
}
