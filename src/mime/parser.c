/*
 * parser: the push parser (RFC 5322, RFC 2045, RFC 2046).
 *
 * Bytes come in pieces of any size; all decisions fall at line ends, so that
 * the cuts make no difference. What is open (multiparts and messages around
 * the current part) stands on a fixed stack; a line that begins with "--" is
 * compared with the boundaries on it. One reading for all (THREATS MI-02):
 *
 *   - a delimiter is a line that begins with "--" and an open boundary,
 *     whatever follows (RFC 2046 5.1.1); the longest boundary wins, among
 *     equal ones the innermost; headers are searched as well as bodies;
 *   - after "--boundary--" that boundary is closed and never matches again;
 *   - the line end before a delimiter belongs to it, unless it ends a header;
 *   - the first Content-Type, Subject and so on counts; To, Cc and Bcc add up;
 *   - a multipart without a boundary, or in which no delimiter was found, is
 *     one text/plain part: whoever looks sees what is there;
 *   - beyond a limit what is left is one application/octet-stream part.
 *
 * Called by delivery (store) and whoever has no stored tree.
 */
#include <errno.h>
#include <stdlib.h>

#include "mime/header.h"
#include "mime/impl.h"

/* What of a line is needed to compare it: "--", boundary, "--". */
#define LINE_HEAD (MIME_BOUNDARY_MAX + 4)

struct frame {
	struct mime_part *part;
	struct slice boundary; /* n 0: a message, or closed */
};

enum state {
	ST_HEADER,  /* of cur */
	ST_BODY,    /* of cur, a leaf */
	ST_BETWEEN, /* before the first or behind the last part */
};

struct mime_parser {
	struct arena *a;
	struct mime_tree t;
	struct frame stack[MIME_DEPTH_MAX];
	unsigned depth;
	enum state state;
	struct mime_part *cur; /* NULL in ST_BETWEEN */
	bool opaque;	       /* no more parts: no line is a delimiter */
	bool oom;
	size_t reserve; /* of the arena, kept free for parts */

	struct buf header;
	size_t header_line; /* where its last line begins */

	uint64_t line_off; /* where the current line begins */
	uint64_t line_n;   /* bytes of it that came in earlier pieces */
	uint64_t lf;	   /* line ends before it */
	unsigned eol;	   /* bytes of the line end before it */
	char last;	   /* last byte fed */
	uint64_t n_cr, n_lf, n_crlf;
	char head[LINE_HEAD];
};

/* ---- memory -------------------------------------------------------------- */

static size_t arena_left(const struct mime_parser *p)
{
	return p->a->max - p->a->used;
}

/* May n bytes of header text be kept? */
static bool afford(struct mime_parser *p, size_t n)
{
	if (arena_left(p) >= n && arena_left(p) - n >= p->reserve) {
		return true;
	}
	p->t.truncated = true;
	return false;
}

/* ---- header fields ------------------------------------------------------- */

enum field {
	F_TYPE,
	F_ENCODING,
	F_ID,
	F_DESCRIPTION,
	F_MD5,
	F_DISPOSITION,
	F_LANGUAGE,
	F_LOCATION,
	F_DATE,
	F_SUBJECT,
	F_IN_REPLY_TO,
	F_MESSAGE_ID,
	F_FROM,
	F_SENDER,
	F_REPLY_TO,
	F_TO,
	F_CC,
	F_BCC,
	F_RECEIVED,
	F_MAX,
};

