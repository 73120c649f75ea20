/*
 * SCRAM's side of a login: which keys an exchange runs with, and its end.
 *
 * Nobody can tell an account from none (THREATS AU-06): a salt is a keyed hash
 * of the address, whoever it belongs to, the count is one for all, and the last
 * message costs the same work and is answered after the same delay. What an
 * account has is read again at the end: its password may have been changed or
 * it may have been disabled since (AU-12). Only the last message is a guess, so
 * only that is counted.
 */
#include <openssl/hmac.h>

#include "auth/impl.h"

static const char *const purposes[SCRAM_HASHES][3] = {
	[SCRAM_SHA256] = { "salt-256 ", "stored-256 ", "server-256 " },
	[SCRAM_SHA1] = { "salt-1 ", "stored-1 ", "server-1 " },
};

static void keyed(const struct auth *a, const char *purpose, struct slice address,
		  unsigned char out[32])
{
	struct buf b = BUF_INIT(64 + AUTH_ADDR_MAX);
	unsigned n = 0;

	buf_adds(&b, purpose);
	buf_add(&b, address);
	if (b.err || !HMAC(EVP_sha256(), a->scram_secret, sizeof(a->scram_secret),
			   (const unsigned char *)b.p, b.n, out, &n)) {
		memset(out, 0, 32); /* no memory: everybody's, then */
	}
	buf_fini(&b);
}

void login_salt(const struct auth *a, enum scram_hash h, struct slice address,
		struct scram_keys *out)
{
	unsigned char salt[32];

	keyed(a, purposes[h][0], address, salt);
	out->rounds = SCRAM_ROUNDS;
	out->salt_n = SCRAM_SALT;
	memcpy(out->salt, salt, SCRAM_SALT);
}

int login_keys(struct auth *a, struct slice address, struct slice password,
	       struct scram_keys out[SCRAM_HASHES])
{
	struct buf prepared = BUF_INIT(64u * 1024);
	int r = scram_prepare(password, &prepared);

	if (r == 0) {
		for (int h = 0; h < SCRAM_HASHES; h++) {
			login_salt(a, (enum scram_hash)h, address, &out[h]);
		}
		r = password_scram(&a->passwords, buf_slice(&prepared), out);
	}
	if (r != 0) {
		memset(out, 0, SCRAM_HASHES * sizeof(*out));
	}
	if (prepared.p) {
		explicit_bzero(prepared.p, prepared.cap);
	}
	buf_fini(&prepared);
	return r == -EINVAL ? 0 : r;
}

/* The account's, or what looks like it. True: they are its own. */
static bool keys_of(const struct auth *a, enum scram_hash h, struct slice name,
		    const struct account_row *row, struct scram_keys *out)
{
	bool own = row->id && row->scram[h].rounds;

	login_salt(a, h, name, out);
	keyed(a, purposes[h][1], name, out->stored);
	keyed(a, purposes[h][2], name, out->server);
	if (own) {
		*out = row->scram[h];
	}
	return own;
}

int login_scram_keys(struct auth *a, enum scram_hash h, struct slice user, struct scram_keys *out)
{
	struct account_row row = { 0 };
	struct addr at = { .n = 0 };
	int r = login_find(a, user, &at, &row);

	if (r == 0) {
		keys_of(a, h, login_counted(user, &at), &row, out);
	}
	explicit_bzero(&row, sizeof(row));
	return r;
}

/* Is the proof right, of the keys that the account has now? */
static int check(const struct auth *a, const struct auth_request *r, struct scram *x,
		 struct slice final, const struct addr *at, const struct account_row *row,
		 struct buf *out)
{
	struct scram_keys now;
	bool own = keys_of(a, x->hash, login_counted(r->user, at), row, &now);
	int res = scram_final(x, final, out);

	own = own && !row->disabled && secret_eq(&now, &x->keys, sizeof(now));
	explicit_bzero(&now, sizeof(now));
	if (res < 0) {
		return res == -EINVAL ? AUTH_INVALID : res;
	}
	if (res == 0 || !own) {
		return AUTH_FAILED;
	}
	return login_same_user(r->authzid, r->user) ? AUTH_OK : AUTH_DENIED;
}

int login_scram(struct auth *a, const struct auth_request *r, struct scram *x, struct slice final,
		struct buf *out, struct auth_identity *id)
{
	struct account_row row = { 0 };
	struct addr at = { .n = 0 };
	struct attempt attempt;
	size_t start = out->n;
	int res = login_find(a, r->user, &at, &row);

	if (res == 0) {
		res = login_begin(a, r, &at, &attempt);
	}
	if (res == 0) {
		res = check(a, r, x, final, &at, &row, out);
		if (res == AUTH_OK || res < 0) {
			throttle_success(&a->throttle, &attempt);
		} else {
			int cut = login_pause(a, attempt.after_ms);
			res = cut < 0 ? cut : res;
		}
	}
	if (res == AUTH_OK) {
		login_give(&at, &row, id);
	} else {
		buf_truncate(out, start);
	}
	explicit_bzero(&row, sizeof(row));
	return res;
}
