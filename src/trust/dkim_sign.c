/*
 * Signing a message (RFC 6376 5): see dkim.h.
 *
 * relaxed/relaxed, no l=, no z=, no x=. Fields that readers show are named
 * once more than they are there, so that a second one breaks the signature
 * (THREATS AN-02). Each instance of the others is named once.
 */
#include <stdlib.h>

#include "base/codec.h"
#include "base/err.h"
#include "trust/dkim_key.h"
#include "trust/domain.h"

#define LINE_LEN 72
#define FIELD_MAX 65536
#define HEAD S("DKIM-Signature")

/* RFC 6376 5.4.1 and what MIME needs; `over`: once more than there. */
static const struct {
	struct slice name;
	bool over;
} signable[] = {
	{ { "From", 4 }, true },
	{ { "To", 2 }, true },
	{ { "Cc", 2 }, true },
	{ { "Subject", 7 }, true },
	{ { "Date", 4 }, true },
	{ { "Content-Type", 12 }, true },
	{ { "Sender", 6 }, false },
	{ { "Reply-To", 8 }, false },
	{ { "Message-ID", 10 }, false },
	{ { "In-Reply-To", 11 }, false },
	{ { "References", 10 }, false },
	{ { "MIME-Version", 12 }, false },
	{ { "Content-Transfer-Encoding", 25 }, false },
	{ { "Content-ID", 10 }, false },
	{ { "Content-Description", 19 }, false },
	{ { "Resent-Date", 11 }, false },
	{ { "Resent-From", 11 }, false },
	{ { "Resent-Sender", 13 }, false },
	{ { "Resent-To", 9 }, false },
	{ { "Resent-Cc", 9 }, false },
	{ { "Resent-Message-ID", 17 }, false },
	{ { "List-Id", 7 }, false },
	{ { "List-Help", 9 }, false },
	{ { "List-Unsubscribe", 16 }, false },
	{ { "List-Unsubscribe-Post", 21 }, false },
	{ { "List-Subscribe", 14 }, false },
	{ { "List-Post", 9 }, false },
	{ { "List-Owner", 10 }, false },
	{ { "List-Archive", 12 }, false },
};

struct dkim_signer {
	struct fields fields;
	struct sig_body body;
	const struct dkim_key *key;
	struct buf domain, selector;
	struct buf names; /* h= */
	int64_t now;
};

int dkim_sign_names(const struct fields *f, struct buf *out)
{
	size_t total = 0;

	for (size_t i = 0; i < ARRAY_LEN(signable); i++) {
		size_t n = fields_count(f, signable[i].name) + signable[i].over;

		total += n;
		if (total > SIG_NAMES_MAX) {
			return -EINVAL;
		}
		for (; n; n--) {
			if (out->n) {
				buf_addc(out, ':');
			}
			buf_add(out, signable[i].name);
		}
	}
	return out->err ? -ENOMEM : 0;
}

bool dkim_can_prepend(struct slice header)
{
	return header.n && header.p[0] != ' ' && header.p[0] != '\t';
}

static int signer_init(struct dkim_signer *s, struct slice header, const struct dkim_sign_opts *o)
{
	int r;

	s->key = o->key;
	s->now = o->now;
	buf_init(&s->domain, DNS_NAME_MAX + 1);
	buf_init(&s->selector, DNS_NAME_MAX + 1);
	buf_init(&s->names, FIELD_MAX);
	r = trust_domain_canon(o->domain, &s->domain);
	r = r < 0 ? r : trust_domain_canon(o->selector, &s->selector);
	r = r < 0 ? r : fields_init(&s->fields, header);
	if (r < 0) {
		return r == -E2BIG ? -EINVAL : r;
	}
	if (!dkim_can_prepend(header) || fields_count(&s->fields, S("From")) == 0 || o->now < 0) {
		return -EINVAL;
	}
	r = dkim_sign_names(&s->fields, &s->names);
	return r < 0 ? r : sig_body_want(&s->body, CANON_RELAXED);
}

