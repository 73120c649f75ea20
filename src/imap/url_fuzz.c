/*
 * url_fuzz: any bytes as an IMAP URL. What parses lies within the input or
 * the arena, is written, and what was written parses to the same.
 */
#include "base/err.h"
#include "imap/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* RFC 3339 has years of four digits. */
static bool writable_date(const struct imap_url *u)
{
	return !u->expires || (u->expire > -62135596800 && u->expire < 253402300800);
}

static void same(const struct imap_url *u, const struct imap_url *v)
{
	assert(u->absolute == v->absolute && u->rooted == v->rooted);
	assert(slice_eq(u->user, v->user) && slice_eq(u->host, v->host));
	assert(slice_eq(u->mailbox, v->mailbox) && slice_eq(u->section, v->section));
	assert(u->uid == v->uid && u->uidvalidity == v->uidvalidity);
	assert(u->partial == v->partial && u->offset == v->offset && u->count == v->count);
	assert(u->expires == v->expires && u->expire == v->expire);
	assert(u->access == v->access && slice_eq(u->access_user, v->access_user));
	assert(slice_eq(u->mechanism, v->mechanism) && slice_eq(u->token, v->token));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf out = BUF_INIT(8 * IMAP_URL_MAX);
	struct imap_url u, v;
	struct arena a;

	arena_init(&a, 1 << 20);
	if (imap_url_parse(slice_make((const char *)data, n), &a, &u) == 0 && writable_date(&u)) {
		assert(u.uid > 0);
		imap_url_put(&out, &u);
		assert(!out.err);
		/* %-encoding makes it longer, perhaps too long. */
		if (out.n <= IMAP_URL_MAX) {
			int r = imap_url_parse(buf_slice(&out), &a, &v);
			assert(r == 0);
			same(&u, &v);
		}
	}
	buf_fini(&out);
	arena_fini(&a);
	return 0;
}
