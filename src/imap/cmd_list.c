/*
 * cmd_list: LIST and LSUB (RFC 3501 6.3.8, 6.3.9), with the attributes of
 * CHILDREN (RFC 3348) and SPECIAL-USE (RFC 6154) in plain LIST.
 */
#include "base/table.h"
#include "base/utf8.h"
#include "imap/impl.h"
#include "imap/parse.h"
#include "imap/pattern.h"
#include "imap/write.h"
#include "mime/charset.h"

static void add_attribute(struct buf *b, const char *name)
{
	if (b->p[b->n - 1] != '(') {
		buf_addc(b, ' ');
	}
	buf_adds(b, name);
}

static void put_attributes(struct buf *b, const struct store_mailbox_info *m)
{
	static const struct {
		unsigned use;
		const char *name;
	} uses[] = {
		{ STORE_USE_ALL, "\\All" },	  { STORE_USE_ARCHIVE, "\\Archive" },
		{ STORE_USE_DRAFTS, "\\Drafts" }, { STORE_USE_FLAGGED, "\\Flagged" },
		{ STORE_USE_JUNK, "\\Junk" },	  { STORE_USE_SENT, "\\Sent" },
		{ STORE_USE_TRASH, "\\Trash" },
	};

	if (m->noselect) {
		add_attribute(b, "\\Noselect");
	}
	add_attribute(b, m->has_children ? "\\HasChildren" : "\\HasNoChildren");
	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		if (m->uses & uses[i].use) {
			add_attribute(b, uses[i].name);
		}
	}
}

/* One line. m NULL: a level of LSUB that is not subscribed itself. */
CO_FN static void put_line(struct imap *s, const char *verb, struct slice name,
			   const struct store_mailbox_info *m, bool attributes)
{
	struct buf line = BUF_INIT(IMAP_LINE_MAX);

	buf_printf(&line, "* %s (", verb);
	if (!m) {
		buf_adds(&line, "\\Noselect");
	} else if (attributes) {
		put_attributes(&line, m);
	}
	buf_adds(&line, ") \"/\" ");
	imap_put_mailbox(&line, name, imap_utf8(s));
	buf_adds(&line, "\r\n");
	conn_write(imap_conn(s), buf_slice(&line));
	buf_fini(&line);
}

static bool matches(const struct pattern *p, struct slice name)
{
	return pattern_match(p, name, slice_eq(name, S("INBOX")));
}

/*
 * LSUB with "%": a name that is subscribed further down makes the level that
 * matches appear, as \Noselect (6.3.9). seen holds what was said already.
 */
CO_FN static void lsub_levels(struct imap *s, const struct pattern *p, struct slice name,
			      struct table *seen)
{
	for (size_t i = 0; i < name.n; i++) {
		struct slice level = slice_sub(name, 0, i);
		if (name.p[i] != '/' || table_get(seen, level) || !matches(p, level)) {
			continue;
		}
		if (table_put(seen, level, s, NULL) == 0) {
			put_line(s, "LSUB", level, NULL, false);
		}
	}
}

CO_FN static void lsub(struct imap *s, const struct pattern *p, const struct store_mailbox_info *m,
		       size_t n)
{
	struct table seen;

	table_init(&seen);
	for (size_t i = 0; i < n; i++) {
		if (m[i].subscribed && matches(p, m[i].name)) {
			put_line(s, "LSUB", m[i].name, &m[i], false);
			table_put(&seen, m[i].name, s, NULL);
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (m[i].subscribed && !matches(p, m[i].name)) {
			lsub_levels(s, p, m[i].name, &seen);
		}
	}
	table_fini(&seen);
}

/* The pattern in the store's terms: UTF-8 in NFC. False: matches nothing. */
static int compile(struct imap_cmd *cmd, struct slice ref, struct slice pat, struct pattern *out)
{
	struct buf raw = BUF_INIT(IMAP_COMMAND_MAX);
	struct buf utf8 = BUF_INIT(2 * IMAP_COMMAND_MAX);
	struct buf nfc = BUF_INIT(4 * IMAP_COMMAND_MAX);
	int r = 0;
	bool ok;

	buf_add(&raw, ref);
	buf_add(&raw, pat);
	*out = (struct pattern){ .never = true };
	/* Longer than any name in its longest spelling: do not even decode. */
	ok = !raw.err && raw.n <= IMAP_LITERAL_MAX;
	if (ok && imap_utf8(cmd->s)) {
		buf_add(&utf8, buf_slice(&raw));
	} else if (ok) {
		ok = mutf7_to_utf8(buf_slice(&raw), &utf8) == 0;
	}
	if (ok && utf8_nfc(&nfc, buf_slice(&utf8)) == 0) {
		r = pattern_compile(&cmd->arena, buf_slice(&nfc), out);
	}
	buf_fini(&raw);
	buf_fini(&utf8);
	buf_fini(&nfc);
	return r;
}

/* LIST "" "": what separates levels, and the root of the reference. */
CO_FN static int list_root(struct imap *s, struct imap_cmd *cmd, const char *verb)
{
	conn_printf(imap_conn(s), "* %s (\\Noselect) \"/\" \"\"\r\n", verb);
	return imap_ok(cmd, "Listed");
}

/* list = "LIST" SP mailbox SP list-mailbox */
CO_FN static int list(struct imap *s, struct imap_cmd *cmd, bool subscribed)
{
	struct store_mailbox_info *m;
	struct err e = ERR_INIT;
	struct pattern p;
	struct slice ref;
	struct slice pat;
	size_t n = 0;
	int r;

	cur_sp(&cmd->c);
	ref = imap_parse_astring(&cmd->c, &cmd->arena);
	cur_sp(&cmd->c);
	pat = imap_parse_list_mailbox(&cmd->c, &cmd->arena);
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (pat.n == 0) {
		return list_root(s, cmd, subscribed ? "LSUB" : "LIST");
	}
	r = compile(cmd, ref, pat, &p);
	if (r == 0) {
		r = store_mailbox_list(s->account, &cmd->arena, &m, &n, &e);
	}
	if (r != 0) {
		return imap_store_no(cmd, r, &e);
	}
	if (subscribed) {
		lsub(s, &p, m, n);
		return imap_ok(cmd, "Listed");
	}
	for (size_t i = 0; i < n; i++) {
		/* Not there and nothing below: only a subscription. */
		if ((m[i].exists || m[i].has_children) && matches(&p, m[i].name)) {
			put_line(s, "LIST", m[i].name, &m[i], true);
		}
	}
	return imap_ok(cmd, "Listed");
}

CO_FN int imap_cmd_list(void *session, void *command)
{
	return list(session, command, false);
}

CO_FN int imap_cmd_lsub(void *session, void *command)
{
	return list(session, command, true);
}
