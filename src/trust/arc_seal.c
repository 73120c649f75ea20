/*
 * Adding a set to a chain (RFC 8617 5.1): see arc.h.
 *
 * Tags stand in the order of the alphabet with one blank between them when
 * relaxed, as other sealers write them; so the suite's own seals can be
 * compared octet for octet.
 */
#include <stdlib.h>

#include "base/codec.h"
#include "base/err.h"
#include "trust/arc_set.h"
#include "trust/dkim_key.h"
#include "trust/domain.h"

#define LINE_LEN 72
#define FIELD_MAX 65536
#define MEMORY_MAX (2 * 1024 * 1024)

static const struct slice AAR = { "ARC-Authentication-Results", 26 };
static const struct slice AMS = { "ARC-Message-Signature", 21 };
static const struct slice SEAL = { "ARC-Seal", 8 };

struct arc_sealer {
	struct fields fields;
	struct arena arena;
	struct arc_chain chain;
	struct sig_body body;
	const struct dkim_key *key;
	struct buf domain, selector, names;
	struct slice results; /* in the arena */
	int64_t now;
	enum trust_result cv;
	unsigned instance;
};

/* ---- options ------------------------------------------------------------------- */

/* Text for a header: line ends only where they fold. */
static bool is_header_text(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool fold = c == '\r' && i + 2 < s.n && s.p[i + 1] == '\n' &&
			    (s.p[i + 2] == ' ' || s.p[i + 2] == '\t');

		if (fold) {
			i += 2;
		} else if ((c < 0x20 && c != '\t') || c == 0x7f) {
			return false;
		}
	}
	return s.n > 0 && s.n < SIG_FIELD_MAX;
}

static bool is_name_list(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == ';') {
			return false;
		}
	}
	return s.n < SIG_FIELD_MAX;
}

static int take_names(struct arc_sealer *s, struct slice given)
{
	int r;

	if (given.n) {
		buf_add(&s->names, given);
		return is_name_list(given) ? 0 : -EINVAL;
	}
	r = dkim_sign_names(&s->fields, &s->names);
	for (size_t n = fields_count(&s->fields, S("DKIM-Signature")); n && r == 0; n--) {
		buf_adds(&s->names, ":DKIM-Signature");
	}
	return r == 0 && s->names.err ? -EINVAL : r;
}

/* Where the new set stands. 1: there is no place for it. */
static int find_place(struct arc_sealer *s, const struct arc_seal_opts *o)
{
	int r = arc_chain_read(&s->chain, &s->fields, o->now, &s->arena);
	bool chain = s->chain.any;

	if (r < 0) {
		return r;
	}
	if (s->chain.n == ARC_SETS_MAX || s->chain.set[s->chain.n].cv == ARC_CV_FAIL) {
		return 1;
	}
	if (o->chain != TRUST_FAIL) {
		arc_chain_check(&s->chain, &s->arena);
		if (o->chain != (chain ? TRUST_PASS : TRUST_NONE) || s->chain.problem.n) {
			return -EINVAL;
		}
	}
	s->instance = s->chain.n + 1;
	return chain || o->chain != TRUST_FAIL ? 0 : -EINVAL;
}

static int sealer_init(struct arc_sealer *s, struct slice header, const struct arc_seal_opts *o)
{
	int r;

	s->key = o->key;
	s->now = o->now;
	s->cv = o->chain;
	buf_init(&s->domain, DNS_NAME_MAX + 1);
	buf_init(&s->selector, DNS_NAME_MAX + 1);
	buf_init(&s->names, FIELD_MAX);
	arena_init(&s->arena, MEMORY_MAX);
	r = trust_domain_canon(o->domain, &s->domain);
	r = r < 0 ? r : trust_domain_canon(o->selector, &s->selector);
	r = r < 0 ? r : fields_init(&s->fields, header);
	if (r < 0) {
		return r == -ENOMEM ? r : -EINVAL;
	}
	if (!dkim_can_prepend(header) || fields_count(&s->fields, S("From")) == 0 || o->now < 0 ||
	    !is_header_text(o->results)) {
		return -EINVAL;
	}
	r = find_place(s, o);
	if (r != 0) {
		return r;
	}
	s->results = arena_dup(&s->arena, o->results);
	r = take_names(s, o->names);
	return r < 0 ? r : sig_body_want(&s->body, CANON_RELAXED);
}

int arc_sealer_new(struct slice header, const struct arc_seal_opts *o, struct arc_sealer **out)
{
	struct arc_sealer *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		return -ENOMEM;
	}
	r = sealer_init(s, header, o);
	if (r != 0) {
		arc_sealer_free(&s);
		return r;
	}
	*out = s;
	return 0;
}

void arc_sealer_body(struct arc_sealer *s, struct slice data)
{
	sig_body_feed(&s->body, data);
}

void arc_sealer_free(struct arc_sealer **sp)
{
	struct arc_sealer *s = *sp;

	*sp = NULL;
	if (s) {
		fields_fini(&s->fields);
		arena_fini(&s->arena);
		sig_body_fini(&s->body);
		buf_fini(&s->domain);
		buf_fini(&s->selector);
		buf_fini(&s->names);
		free(s);
	}
}

/* ---- fields ----------------------------------------------------------------------- */

/* A field while it is made: what stands before the value of b= and behind. */
struct draft {
	struct buf text; /* behind the colon, b= empty */
	size_t b_at;
	struct field field;
	struct sig sig;
};

static void draft_init(struct draft *d, struct slice name)
{
	buf_init(&d->text, FIELD_MAX);
	d->field = (struct field){ .name = name };
	d->sig = (struct sig){ .field = &d->field, .header = CANON_RELAXED };
}