static const struct slice field_names[F_MAX] = {
	[F_TYPE] = S("Content-Type"),
	[F_ENCODING] = S("Content-Transfer-Encoding"),
	[F_ID] = S("Content-ID"),
	[F_DESCRIPTION] = S("Content-Description"),
	[F_MD5] = S("Content-MD5"),
	[F_DISPOSITION] = S("Content-Disposition"),
	[F_LANGUAGE] = S("Content-Language"),
	[F_LOCATION] = S("Content-Location"),
	[F_DATE] = S("Date"),
	[F_SUBJECT] = S("Subject"),
	[F_IN_REPLY_TO] = S("In-Reply-To"),
	[F_MESSAGE_ID] = S("Message-ID"),
	[F_FROM] = S("From"),
	[F_SENDER] = S("Sender"),
	[F_REPLY_TO] = S("Reply-To"),
	[F_TO] = S("To"),
	[F_CC] = S("Cc"),
	[F_BCC] = S("Bcc"),
	[F_RECEIVED] = S("Received"),
};

/* What goes along while one header is read. */
struct header_reader {
	struct mime_parser *p;
	struct mime_part *part;
	bool seen[F_MAX];
	struct mime_addr *last[F_MAX]; /* ends of the address lists */
	size_t n_addrs[F_MAX];
};

static enum field field_kind(struct slice name)
{
	unsigned f = 0;

	while (f < F_MAX && !slice_ieq(name, field_names[f])) {
		f++;
	}
	return (enum field)f;
}

static void keep(struct header_reader *r, struct slice *to, struct slice body)
{
	if (afford(r->p, body.n + 64)) {
		*to = mime_unfold_dup(body, r->p->a);
	}
}

/* Content-Transfer-Encoding: token; an empty one stays the default. */
static void keep_encoding(struct header_reader *r, struct slice body)
{
	struct cur c = cur_init(body);
	struct slice token;

	mime_skip_cfws(&c, NULL);
	token = mime_token(&c);
	if (token.n && afford(r->p, token.n + 64)) {
		r->part->encoding = arena_dup(r->p->a, token);
	}
}

/* A bound for what the parameters of a field take in the arena. */
static size_t params_cost(size_t n)
{
	size_t params = MIN(n / 2 + 1, (size_t)MIME_PARAMS_MAX);

	return n * 6 + params * (2 * sizeof(struct mime_param) + 128) + 256;
}

static void keep_type(struct header_reader *r, struct slice body)
{
	struct mime_part *part = r->part;

	if (!afford(r->p, params_cost(body.n))) {
		part->type = S("application");
		part->subtype = S("octet-stream");
	} else if (!mime_content_type(body, r->p->a, &part->type, &part->subtype, &part->params)) {
		part->type = S("text");
		part->subtype = S("plain");
		part->params = NULL;
	}
}

static void keep_disposition(struct header_reader *r, struct slice body)
{
	if (afford(r->p, params_cost(body.n))) {
		mime_content_disposition(body, r->p->a, &r->part->disposition,
					 &r->part->disposition_params);
	}
}

/* Content-Language: tag *("," tag), RFC 3282. */
static void keep_languages(struct header_reader *r, struct slice body)
{
	struct cur c = cur_init(body);
	size_t max = MIN(body.n / 2 + 1, (size_t)MIME_PARAMS_MAX);
	struct mime_part *part = r->part;

	if (!afford(r->p, max * (sizeof(struct slice) + 32) + body.n + 64)) {
		return;
	}
	part->languages = arena_array(r->p->a, max, sizeof(struct slice));
	while (part->languages && !cur_done(&c) && part->n_languages < max) {
		struct slice tag;

		mime_skip_cfws(&c, NULL);
		tag = mime_token(&c);
		if (tag.n) {
			part->languages[part->n_languages++] = arena_dup(r->p->a, tag);
		} else if (!cur_done(&c)) {
			c.p++;
		}
	}
	if (part->n_languages == 0) {
		part->languages = NULL;
	}
}

/* Joins the addresses of one more field to those of its kind. */
static void keep_addrs(struct header_reader *r, enum field f, struct mime_addr **head,
		       struct slice body)
{
	size_t max = MIN(body.n / 2 + 4, (size_t)MIME_ADDRS_MAX + 1);
	struct mime_addr *list;

