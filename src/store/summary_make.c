/*
 * A summary from a message's header: fields decoded (RFC 2047) and folded,
 * ids and the base subject as threading and sorting want them (RFC 5256),
 * names as people see them (RFC 5957). Pure but for the arena.
 *
 * The field bodies go the same way as mime_header_match goes, and addresses
 * that of mime_address_match, so that a needle is in the summary exactly if it
 * is in the field. Called by summary.c.
 */
#include "mime/header.h"
#include "mime/subject.h"
#include "mime/text.h"
#include "store/summary.h"

#define ID_MAX 1000  /* bytes of one message id; longer ones are none */
#define IDS_MAX 2000 /* references of one message; the first ones count */

enum whole { W_FROM, W_TO, W_CC, W_BCC, W_SUBJECT, WHOLES };

struct make {
	struct arena *a;
	struct buf one, two; /* scratch */
	struct buf whole[WHOLES];
	struct buf addrs[WHOLES]; /* of the fields that have any */
	bool present[WHOLES];
	struct slice decoded_subject;
	struct slice in_reply_to, references; /* raw bodies */
	bool date_seen;
	int err;
	struct store_summary *s;
};

/* ---- text ---------------------------------------------------------------- */

/* Empties a scratch buffer; what went wrong in it before is kept. */
static void scratch(struct make *k, struct buf *b)
{
	k->err = k->err ? k->err : b->err;
	buf_reset(b);
}

static struct slice folded(struct make *k, struct slice decoded)
{
	scratch(k, &k->two);
	utf8_fold(&k->two, decoded);
	return arena_dup(k->a, buf_slice(&k->two));
}

/* Unfolded and decoded, in k->two; valid until the next use. */
static struct slice decode(struct make *k, struct slice body)
{
	scratch(k, &k->one);
	scratch(k, &k->two);
	mime_unfold(body, &k->one);
	mime_decode_text(buf_slice(&k->one), &k->two);
	return buf_slice(&k->two);
}

static struct slice decoded_folded(struct make *k, struct slice body)
{
	struct slice d = arena_dup(k->a, decode(k, body));

	return folded(k, d);
}

/* Joined by "\n" to what is there; what was added. */
static struct slice add_field(struct make *k, enum whole w, struct slice body)
{
	size_t at;

	if (k->present[w]) {
		buf_addc(&k->whole[w], '\n');
	}
	k->present[w] = true;
	at = k->whole[w].n;
	utf8_fold(&k->whole[w], decode(k, body));
	return slice_from(buf_slice(&k->whole[w]), at);
}

/* To the arena; absent fields have no bytes. */
static void take_wholes(struct make *k)
{
	struct store_summary *s = k->s;
	struct slice *to[WHOLES] = { &s->from, &s->to, &s->cc, &s->bcc, &s->subject };

	for (int w = 0; w < WHOLES; w++) {
		if (k->addrs[w].n) {
			buf_addc(&k->whole[w], '\r');
			buf_add(&k->whole[w], buf_slice(&k->addrs[w]));
		}
		k->err = k->err ? k->err : k->addrs[w].err;
		k->err = k->err ? k->err : k->whole[w].err;
		if (k->present[w]) {
			*to[w] = arena_dup(k->a, buf_slice(&k->whole[w]));
		}
		buf_fini(&k->whole[w]);
		buf_fini(&k->addrs[w]);
	}
}

/* ---- addresses ------------------------------------------------------------ */

static struct slice display(struct make *k, const struct mime_addr *ad)
{
	if (ad->name.n) {
		return decoded_folded(k, ad->name);
	}
	scratch(k, &k->one);
	mime_addr_spec(ad, &k->one);
	if (k->one.n == 0) {
		buf_add(&k->one, ad->mailbox);
	}
	struct slice plain = arena_dup(k->a, buf_slice(&k->one));

	return decoded_folded(k, plain);
}

/* A field of addresses; sort and shown (or NULL) are of the first address of the
 * first field of that name. */
static void addresses(struct make *k, enum whole w, struct slice body, struct slice *sort,
		      struct slice *shown)
{
	struct slice text = add_field(k, w, body);
	struct mime_addr *ad = mime_addr_parse(body, k->a);

	mime_address_text(ad, text, &k->addrs[w]);
	if (!ad || !sort || sort->p) {
		return;
	}
	*sort = decoded_folded(k, ad->mailbox);
	if (shown) {
		*shown = display(k, ad);
	}
}

/* ---- ids ------------------------------------------------------------------ */

/*
 * msg-id = "<" id-left "@" id-right ">" RFC 5322 3.6.4, with quotes undone
 * (RFC 5256: two spellings, one id). What stands between the brackets, into
 * out; false: no id.
 */
static bool normal_id(struct slice inner, struct buf *out)
{
	inner = slice_trim(inner);
	if (inner.n == 0 || inner.n > ID_MAX) {
		return false;
	}
	for (size_t i = 0; i < inner.n; i++) {
		unsigned char c = (unsigned char)inner.p[i];

		if (c == '"') {
			continue;
		}
		if (c == '\\' && i + 1 < inner.n) {
			c = (unsigned char)inner.p[++i];
		}
		if (c <= ' ' || c == 0x7f) {
			return false;
		}
		buf_addc(out, (char)c);
	}
	return true;
}

