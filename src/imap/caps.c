/*
 * caps: what CAPABILITY announces and ENABLE switches on (RFC 3501 6.1.1,
 * RFC 5161).
 *
 * One row a name. A name stands here when all of it works in the states of
 * its row, and not before. What depends on the connection (STARTTLS, AUTH=,
 * LOGINDISABLED) is added behind the rows. Some clients break on an extension
 * that they half know: what an account or a client's name (ID) has hidden is
 * not told and not enabled, but works. Called by the session for its
 * greeting and by CAPABILITY, LOGIN and ENABLE.
 */
#include "imap/impl.h"
#include "imap/parse.h"

#define PRE IMAP_NOTAUTH
#define IN (IMAP_AUTHED | IMAP_SELECTED)
#define ANY (PRE | IN)

static const struct {
	struct slice name;
	unsigned states;
	unsigned enables; /* enum imap_enabled: what ENABLE of it switches on */
} caps[] = {
	/* One row a line, whatever clang-format thinks of it. */
	/* clang-format off */
	{ S("IMAP4rev1"), ANY, 0 },
	{ S("IMAP4rev2"), ANY, IMAP_EN_REV2 },
	{ S("SASL-IR"), PRE, 0 },
	{ S("LITERAL-"), PRE, 0 },
	{ S("LITERAL+"), IN, 0 },
	{ S("ID"), ANY, 0 },
	{ S("ENABLE"), ANY, 0 },
	{ S("COMPRESS=DEFLATE"), IN, 0 },
	{ S("UNAUTHENTICATE"), IN, 0 },
	{ S("INPROGRESS"), IN, 0 },
	{ S("IDLE"), IN, 0 },
	{ S("NAMESPACE"), IN, 0 },
	{ S("CHILDREN"), IN, 0 },
	{ S("SPECIAL-USE"), IN, 0 },
	{ S("UIDPLUS"), IN, 0 },
	{ S("MOVE"), IN, 0 },
	{ S("UNSELECT"), IN, 0 },
	{ S("ACL"), IN, 0 },
	{ S("RIGHTS=kxte"), IN, 0 },
	{ S("LIST-MYRIGHTS"), IN, 0 },
	{ S("LIST-EXTENDED"), IN, 0 },
	{ S("LIST-STATUS"), IN, 0 },
	{ S("CREATE-SPECIAL-USE"), IN, 0 },
	{ S("METADATA"), IN, 0 },
	{ S("LIST-METADATA"), IN, 0 },
	{ S("QUOTA"), IN, 0 },
	{ S("QUOTA=RES-STORAGE"), IN, 0 },
	{ S("QUOTA=RES-MESSAGE"), IN, 0 },
	{ S("STATUS=SIZE"), IN, 0 },
	{ S("NOTIFY"), IN, 0 },
	{ S("CONDSTORE"), IN, IMAP_EN_CONDSTORE },
	{ S("QRESYNC"), IN, IMAP_EN_QRESYNC },
	{ S("UIDONLY"), IN, IMAP_EN_UIDONLY },
	{ S("UTF8=ACCEPT"), IN, IMAP_EN_UTF8 },
	{ S("PREVIEW"), IN, 0 },
	{ S("SAVEDATE"), IN, 0 },
	{ S("OBJECTID"), IN, 0 },
	{ S("PARTIAL"), IN, 0 },
	{ S("ESEARCH"), IN, 0 },
	{ S("SEARCHRES"), IN, 0 },
	{ S("WITHIN"), IN, 0 },
	{ S("SORT"), IN, 0 },
	{ S("SORT=DISPLAY"), IN, 0 },
	{ S("ESORT"), IN, 0 },
	{ S("THREAD=ORDEREDSUBJECT"), IN, 0 },
	{ S("THREAD=REFERENCES"), IN, 0 },
	{ S("I18NLEVEL=1"), IN, 0 },
	{ S("SEARCH=FUZZY"), IN, 0 },
	{ S("CONTEXT=SEARCH"), IN, 0 },
	{ S("CONTEXT=SORT"), IN, 0 },
	{ S("MULTISEARCH"), IN, 0 },
	{ S("FILTERS"), IN, 0 },
	{ S("MULTIAPPEND"), IN, 0 },
	{ S("BINARY"), IN, 0 },
	{ S("CATENATE"), IN, 0 },
	{ S("URLAUTH"), IN, 0 },
	{ S("REPLACE"), IN, 0 },
	/* clang-format on */
};

/* ---- mercy: what is not told to some ------------------------------------------ */

static bool lists(const char *names, struct slice name)
{
	struct slice rest = slice_cstr(names);

	while (rest.n > 0) {
		if (slice_ieq(slice_split(&rest, ' '), name)) {
			return true;
		}
	}
	return false;
}