	if (r->n_addrs[f] >= MIME_ADDRS_MAX ||
	    !afford(r->p, max * (sizeof(struct mime_addr) + 64) + body.n * 2)) {
		r->p->t.truncated = true;
		return;
	}
	list = mime_addr_parse(body, r->p->a);
	if (!list) {
		return;
	}
	if (r->last[f]) {
		r->last[f]->next = list;
	} else {
		*head = list;
	}
	for (; list; list = list->next) {
		r->last[f] = list;
		r->n_addrs[f]++;
	}
	r->p->t.truncated |= r->n_addrs[f] >= MIME_ADDRS_MAX;
}

static void read_content_field(struct header_reader *r, enum field f, struct slice body)
{
	struct mime_part *part = r->part;

	switch (f) {
	case F_TYPE:
		keep_type(r, body);
		break;
	case F_ENCODING:
		keep_encoding(r, body);
		break;
	case F_ID:
		keep(r, &part->id, body);
		break;
	case F_DESCRIPTION:
		keep(r, &part->description, body);
		break;
	case F_MD5:
		keep(r, &part->md5, body);
		break;
	case F_DISPOSITION:
		keep_disposition(r, body);
		break;
	case F_LANGUAGE:
		keep_languages(r, body);
		break;
	case F_LOCATION:
		keep(r, &part->location, body);
		break;
	default:
		break;
	}
}

static void read_date(struct header_reader *r, struct slice body)
{
	struct mime_date date;

	keep(r, &r->part->envelope->date, body);
	if (mime_date_parse(body, &date) == 0) {
		r->part->envelope->sent = date.unix_seconds;
	}
}

static void read_envelope_field(struct header_reader *r, enum field f, struct slice body)
{
	struct mime_envelope *e = r->part->envelope;

	switch (f) {
	case F_DATE:
		read_date(r, body);
		break;
	case F_SUBJECT:
		keep(r, &e->subject, body);
		break;
	case F_IN_REPLY_TO:
		keep(r, &e->in_reply_to, body);
		break;
	case F_MESSAGE_ID:
		keep(r, &e->message_id, body);
		break;
	case F_FROM:
		keep_addrs(r, f, &e->from, body);
		break;
	case F_SENDER:
		keep_addrs(r, f, &e->sender, body);
		break;
	case F_REPLY_TO:
		keep_addrs(r, f, &e->reply_to, body);
		break;
	case F_TO:
		keep_addrs(r, f, &e->to, body);
		break;
	case F_CC:
		keep_addrs(r, f, &e->cc, body);
		break;
	case F_BCC:
		keep_addrs(r, f, &e->bcc, body);
		break;
	default:
		break;
	}
}

static void read_field(struct header_reader *r, const struct mime_field *fld)
{
	enum field f = field_kind(fld->name);
	bool adds_up = f == F_TO || f == F_CC || f == F_BCC;

	if (f == F_MAX) {
		return;
	}
	if (f == F_RECEIVED) {
		r->p->t.received += r->part == r->p->t.root;
		return;
	}
	if (r->seen[f] && !adds_up) {
		return;
	}
	r->seen[f] = true;
	if (f <= F_LOCATION) {
		read_content_field(r, f, fld->body);
	} else if (r->part->envelope) {
		read_envelope_field(r, f, fld->body);
	}
}

static void read_header(struct mime_parser *p, struct mime_part *part)
{
	struct header_reader r = { .p = p, .part = part };
	struct slice header = buf_slice(&p->header);
	struct mime_field f;

	while (mime_field_next(&header, &f)) {
		read_field(&r, &f);
	}
	p->oom |= p->header.err == -ENOMEM;
	buf_reset(&p->header);
	p->header_line = 0;
}

/* ---- parts --------------------------------------------------------------- */

static void set_type(struct mime_part *part, struct slice type, struct slice subtype)
{
	part->kind = MIME_LEAF;
	part->type = type;
	part->subtype = subtype;
	part->params = NULL;
}

static void set_opaque(struct mime_parser *p, struct mime_part *part)
{
	set_type(part, S("application"), S("octet-stream"));
	p->t.truncated = true;
}

