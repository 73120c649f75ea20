/*
 * What can be changed about a domain: where mail for unknown names goes, and
 * what begins a tag ("user+tag").
 */
#include "auth/rows.h"

/* The change, with its address canonical. */
struct change {
	const struct auth_domain_change *c;
	struct addr catchall;
};

static void apply(struct domain *d, const struct change *x)
{
	if (x->c->set_catchall) {
		memcpy(d->catchall, x->catchall.text, x->catchall.n);
		d->catchall[x->catchall.n] = '\0';
	}
	if (x->c->set_plus) {
		d->plus = x->c->plus.n ? x->c->plus.p[0] : '\0';
	}
}

CO_FN static int change(struct auth *a, struct slice name, const struct change *x, struct err *e)
{
	for (int i = 0; i < AUTH_RETRIES; i++) {
		struct kv_batch *b;
		struct domain d;
		int r = domain_get(a, name, &d);

		if (r == AUTH_NOTFOUND) {
			return dir_not_there(e, "no such domain here", name);
		}
		if (r < 0) {
			return dir_temp(e, r);
		}
		apply(&d, x);
		b = dir_batch(d.id, d.version);
		dir_put_domain(b, &d);
		r = dir_commit(a, &b, 1, e);
		if (r <= 0) {
			return r;
		}
	}
	return dir_contended(e);
}

/* Nothing, or one character that may stand in an address and begins no other
 * part of it. */
static bool is_plus(struct slice s)
{
	return s.n == 0 || (s.n == 1 && slice_chr(S(AUTH_PLUS_CHARS), s.p[0]) != SIZE_MAX);
}

int auth_domain_change(struct auth *a, struct slice domain, const struct auth_domain_change *c,
		       struct err *e)
{
	struct buf name = BUF_INIT(AUTH_DOMAIN_MAX);
	struct change x = { .c = c };
	int r = dir_canon_domain(domain, &name, e);

	if (r == 0 && c->set_catchall && c->catchall.n > 0 &&
	    addr_parse(c->catchall, &x.catchall) < 0) {
		r = dir_bad_address(e, c->catchall);
	}
	if (r == 0 && c->set_plus && !is_plus(c->plus)) {
		r = err_set(e, AUTH_INVALID, "a tag begins with one of " AUTH_PLUS_CHARS, NULL);
	}
	if (r == 0) {
		r = change(a, buf_slice(&name), &x, e);
	}
	buf_fini(&name);
	return r;
}

int auth_domain_catchall(struct auth *a, struct slice domain, struct slice target, struct err *e)
{
	struct auth_domain_change c = { .set_catchall = true, .catchall = target };

	return auth_domain_change(a, domain, &c, e);
}