/* Does the pattern match all of the name? In time of their product. */
static bool matches(const char *pattern, const char *name)
{
	const char *star = NULL; /* the last one, */
	const char *from = name; /* and where what is behind it was tried */

	while (*name) {
		if (*pattern == '*') {
			star = pattern++;
			from = name;
		} else if (*pattern == '?' ||
			   (*pattern && ascii_lower((unsigned char)*pattern) ==
						ascii_lower((unsigned char)*name))) {
			pattern++;
			name++;
		} else if (star) {
			pattern = star + 1;
			name = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*') {
		pattern++;
	}
	return *pattern == '\0';
}

static bool hidden(const struct imap *s, struct slice name)
{
	const struct proto_env *env = s->base.env;

	for (size_t i = 0; s->client[0] && i < env->n_hide; i++) {
		if (lists(env->hide[i].names, name) && matches(env->hide[i].client, s->client)) {
			return true;
		}
	}
	return lists(s->id.hidden, name);
}

bool imap_has_hidden(const struct imap *s)
{
	for (size_t i = 0; s->client[0] && i < s->base.env->n_hide; i++) {
		if (matches(s->base.env->hide[i].client, s->client)) {
			return true;
		}
	}
	return false;
}

bool imap_can_hide(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
		if (slice_ieq(caps[i].name, name)) {
			return !slice_eq(caps[i].name, S("IMAP4rev1"));
		}
	}
	return slice_istarts(name, S("AUTH=")) && name.n > 5 && slice_chr(name, ' ') == SIZE_MAX;
}

/* ---- telling --------------------------------------------------------------------- */

/* Is this row of the table to be told now? */
static bool announced(const struct imap *s, size_t i)
{
	if (hidden(s, caps[i].name)) {
		return false;
	}
	if (slice_eq(caps[i].name, S("COMPRESS=DEFLATE")) && s->base.conn.compressed) {
		return false; /* RFC 4978 has no second time */
	}
	return caps[i].states & s->state;
}

/* " AUTH=X" for each mechanism. */
static void add_mechanisms(const struct imap *s, struct buf *out)
{
	struct buf names = BUF_INIT(256);
	struct slice rest;

	sasl_mechanisms(s->base.env->auth, conn_tls(&s->base.conn), &names);
	rest = buf_slice(&names);
	while (rest.n > 0) {
		size_t at = out->n;
		buf_adds(out, " AUTH=");
		buf_add(out, slice_split(&rest, ' '));
		if (!out->err && hidden(s, slice_from(buf_slice(out), at + 1))) {
			buf_truncate(out, at);
		}
	}
	buf_fini(&names);
}

void imap_capabilities(const struct imap *s, struct buf *out)
{
	size_t start = out->n;

	for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
		if (announced(s, i)) {
			if (out->n > start) {
				buf_addc(out, ' ');
			}
			buf_add(out, caps[i].name);
		}
	}
	if (s->state != IMAP_NOTAUTH) {
		/* RFC 7889 */
		buf_printf(out, " APPENDLIMIT=%llu", (unsigned long long)imap_append_max(s));
		return;
	}
	if (s->base.conn.tls && !s->base.conn.tls_active) {
		buf_adds(out, " STARTTLS");
	}
	if (imap_privacy(s)) {
		add_mechanisms(s, out);
	} else {
		buf_adds(out, " LOGINDISABLED");
	}
}

/* What a name given to ENABLE switches on; 0: nothing, or not ours. */
static unsigned enables(const struct imap *s, struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
		if (slice_ieq(caps[i].name, name) && !hidden(s, name)) {
			return caps[i].states & s->state ? caps[i].enables : 0;
		}
	}
	return 0;
}

/*
 * enable = "ENABLE" 1*(SP capability). Unknown names, and those that need no
 * enabling, are ignored (RFC 5161 3.1).
 */
CO_FN int imap_cmd_enable(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct buf line = BUF_INIT(1024);
	unsigned bits = 0;

	buf_adds(&line, "* ENABLED");
	do {
		cur_sp(&cmd->c);
		struct slice name = imap_parse_atom(&cmd->c);
		unsigned b = cmd->c.err ? 0 : enables(s, name);
		if (b & ~bits) {
			bits |= b;
			buf_addc(&line, ' ');
			buf_add(&line, name);
		}
	} while (!cur_done(&cmd->c));
	if (cmd->c.err) {
		imap_syntax(cmd);
	} else {
		buf_adds(&line, "\r\n");
		conn_write(imap_conn(s), buf_slice(&line));
		if (bits & (IMAP_EN_CONDSTORE | IMAP_EN_QRESYNC)) {
			imap_enable_condstore(s);
		}
		s->enabled |= bits;
		imap_ok(cmd, "Enabled");
	}
	buf_fini(&line);
	return 0;
}