/* Takes the next id off *body, into k->one (reset). False: no more. */
static bool next_id(struct make *k, struct slice *body)
{
	while (body->n) {
		size_t from = slice_chr(*body, '<');

		if (from == SIZE_MAX) {
			break;
		}
		struct slice rest = slice_from(*body, from + 1);
		size_t to = slice_chr(rest, '>');

		if (to == SIZE_MAX) {
			break;
		}
		*body = slice_from(rest, to + 1);
		scratch(k, &k->one);
		if (normal_id(slice_sub(rest, 0, to), &k->one)) {
			return true;
		}
	}
	return false;
}

/* Up to max ids, separated by one space; absent if there is none. */
static struct slice ids(struct make *k, struct slice body, unsigned max)
{
	unsigned n = 0;

	scratch(k, &k->two);
	while (n < max && next_id(k, &body)) {
		if (n++) {
			buf_addc(&k->two, ' ');
		}
		buf_add(&k->two, buf_slice(&k->one));
	}
	return n ? arena_dup(k->a, buf_slice(&k->two)) : (struct slice){ 0 };
}

void summary_thread(struct store_summary *s, const unsigned char guid[16])
{
	struct slice rest = s->references.n ? s->references : s->message_id;
	struct slice root = slice_split(&rest, ' ');
	char salted[ID_MAX + 1];

	if (root.n == 0 || root.n > ID_MAX) {
		memcpy(s->thread, guid, sizeof(s->thread));
		return;
	}
	salted[0] = 't';
	memcpy(salted + 1, root.p, root.n);
	uint64_t sums[2] = { hash_sum64(root), hash_sum64(slice_make(salted, root.n + 1)) };

	memcpy(s->thread, sums, sizeof(s->thread));
}

/* ---- the header ------------------------------------------------------------ */

static void date(struct make *k, struct slice body)
{
	struct mime_date d;

	if (!k->date_seen && mime_date_parse(body, &d) == 0) {
		k->s->sent = d.unix_seconds;
		k->s->zone = d.zone;
	}
	k->date_seen = true; /* the first one counts, as in the envelope */
}

static void subject(struct make *k, struct slice body)
{
	if (!k->decoded_subject.p) {
		k->decoded_subject = arena_dup(k->a, decode(k, body));
	}
	add_field(k, W_SUBJECT, body);
}

static void keep_raw(struct slice *at, struct slice body)
{
	if (!at->p) {
		*at = body;
	}
}

static void field(struct make *k, const struct mime_field *f)
{
	struct store_summary *s = k->s;

	if (slice_ieq(f->name, S("from"))) {
		addresses(k, W_FROM, f->body, &s->sort_from, &s->display_from);
	} else if (slice_ieq(f->name, S("to"))) {
		addresses(k, W_TO, f->body, &s->sort_to, &s->display_to);
	} else if (slice_ieq(f->name, S("cc"))) {
		addresses(k, W_CC, f->body, &s->sort_cc, NULL);
	} else if (slice_ieq(f->name, S("bcc"))) {
		addresses(k, W_BCC, f->body, NULL, NULL);
	} else if (slice_ieq(f->name, S("subject"))) {
		subject(k, f->body);
	} else if (slice_ieq(f->name, S("date"))) {
		date(k, f->body);
	} else if (slice_ieq(f->name, S("message-id"))) {
		s->message_id = s->message_id.p ? s->message_id : ids(k, f->body, 1);
	} else if (slice_ieq(f->name, S("references"))) {
		keep_raw(&k->references, f->body);
	} else if (slice_ieq(f->name, S("in-reply-to"))) {
		keep_raw(&k->in_reply_to, f->body);
	}
}

static void base_subject(struct make *k)
{
	struct buf base = BUF_INIT(MIME_HEADER_MAX * 4);

	mime_base_subject(k->decoded_subject, &base, &k->s->is_reply);
	k->s->base_subject = folded(k, buf_slice(&base));
	if (base.err) {
		k->err = base.err;
	}
	buf_fini(&base);
}

int summary_make(struct slice header, uint32_t uid, const unsigned char guid[16], struct arena *a,
		 struct store_summary *out)
{
	struct make k = { .a = a, .s = out };
	struct mime_field f;
	int r;

	*out = (struct store_summary){ .uid = uid, .sent = INT64_MIN };
	buf_init(&k.one, SUMMARY_TEXT_MAX);
	buf_init(&k.two, SUMMARY_TEXT_MAX);
	for (int w = 0; w < WHOLES; w++) {
		buf_init(&k.whole[w], SUMMARY_TEXT_MAX);
		buf_init(&k.addrs[w], SUMMARY_TEXT_MAX);
	}
	while (mime_field_next(&header, &f)) {
		field(&k, &f);
	}
	take_wholes(&k);
	out->references = ids(&k, k.references, IDS_MAX);
	if (!out->references.p) {
		out->references = ids(&k, k.in_reply_to, 1);
	}
	base_subject(&k);
	summary_thread(out, guid);
	scratch(&k, &k.one);
	scratch(&k, &k.two);
	r = k.err ? k.err : arena_err(a);
	buf_fini(&k.one);
	buf_fini(&k.two);
	return r;
}