/* Is there room for one more part, the last one included? */
static bool part_room(const struct mime_parser *p)
{
	return p->t.n_parts < MIME_PARTS_MAX &&
	       arena_left(p) >= 2 * (sizeof(struct mime_part) + sizeof(struct mime_envelope) + 64);
}

static void link_part(struct mime_part *parent, struct mime_part *part)
{
	part->parent = parent;
	if (parent->last_child) {
		parent->last_child->next = part;
	} else {
		parent->children = part;
	}
	parent->last_child = part;
}

static bool in_digest(const struct mime_part *parent)
{
	return parent && parent->kind == MIME_MULTIPART && slice_ieq(parent->subtype, S("digest"));
}

/* A part whose header begins at off, behind lf line ends. NULL: no memory. */
static struct mime_part *part_new(struct mime_parser *p, struct mime_part *parent, uint64_t off,
				  uint64_t lf)
{
	struct mime_part *part = arena_new(p->a, struct mime_part);
	bool digest = in_digest(parent);

	if (!part) {
		p->oom = true;
		p->opaque = true;
		return NULL;
	}
	part->header_off = off;
	part->header_lines = (uint32_t)lf; /* until the header's end is known */
	part->type = digest ? S("message") : S("text");
	part->subtype = digest ? S("rfc822") : S("plain");
	part->encoding = S("7bit");
	if (!parent || parent->kind == MIME_MESSAGE) {
		part->envelope = arena_new(p->a, struct mime_envelope);
		p->oom |= !part->envelope;
		if (part->envelope) {
			part->envelope->sent = INT64_MIN;
		}
	}
	if (parent) {
		link_part(parent, part);
	}
	p->t.n_parts++;
	p->reserve -= MIN(p->reserve, sizeof(*part) + 16);
	return part;
}

/* Header and body begin here: off is where the next line begins. */
static void begin_body(struct mime_part *part, uint64_t off, uint64_t lf)
{
	part->header_len = off - part->header_off;
	part->header_lines = (uint32_t)lf - part->header_lines;
	part->body_off = off;
	part->body_lines = (uint32_t)lf; /* until the body's end is known */
}

static void open_part(struct mime_parser *p, struct mime_part *parent, uint64_t off, uint64_t lf)
{
	struct mime_part *part = part_new(p, parent, off, lf);

	p->cur = part;
	if (!part) {
		p->state = ST_BETWEEN;
	} else if (!part_room(p)) {
		begin_body(part, off, lf);
		set_opaque(p, part);
		p->opaque = true;
		p->state = ST_BODY;
	} else {
		p->state = ST_HEADER;
	}
}

static void push(struct mime_parser *p, struct mime_part *part, struct slice boundary)
{
	p->stack[p->depth++] = (struct frame){ part, boundary };
	p->cur = NULL;
	p->state = ST_BETWEEN;
}

static struct slice part_boundary(const struct mime_part *part)
{
	struct slice b = mime_param_get(part->params, S("boundary"));

	b = slice_sub(b, 0, MIME_BOUNDARY_MAX);
	while (b.n && (b.p[b.n - 1] == ' ' || b.p[b.n - 1] == '\t')) {
		b.n--;
	}
	return b;
}

/* The header of cur has ended: what is the body? */
static void enter_body(struct mime_parser *p)
{
	struct mime_part *part = p->cur;
	bool multipart = mime_is_multipart(part);
	struct slice boundary;

	p->state = ST_BODY;
	if (!multipart && !mime_is_message(part)) {
		return;
	}
	if (p->depth == MIME_DEPTH_MAX || !part_room(p)) {
		set_opaque(p, part);
	} else if (!multipart) {
		part->kind = MIME_MESSAGE;
		push(p, part, S(""));
		open_part(p, part, part->body_off, part->body_lines);
	} else {
		boundary = part_boundary(part);
		if (boundary.n == 0) {
			set_type(part, S("text"), S("plain"));
		} else {
			part->kind = MIME_MULTIPART;
			push(p, part, boundary);
		}
	}
}