int dkim_signer_new(struct slice header, const struct dkim_sign_opts *o, struct dkim_signer **out)
{
	struct dkim_signer *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		return -ENOMEM;
	}
	r = signer_init(s, header, o);
	if (r < 0) {
		dkim_signer_free(&s);
		return r;
	}
	*out = s;
	return 0;
}

void dkim_signer_body(struct dkim_signer *s, struct slice data)
{
	sig_body_feed(&s->body, data);
}

void dkim_signer_free(struct dkim_signer **sp)
{
	struct dkim_signer *s = *sp;

	*sp = NULL;
	if (s) {
		fields_fini(&s->fields);
		sig_body_fini(&s->body);
		buf_fini(&s->domain);
		buf_fini(&s->selector);
		buf_fini(&s->names);
		free(s);
	}
}

/* ---- the field --------------------------------------------------------------------- */

void dkim_sign_add_names(struct slice names, struct buf *out)
{
	size_t line = 2;
	struct slice name;

	while (names.p) {
		name = slice_split(&names, ':');
		if (line + name.n + 1 > LINE_LEN) {
			buf_adds(out, "\r\n\t ");
			line = 1;
		}
		buf_add(out, name);
		if (names.p) {
			buf_addc(out, ':');
		}
		line += name.n + 1;
	}
}

/* As others fold it: lines of 72, the first with its "b=". */
void dkim_sign_add_folded(struct slice base64, struct buf *out)
{
	size_t n = LINE_LEN - 2;

	while (base64.n > n) {
		buf_add(out, slice_sub(base64, 0, n));
		buf_adds(out, "\r\n\t ");
		base64 = slice_from(base64, n);
		n = LINE_LEN;
	}
	buf_add(out, base64);
}

/* Everything behind the colon, up to "b=". */
static void add_tags(const struct dkim_signer *s, struct buf *out)
{
	buf_printf(out, " v=1; a=%s; c=relaxed/relaxed; t=%lld;\r\n\td=%.*s;\r\n\ts=%.*s;\r\n\th=",
		   s->key->ed25519 ? "ed25519-sha256" : "rsa-sha256", (long long)s->now,
		   SLICE_ARG(buf_slice(&s->domain)), SLICE_ARG(buf_slice(&s->selector)));
	dkim_sign_add_names(buf_slice(&s->names), out);
	buf_adds(out, ";\r\n\tbh=");
	base64_encode(out, slice_make((const char *)s->body.way[CANON_RELAXED].sum, SIG_HASH_LEN));
	buf_adds(out, ";\r\n\tb=");
}

static bool hash_all(struct dkim_signer *s, struct slice tags, unsigned char hash[SIG_HASH_LEN])
{
	struct sig sig = { .names = buf_slice(&s->names), .header = CANON_RELAXED };
	struct field field = { .name = HEAD, .body = tags };

	sig.field = &field;
	return !s->body.broken && sig_hash_header(&sig, &s->fields, hash);
}

int dkim_signer_end(struct dkim_signer *s, struct buf *out, struct err *e)
{
	struct buf tags = BUF_INIT(FIELD_MAX), b = BUF_INIT(FIELD_MAX);
	unsigned char hash[SIG_HASH_LEN];
	int r;

	sig_body_end(&s->body);
	add_tags(s, &tags);
	if (tags.err) {
		r = -ENOMEM;
	} else if (!hash_all(s, buf_slice(&tags), hash)) {
		r = err_set(e, -EIO, "hashing failed", NULL);
	} else {
		r = dkim_key_sign(s->key, hash, &b, e);
	}
	if (r == 0) {
		buf_add(out, HEAD);
		buf_addc(out, ':');
		buf_add(out, buf_slice(&tags));
		dkim_sign_add_folded(buf_slice(&b), out);
		buf_adds(out, "\r\n");
		r = out->err ? -ENOMEM : 0;
	}
	buf_fini(&tags);
	buf_fini(&b);
	return r;
}
