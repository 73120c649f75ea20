/*
 * write: IMAP's strings and structures; see write.h. RFC 3501 7.4.2 and 9.
 *
 * BODYSTRUCTURE walks the part tree by its parent links, without recursion:
 * a part is opened on the way down and closed on the way up.
 */
#include "imap/write.h"

#include "base/err.h"
#include "mime/charset.h"

#define QUOTED_MAX 1000 /* longer strings go as literals */

static bool quotable(struct slice s)
{
	return s.n <= QUOTED_MAX && slice_is_printable(s);
}

static void put_quoted(struct buf *b, struct slice s)
{
	buf_addc(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\') {
			buf_addc(b, '\\');
		}
		buf_addc(b, s.p[i]);
	}
	buf_addc(b, '"');
}

static void put_literal(struct buf *b, struct slice s)
{
	char *p;

	buf_printf(b, "{%zu}\r\n", s.n);
	p = buf_reserve(b, s.n);
	if (!p) {
		return;
	}
	for (size_t i = 0; i < s.n; i++) {
		p[i] = s.p[i] ? s.p[i] : ' ';
	}
	buf_commit(b, s.n);
}

void imap_put_string(struct buf *b, struct slice s)
{
	if (quotable(s)) {
		put_quoted(b, s);
	} else {
		put_literal(b, s);
	}
}

void imap_put_nstring(struct buf *b, struct slice s)
{
	if (!s.p) {
		buf_add(b, S("NIL"));
	} else {
		imap_put_string(b, s);
	}
}

static bool is_atom(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c <= 0x20 || c >= 0x7f || strchr("(){%*\"\\]", c)) {
			return false;
		}
	}
	return s.n > 0 && !slice_ieq(s, S("NIL"));
}

void imap_put_astring(struct buf *b, struct slice s)
{
	if (is_atom(s) && s.n <= QUOTED_MAX) {
		buf_add(b, s);
	} else {
		imap_put_string(b, s);
	}
}

void imap_put_mailbox(struct buf *b, struct slice name, bool utf8)
{
	struct buf text = BUF_INIT(12 * STORE_NAME_MAX);

	if (utf8) {
		if (slice_has_8bit(name)) {
			put_quoted(b, name); /* the store's names hold no controls */
		} else {
			imap_put_astring(b, name);
		}
		return;
	}
	if (mutf7_from_utf8(name, &text) < 0) {
		/* Names come from the store, which keeps none like this. */
		buf_reset(&text);
	}
	imap_put_astring(b, buf_slice(&text));
	buf_fini(&text);
}

/* ---- flags and dates ------------------------------------------------------ */

static void put_word(struct buf *b, bool *first, struct slice w)
{
	if (!*first) {
		buf_addc(b, ' ');
	}
	*first = false;
	buf_add(b, w);
}

void imap_put_flags(struct buf *b, struct store_flags f, const struct slice *names, size_t n,
		    bool recent)
{
	static const struct {
		uint32_t bit;
		struct slice name;
	} system[] = {
		{ STORE_ANSWERED, S("\\Answered") }, { STORE_FLAGGED, S("\\Flagged") },
		{ STORE_DELETED, S("\\Deleted") },   { STORE_SEEN, S("\\Seen") },
		{ STORE_DRAFT, S("\\Draft") },
	};
	bool first = true;

	buf_addc(b, '(');
	for (size_t i = 0; i < ARRAY_LEN(system); i++) {
		if (f.system & system[i].bit) {
			put_word(b, &first, system[i].name);
		}
	}
	if (recent) {
		put_word(b, &first, S("\\Recent"));
	}
	for (size_t i = 0; i < n && i < 64; i++) {
		if (f.keywords >> i & 1) {
			put_word(b, &first, names[i]);
		}
	}
	buf_addc(b, ')');
}

/* The Gregorian date of a day number (days since 1970-01-01). */
static void civil(int64_t days, int64_t *y, int *m, int *d)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*d = (int)(doy - (153 * mp + 2) / 5 + 1);
	*m = (int)(mp < 10 ? mp + 3 : mp - 9);
	*y = yoe + era * 400 + (*m <= 2);
}

