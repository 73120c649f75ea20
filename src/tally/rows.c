/* A row's facts as bytes, and the keys they stand under (docs/format.md). */
#include <openssl/evp.h>

#include "base/cur.h"
#include "tally/impl.h"

static void put(struct buf *out, struct slice s)
{
	buf_vbytes(out, slice_sub(s, 0, TALLY_TEXT_MAX));
}

static void put_auths(struct buf *out, const struct report_auth *a)
{
	size_t n = 0;

	for (const struct report_auth *i = a; i && n < TALLY_AUTHS_MAX; i = i->next) {
		n++;
	}
	buf_varint(out, n);
	for (; n > 0; n--, a = a->next) {
		put(out, a->domain);
		put(out, a->selector);
		put(out, a->scope);
		put(out, a->result);
	}
}

void tally_row_encode(const struct report_row *row, struct buf *out)
{
	put(out, row->source);
	put(out, row->disposition);
	put(out, row->dkim);
	put(out, row->spf);
	put(out, row->reasons ? row->reasons->type : S(""));
	put(out, row->reasons ? row->reasons->comment : S(""));
	put(out, row->header_from);
	put(out, row->envelope_from);
	put(out, row->envelope_to);
	put_auths(out, row->dkim_results);
	put_auths(out, row->spf_results);
}

static struct slice get(struct cur *c)
{
	return cur_vbytes(c, TALLY_TEXT_MAX);
}

static struct report_auth *get_auths(struct cur *c, struct arena *a)
{
	struct report_auth *first = NULL, **end = &first;
	uint64_t n = cur_varint(c);

	if (n > TALLY_AUTHS_MAX) {
		cur_fail(c, -EINVAL);
	}
	for (; n > 0 && !c->err; n--) {
		struct report_auth *x = arena_new(a, struct report_auth);

		if (!x) {
			cur_fail(c, -ENOMEM);
			break;
		}
		x->domain = get(c);
		x->selector = get(c);
		x->scope = get(c);
		x->result = get(c);
		*end = x;
		end = &x->next;
	}
	return first;
}

int tally_row_decode(struct slice bytes, struct arena *a, struct report_row *out)
{
	struct cur c = cur_init(bytes);
	struct report_reason why = { 0 };

	*out = (struct report_row){ 0 };
	out->source = get(&c);
	out->disposition = get(&c);
	out->dkim = get(&c);
	out->spf = get(&c);
	why.type = get(&c);
	why.comment = get(&c);
	out->header_from = get(&c);
	out->envelope_from = get(&c);
	out->envelope_to = get(&c);
	out->dkim_results = get_auths(&c, a);
	out->spf_results = get_auths(&c, a);
	cur_end(&c);
	if (!c.err && why.type.n) {
		out->reasons = arena_new(a, struct report_reason);
		if (!out->reasons) {
			return -ENOMEM;
		}
		*out->reasons = why;
	}
	return c.err == -ENOMEM ? -ENOMEM : c.err ? -EINVAL : 0;
}

void tally_row_key(struct buf *out, struct slice domain, struct slice facts)
{
	unsigned char sum[EVP_MAX_MD_SIZE];

	if (EVP_Digest(facts.p, facts.n, sum, NULL, EVP_sha256(), NULL) != 1) {
		BUG("tally: SHA-256 is missing");
	}
	buf_addc(out, 'R');
	buf_add(out, domain);
	buf_addc(out, '\0');
	buf_add(out, slice_make((const char *)sum, TALLY_HASH));
}

void tally_domain_key(struct buf *out, struct slice domain)
{
	buf_addc(out, 'P');
	buf_add(out, domain);
}