/* Ends a part at the current line; `least` is where its last child ended. */
static uint64_t end_part(struct mime_parser *p, struct mime_part *part, uint64_t least)
{
	uint64_t end = MAX(p->line_off - p->eol, least);
	uint64_t lf = p->lf;

	if (part->body_off > end) {
		end = part->body_off;
	}
	assert(end == p->line_off || end == p->line_off - p->eol);
	if (end != p->line_off) {
		lf--;
	}
	part->body_len = end - part->body_off;
	part->body_lines = (uint32_t)lf - part->body_lines;
	if (part->kind == MIME_MULTIPART && !part->children) {
		set_type(part, S("text"), S("plain"));
	}
	return end;
}

/* Ends cur and all that is open down to (not including) depth `to`. */
static void end_parts(struct mime_parser *p, unsigned to)
{
	uint64_t end = 0;

	/* At most twice: a message without a body still has one inside. */
	while (p->cur && p->state == ST_HEADER) {
		begin_body(p->cur, p->line_off, p->lf);
		read_header(p, p->cur);
		enter_body(p);
	}
	if (p->cur) {
		end = end_part(p, p->cur, 0);
		p->cur = NULL;
	}
	while (p->depth > to) {
		end = end_part(p, p->stack[--p->depth].part, end);
	}
	p->state = ST_BETWEEN;
}

/* ---- lines --------------------------------------------------------------- */

/* Index of the frame whose boundary stands behind "--" in line, or -1. */
static int find_boundary(const struct mime_parser *p, struct slice line)
{
	size_t best_n = 0;
	int best = -1;

	for (unsigned i = p->depth; i-- > 0;) {
		struct slice b = p->stack[i].boundary;

		if (b.n > best_n && b.n <= line.n && memcmp(line.p, b.p, b.n) == 0) {
			best = (int)i;
			best_n = b.n;
		}
	}
	return best;
}

/* A delimiter of frame k; what is behind the boundary stands in rest, and the
 * next line begins at off, behind lf line ends. */
static void delimiter(struct mime_parser *p, unsigned k, struct slice rest, uint64_t off,
		      uint64_t lf)
{
	struct frame *f = &p->stack[k];

	end_parts(p, k + 1);
	if (slice_starts(rest, S("--"))) {
		f->boundary.n = 0;
	} else {
		open_part(p, f->part, off, lf);
	}
}

/* One whole line; head is its beginning, enough of it to compare. */
static void line(struct mime_parser *p, struct slice head, uint64_t len, unsigned eol)
{
	int k = -1;

	if (p->depth && !p->opaque && slice_starts(head, S("--"))) {
		k = find_boundary(p, slice_from(head, 2));
	}
	if (k >= 0) {
		size_t n = p->stack[k].boundary.n + 2;

		if (p->state == ST_HEADER) {
			buf_truncate(&p->header, p->header_line);
		}
		delimiter(p, (unsigned)k, slice_from(head, n), p->line_off + len,
			  p->lf + (eol ? 1 : 0));
	} else if (p->state == ST_HEADER && len == eol) {
		begin_body(p->cur, p->line_off + len, p->lf + 1);
		read_header(p, p->cur);
		enter_body(p);
	}
	p->header_line = p->header.n;
	p->line_off += len;
	p->lf += eol ? 1 : 0;
	p->eol = eol;
	p->line_n = 0;
}

/* ---- bytes --------------------------------------------------------------- */

static void note_bytes(struct mime_parser *p, struct slice data)
{
	uint64_t cr = 0;
	unsigned char high = 0;
	bool nul = false;

	for (size_t i = 0; i < data.n; i++) {
		unsigned char c = (unsigned char)data.p[i];

		cr += c == '\r';
		high |= c;
		nul |= c == 0;
	}
	p->n_cr += cr;
	p->t.has_8bit |= high >= 0x80;
	p->t.has_nul |= nul;
	p->t.size += data.n;
}