static void draft_start(struct draft *d, const struct arc_sealer *s)
{
	buf_printf(&d->text, " a=%s;\r\n\tb=", s->key->ed25519 ? "ed25519-sha256" : "rsa-sha256");
	d->b_at = d->text.n;
	buf_adds(&d->text, ";\r\n\t");
}

/* The draft is whole but for b=. */
static void draft_close(struct draft *d)
{
	d->field.body = buf_slice(&d->text);
	tags_parse(d->field.body, &d->sig.tags);
}

static void write_message_tags(const struct arc_sealer *s, struct draft *d)
{
	draft_start(d, s);
	buf_adds(&d->text, "bh=");
	base64_encode(&d->text,
		      slice_make((const char *)s->body.way[CANON_RELAXED].sum, SIG_HASH_LEN));
	buf_printf(&d->text,
		   ";\r\n\tc=relaxed/relaxed; d=%.*s;\r\n\th=", SLICE_ARG(buf_slice(&s->domain)));
	dkim_sign_add_names(buf_slice(&s->names), &d->text);
	buf_printf(&d->text, ";\r\n\ti=%u; s=%.*s;\r\n\tt=%lld", s->instance,
		   SLICE_ARG(buf_slice(&s->selector)), (long long)s->now);
	d->sig.names = buf_slice(&s->names);
	draft_close(d);
}

static void write_seal_tags(const struct arc_sealer *s, struct draft *d)
{
	draft_start(d, s);
	buf_printf(&d->text, "cv=%s; d=%.*s;\r\n\ti=%u; s=%.*s;\r\n\tt=%lld",
		   trust_result_name(s->cv), SLICE_ARG(buf_slice(&s->domain)), s->instance,
		   SLICE_ARG(buf_slice(&s->selector)), (long long)s->now);
	draft_close(d);
}

/* Fills b= in. */
static int sign(const struct arc_sealer *s, struct draft *d, const unsigned char *hash,
		struct err *e)
{
	struct buf b64 = BUF_INIT(4096), all = BUF_INIT(FIELD_MAX);
	int r = dkim_key_sign(s->key, hash, &b64, e);

	if (r == 0) {
		buf_add(&all, slice_sub(buf_slice(&d->text), 0, d->b_at));
		dkim_sign_add_folded(buf_slice(&b64), &all);
		buf_add(&all, slice_from(buf_slice(&d->text), d->b_at));
		buf_reset(&d->text);
		buf_add(&d->text, buf_slice(&all));
		d->field.body = buf_slice(&d->text);
		r = d->text.err || all.err ? -ENOMEM : 0;
	}
	buf_fini(&b64);
	buf_fini(&all);
	return r;
}

/* The sets before this one, unless the chain is broken (5.1.2), and this one. */
static bool hash_seal(const struct arc_sealer *s, const struct arc_set *own, const struct draft *d,
		      unsigned char hash[SIG_HASH_LEN])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

	for (unsigned i = 1; ok && s->cv != TRUST_FAIL && i < s->instance; i++) {
		arc_hash_set(&s->chain.set[i], md);
	}
	if (ok) {
		sig_hash_field(md, CANON_RELAXED, own->aar, slice_make(NULL, 0), false);
		sig_hash_field(md, CANON_RELAXED, own->ams->field, slice_make(NULL, 0), false);
		sig_hash_field(md, CANON_RELAXED, &d->field, slice_make(NULL, 0), true);
		ok = EVP_DigestFinal_ex(md, hash, NULL) == 1;
	}
	EVP_MD_CTX_free(md);
	return ok;
}

struct drafts {
	struct draft report, message, seal;
};

static int sign_all(struct arc_sealer *s, struct drafts *d, struct err *e)
{
	struct arc_set own = { .aar = &d->report.field, .ams = &d->message.sig };
	unsigned char hash[SIG_HASH_LEN];
	int r;

	buf_printf(&d->report.text, " i=%u; ", s->instance);
	buf_add(&d->report.text, s->results);
	d->report.field.body = buf_slice(&d->report.text);
	write_message_tags(s, &d->message);
	write_seal_tags(s, &d->seal);
	if (d->report.text.err || d->message.text.err || d->seal.text.err) {
		return -ENOMEM;
	}
	if (s->body.broken || !sig_hash_header(&d->message.sig, &s->fields, hash)) {
		return err_set(e, -EIO, "hashing failed", NULL);
	}
	r = sign(s, &d->message, hash, e);
	if (r < 0) {
		return r;
	}
	if (!hash_seal(s, &own, &d->seal, hash)) {
		return err_set(e, -EIO, "hashing failed", NULL);
	}
	return sign(s, &d->seal, hash, e);
}

static void put(const struct draft *d, struct buf *out)
{
	buf_add(out, d->field.name);
	buf_addc(out, ':');
	buf_add(out, buf_slice(&d->text));
	buf_adds(out, "\r\n");
}

int arc_sealer_end(struct arc_sealer *s, struct buf *out, struct err *e)
{
	struct drafts *d = calloc(1, sizeof(*d));
	int r;

	if (!d) {
		return -ENOMEM;
	}
	sig_body_end(&s->body);
	draft_init(&d->report, AAR);
	draft_init(&d->message, AMS);
	draft_init(&d->seal, SEAL);
	r = sign_all(s, d, e);
	if (r == 0) {
		put(&d->seal, out);
		put(&d->message, out);
		put(&d->report, out);
		r = out->err ? -ENOMEM : 0;
	}
	buf_fini(&d->report.text);
	buf_fini(&d->message.text);
	buf_fini(&d->seal.text);
	free(d);
	return r;
}
