/*
 * From an account's id to its address: the way back, for lists that hold ids
 * (access lists of mailboxes).
 *
 * Each domain knows its accounts by id, so all domains are asked in turn, the
 * oldest first; most houses have few.
 */
#include "auth/rows.h"

#define NUMBERS_MAX (64u * 1024 * 1024)

static int collect(void *arg, struct slice key, struct slice value)
{
	struct buf *out = arg;
	struct cur k = cur_init(slice_from(key, 1));
	struct cur v = dir_cur(value);
	uint64_t number = cur_get64be(&k);

	if (k.err || v.err) {
		return 1;
	}
	buf_put64le(out, number);
	buf_vbytes(out, cur_rest(&v));
	return 0;
}

/* 0; AUTH_NOTFOUND; -errno. */
CO_FN static int find_in(struct auth *a, uint64_t number, struct slice domain, uint64_t id,
			 struct buf *address)
{
	struct dir_key k = dir_id_key(id);
	struct buf row = BUF_INIT(1024);
	int r = kv_get(a->kv, dir_part(number), dir_key_slice(&k), &row);

	if (r == KV_NOTFOUND) {
		return AUTH_NOTFOUND;
	}
	if (r == KV_OK) {
		struct cur c = dir_cur(buf_slice(&row));

		buf_add(address, cur_rest(&c));
		buf_addc(address, '@');
		buf_add(address, domain);
		r = row.err ? row.err : c.err ? dir_cur_err(&c) : address->err;
	}
	buf_fini(&row);
	return r;
}

int auth_account_by_id(struct auth *a, uint64_t id, struct arena *arena, struct auth_account *out)
{
	struct buf domains = BUF_INIT(NUMBERS_MAX);
	struct buf address = BUF_INIT(AUTH_ADDR_MAX);
	int r = kv_scan_prefix(a->kv, dir_part(0), S("I"), collect, &domains);
	struct cur c = cur_init(buf_slice(&domains));

	r = r > 0 ? -EIO : r < 0 ? r : domains.err ? domains.err : AUTH_NOTFOUND;
	while (r == AUTH_NOTFOUND && !cur_done(&c)) {
		uint64_t number = cur_get64le(&c);
		struct slice domain = cur_vbytes(&c, AUTH_DOMAIN_MAX);

		r = find_in(a, number, domain, id, &address);
	}
	if (r == 0) {
		r = auth_account_get(a, buf_slice(&address), arena, out);
	}
	if (r == 0 && out->id != id) {
		r = AUTH_NOTFOUND; /* renamed at this moment */
	}
	buf_fini(&address);
	buf_fini(&domains);
	return r;
}

int auth_account_named(struct auth *a, struct slice user, struct arena *arena,
		       struct auth_account *out)
{
	struct buf full = BUF_INIT(2 * AUTH_ADDR_MAX);
	struct addr at;
	int r = 0;

	if (slice_chr(user, '@') != SIZE_MAX || addr_parse_local(user, &at) != 0) {
		return auth_account_get(a, user, arena, out);
	}
	buf_add(&full, slice_make(at.text, at.n));
	buf_addc(&full, '@');
	r = domain_first(a, true, &full);
	r = r ? r : full.err;
	if (r == 0) {
		r = auth_account_get(a, buf_slice(&full), arena, out);
	}
	buf_fini(&full);
	return r;
}
