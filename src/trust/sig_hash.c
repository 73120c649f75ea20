/* The hashes that signatures sign (RFC 6376 3.7): see sig.h. */
#include "base/err.h"
#include "co/co.h"
#include "trust/sig.h"

static void into_md(void *arg, struct slice s)
{
	EVP_DigestUpdate(arg, s.p, s.n);
}

/* ---- body --------------------------------------------------------------------- */

int sig_body_want(struct sig_body *b, enum canon how)
{
	EVP_MD_CTX *md;

	if (b->way[how].md) {
		return 0;
	}
	md = EVP_MD_CTX_new();
	if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(md);
		return -ENOMEM;
	}
	b->way[how].md = md;
	canon_sink_init(&b->way[how].sink, into_md, md);
	canon_body_init(&b->way[how].body, how, &b->way[how].sink);
	return 0;
}

bool sig_body_wanted(const struct sig_body *b)
{
	return b->way[CANON_SIMPLE].md || b->way[CANON_RELAXED].md;
}

void sig_body_feed(struct sig_body *b, struct slice piece)
{
	assert(!b->ended);
	for (int i = 0; i < 2; i++) {
		if (b->way[i].md) {
			canon_body_feed(&b->way[i].body, piece);
		}
	}
}

void sig_body_end(struct sig_body *b)
{
	if (b->ended) {
		return;
	}
	b->ended = true;
	for (int i = 0; i < 2; i++) {
		if (!b->way[i].md) {
			continue;
		}
		canon_body_end(&b->way[i].body);
		if (EVP_DigestFinal_ex(b->way[i].md, b->way[i].sum, NULL) != 1) {
			b->broken = true;
		}
	}
}

void sig_body_fini(struct sig_body *b)
{
	for (int i = 0; i < 2; i++) {
		EVP_MD_CTX_free(b->way[i].md);
		b->way[i].md = NULL;
	}
}

/*
 * A body longer than l= says could go on with anything, so it is no pass, even
 * if what was signed is unharmed (THREATS AN-02); so the hash is over all of it
 * whatever l= says.
 */
static bool check_length(struct sig *s, uint64_t total, struct arena *a)
{
	if (!s->has_length || s->length == total) {
		return true;
	}
	if (s->length > total) {
		sig_decide(s, TRUST_FAIL, "the body is shorter than l= says");
	} else if (s->result == TRUST_NONE) {
		s->result = TRUST_POLICY;
		s->reason = arena_printf(a,
					 "l= covers %llu of the body's %llu octets: the rest is "
					 "not signed",
					 (unsigned long long)s->length, (unsigned long long)total);
	}
	return false;
}

void sig_check_body(struct sig *s, const struct sig_body *b, struct arena *a)
{
	if (s->result != TRUST_NONE) {
		return;
	}
	assert(b->ended && b->way[s->body].md);
	if (b->broken) {
		sig_decide(s, TRUST_TEMPERROR, "hashing failed");
	} else if (check_length(s, b->way[s->body].sink.total, a) &&
		   memcmp(s->bh, b->way[s->body].sum, SIG_HASH_LEN) != 0) {
		sig_decide(s, TRUST_FAIL, "the body was changed (bh= does not fit)");
	}
}

/* ---- header ------------------------------------------------------------------- */

void sig_hash_field(EVP_MD_CTX *md, enum canon how, const struct field *f, struct slice cut,
		    bool last)
{
	struct canon_field c = {
		.raw = f->raw, .name = f->name, .body = f->body, .cut = cut, .last = last
	};
	struct canon_sink sink;

	canon_sink_init(&sink, into_md, md);
	canon_header(how, &c, &sink);
	canon_flush(&sink);
}

static void hash_fields(const struct sig *s, struct fields *f, EVP_MD_CTX *md)
{
	struct slice list = s->names;
	const struct field *e;
	const struct tag *b;
	struct slice name;

	fields_pick_start(f);
	while (tags_item(&list, &name)) {
		e = fields_pick(f, name, s->field);
		if (e) {
			sig_hash_field(md, s->header, e, slice_make(NULL, 0), false);
		}
	}
	b = tags_get(&s->tags, S("b"));
	sig_hash_field(md, s->header, s->field, b ? b->whole : slice_make(NULL, 0), true);
}

bool sig_hash_header(const struct sig *s, struct fields *f, unsigned char out[SIG_HASH_LEN])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

	if (ok) {
		hash_fields(s, f, md);
		ok = EVP_DigestFinal_ex(md, out, NULL) == 1;
	}
	EVP_MD_CTX_free(md);
	return ok;
}

CO_FN void sig_run(int (*fn)(void *arg), void *arg, bool heavy)
{
	if (!heavy || co_offload(fn, arg) == -EAGAIN) {
		fn(arg);
	}
}