void imap_put_date(struct buf *b, int64_t unix_seconds, int zone)
{
	static const char month[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	/* Years 0 to 9999 have four digits; the store may hold any number. */
	const int64_t lo = INT64_C(-62167219200) + 86400 * 2;
	const int64_t hi = INT64_C(253402300799) - 86400 * 2;
	int64_t t = MIN(MAX(unix_seconds, lo), hi);
	int z = zone > -1440 && zone < 1440 ? zone : 0;
	int64_t local = t + z * INT64_C(60);
	int64_t days = local >= 0 ? local / 86400 : -((86399 - local) / 86400);
	int s = (int)(local - days * 86400);
	int64_t y;
	int m;
	int d;

	civil(days, &y, &m, &d);
	buf_printf(b, "\"%2d-%s-%04d %02d:%02d:%02d %c%02d%02d\"", d, month[m - 1], (int)y,
		   s / 3600, s / 60 % 60, s % 60, z < 0 ? '-' : '+', (z < 0 ? -z : z) / 60,
		   (z < 0 ? -z : z) % 60);
}

/* ---- ENVELOPE -------------------------------------------------------------- */

static void put_addresses(struct buf *b, const struct mime_addr *a)
{
	if (!a) {
		buf_add(b, S("NIL"));
		return;
	}
	buf_addc(b, '(');
	for (; a; a = a->next) {
		buf_addc(b, '(');
		imap_put_nstring(b, a->name);
		buf_addc(b, ' ');
		imap_put_nstring(b, a->route);
		buf_addc(b, ' ');
		imap_put_nstring(b, a->mailbox);
		buf_addc(b, ' ');
		imap_put_nstring(b, a->host);
		buf_addc(b, ')');
	}
	buf_addc(b, ')');
}

void imap_put_envelope(struct buf *b, const struct mime_envelope *e)
{
	static const struct mime_envelope none;

	e = e ? e : &none;
	buf_addc(b, '(');
	imap_put_nstring(b, e->date);
	buf_addc(b, ' ');
	imap_put_nstring(b, e->subject);
	buf_addc(b, ' ');
	put_addresses(b, e->from);
	buf_addc(b, ' ');
	/* An absent Sender or Reply-To is the From (RFC 3501 7.4.2). */
	put_addresses(b, e->sender ? e->sender : e->from);
	buf_addc(b, ' ');
	put_addresses(b, e->reply_to ? e->reply_to : e->from);
	buf_addc(b, ' ');
	put_addresses(b, e->to);
	buf_addc(b, ' ');
	put_addresses(b, e->cc);
	buf_addc(b, ' ');
	put_addresses(b, e->bcc);
	buf_addc(b, ' ');
	imap_put_nstring(b, e->in_reply_to);
	buf_addc(b, ' ');
	imap_put_nstring(b, e->message_id);
	buf_addc(b, ')');
}

/* ---- BODYSTRUCTURE --------------------------------------------------------- */

static void put_params(struct buf *b, const struct mime_param *p)
{
	if (!p) {
		buf_add(b, S("NIL"));
		return;
	}
	buf_addc(b, '(');
	for (; p; p = p->next) {
		imap_put_string(b, p->name);
		buf_addc(b, ' ');
		imap_put_string(b, p->value);
		if (p->next) {
			buf_addc(b, ' ');
		}
	}
	buf_addc(b, ')');
}

/* disposition SP languages SP location */
static void put_extension(struct buf *b, const struct mime_part *p)
{
	if (p->disposition.p) {
		buf_addc(b, '(');
		imap_put_string(b, p->disposition);
		buf_addc(b, ' ');
		put_params(b, p->disposition_params);
		buf_addc(b, ')');
	} else {
		buf_add(b, S("NIL"));
	}
	buf_addc(b, ' ');
	if (p->n_languages == 0) {
		buf_add(b, S("NIL"));
	} else {
		buf_addc(b, '(');
		for (size_t i = 0; i < p->n_languages; i++) {
			if (i > 0) {
				buf_addc(b, ' ');
			}
			imap_put_string(b, p->languages[i]);
		}
		buf_addc(b, ')');
	}
	buf_addc(b, ' ');
	imap_put_nstring(b, p->location);
}

/* params SP id SP description SP encoding SP octets */
static void put_fields(struct buf *b, const struct mime_part *p)
{
	put_params(b, p->params);
	buf_addc(b, ' ');
	imap_put_nstring(b, p->id);
	buf_addc(b, ' ');
	imap_put_nstring(b, p->description);
	buf_addc(b, ' ');
	imap_put_string(b, p->encoding.n ? p->encoding : S("7bit"));
	buf_printf(b, " %llu", (unsigned long long)p->body_len);
}

/*
 * A leaf. One that says it is a message or a multipart, but was not taken
 * apart (a limit, or damage), would promise data that is not there: it is
 * shown as opaque bytes.
 */
static void put_leaf(struct buf *b, const struct mime_part *p, bool ext)
{
	bool opaque = slice_ieq(p->type, S("multipart")) ||
		      (slice_ieq(p->type, S("message")) &&
		       (slice_ieq(p->subtype, S("rfc822")) || slice_ieq(p->subtype, S("global"))));

	buf_addc(b, '(');
	imap_put_string(b, opaque ? S("application") : p->type);
	buf_addc(b, ' ');
	imap_put_string(b, opaque ? S("octet-stream") : p->subtype);
	buf_addc(b, ' ');
	put_fields(b, p);
	if (!opaque && slice_ieq(p->type, S("text"))) {
		buf_printf(b, " %u", p->body_lines);
	}
	if (ext) {
		buf_addc(b, ' ');
		imap_put_nstring(b, p->md5);
		buf_addc(b, ' ');
		put_extension(b, p);
	}
	buf_addc(b, ')');
}

/* What stands before the parts inside. */
static void open_part(struct buf *b, const struct mime_part *p)
{
	buf_addc(b, '(');
	if (p->kind == MIME_MESSAGE) {
		imap_put_string(b, p->type);
		buf_addc(b, ' ');
		imap_put_string(b, p->subtype);
		buf_addc(b, ' ');
		put_fields(b, p);
		buf_addc(b, ' ');
		imap_put_envelope(b, p->children->envelope);
		buf_addc(b, ' ');
	}
}

/* What stands behind them. */
static void close_part(struct buf *b, const struct mime_part *p, bool ext)
{
	buf_addc(b, ' ');
	if (p->kind == MIME_MESSAGE) {
		buf_printf(b, "%u", p->body_lines);
		if (ext) {
			buf_addc(b, ' ');
			imap_put_nstring(b, p->md5);
		}
	} else {
		imap_put_string(b, p->subtype);
		if (ext) {
			buf_addc(b, ' ');
			put_params(b, p->params);
		}
	}
	if (ext) {
		buf_addc(b, ' ');
		put_extension(b, p);
	}
	buf_addc(b, ')');
}

/* A multipart needs at least one part (RFC 3501 "body-type-mpart"). */
static void put_empty_multipart(struct buf *b, const struct mime_part *p, bool ext)
{
	buf_add(b, S("((\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0"));
	buf_add(b, ext ? S(" NIL NIL NIL NIL)") : S(")"));
	close_part(b, p, ext);
}

void imap_put_body(struct buf *b, const struct mime_part *root, bool ext)
{
	const struct mime_part *p = root;

	for (;;) {
		if (p->kind != MIME_LEAF && p->children) {
			open_part(b, p);
			p = p->children;
			continue;
		}
		if (p->kind == MIME_MULTIPART) {
			put_empty_multipart(b, p, ext);
		} else {
			put_leaf(b, p, ext);
		}
		while (p != root && !p->next) {
			p = p->parent;
			close_part(b, p, ext);
		}
		if (p == root) {
			return;
		}
		p = p->next;
	}
}