/* Adds to the header what the limit leaves room for. */
static void keep_header(struct mime_parser *p, struct slice piece)
{
	size_t room = MIME_HEADER_MAX - p->header.n;

	if (piece.n > room) {
		p->t.truncated = true;
		piece.n = room;
	}
	buf_add(&p->header, piece);
}

/* A piece of a line that is not (or was not) whole. */
static void pend(struct mime_parser *p, struct slice piece)
{
	if (p->line_n < LINE_HEAD) {
		size_t n = MIN(piece.n, LINE_HEAD - (size_t)p->line_n);

		memcpy(p->head + p->line_n, piece.p, n);
	}
	p->line_n += piece.n;
}

static struct slice pending_head(const struct mime_parser *p)
{
	return slice_make(p->head, (size_t)MIN(p->line_n, (uint64_t)LINE_HEAD));
}

/* A piece that ends with LF. */
static void whole_line(struct mime_parser *p, struct slice piece)
{
	char before = piece.n > 1 ? piece.p[piece.n - 2] : p->last;
	bool crlf = before == '\r' && (piece.n > 1 || p->line_n > 0);
	struct slice head = slice_sub(piece, 0, LINE_HEAD);
	uint64_t len = p->line_n + piece.n;

	p->n_lf++;
	p->n_crlf += crlf;
	if (p->line_n) {
		pend(p, piece);
		head = pending_head(p);
	}
	line(p, head, len, crlf ? 2 : 1);
}

void mime_parser_feed(struct mime_parser *p, struct slice data)
{
	note_bytes(p, data);
	while (data.n) {
		const char *nl = memchr(data.p, '\n', data.n);
		size_t n = nl ? (size_t)(nl - data.p) + 1 : data.n;
		struct slice piece = slice_make(data.p, n);

		if (p->state == ST_HEADER) {
			keep_header(p, piece);
		}
		if (nl) {
			whole_line(p, piece);
		} else {
			pend(p, piece);
		}
		p->last = piece.p[n - 1];
		data = slice_from(data, n);
	}
}

/* ---- life ---------------------------------------------------------------- */

struct mime_parser *mime_parser_new(struct arena *a)
{
	struct mime_parser *p = calloc(1, sizeof(*p));

	if (!p) {
		return NULL;
	}
	p->a = a;
	p->reserve =
		MIN((size_t)MIME_PARTS_MAX * (sizeof(struct mime_part) + 16), arena_left(p) / 2);
	buf_init(&p->header, MIME_HEADER_MAX);
	open_part(p, NULL, 0, 0);
	p->t.root = p->cur;
	return p;
}

int mime_parser_finish(struct mime_parser *p, struct mime_tree *out)
{
	if (p->line_n) {
		line(p, pending_head(p), p->line_n, 0);
	}
	p->eol = 0;
	end_parts(p, 0);
	assert(p->line_off == p->t.size);
	p->t.bare = p->n_cr - p->n_crlf + p->n_lf - p->n_crlf;
	if (p->t.size && p->last != '\n' && p->last != '\r') {
		p->t.bare += 2;
	}
	if (arena_err(p->a)) {
		return arena_err(p->a);
	}
	if (p->oom) {
		return -ENOMEM;
	}
	*out = p->t;
	return 0;
}

void mime_parser_free(struct mime_parser **pp)
{
	if (*pp) {
		buf_fini(&(*pp)->header);
		free(*pp);
		*pp = NULL;
	}
}

int mime_parse(struct slice msg, struct arena *a, struct mime_tree *out)
{
	struct mime_parser *p = mime_parser_new(a);
	int r;

	if (!p) {
		return -ENOMEM;
	}
	mime_parser_feed(p, msg);
	r = mime_parser_finish(p, out);
	mime_parser_free(&p);
	return r;
}
