/*
 * auth_login: from a name and a password to an account.
 *
 * One path for everybody (THREATS AU-06): throttle, find the account or not,
 * hash the password either way, compare, wait before saying no. What is
 * wrong (name, password, disabled, malformed) cannot be told from outside.
 */
#include "auth/impl.h"
#include "base/utf8.h"

/* Fills the account's row, or leaves it empty: the caller goes on the same
 * way. <0 only when the store failed. */
int login_find(struct auth *a, struct slice user, struct addr *at, struct account_row *row)
{
	struct buf full = BUF_INIT(2 * AUTH_ADDR_MAX);
	struct domain d;
	int r = addr_parse(user, at);

	if (r < 0 && slice_chr(user, '@') == SIZE_MAX && addr_parse_local(user, at) == 0) {
		buf_add(&full, slice_make(at->text, at->n));
		buf_addc(&full, '@');
		r = domain_first(a, true, &full);
		if (r == 0) {
			r = addr_parse(buf_slice(&full), at);
		}
	}
	buf_fini(&full);
	if (r == 0) {
		r = domain_get(a, at->domain, &d);
	}
	if (r == 0) {
		r = name_get(a, &d, at->local, row, NULL);
		if (r >= 0 && r != NAME_ACCOUNT) {
			*row = (struct account_row){ 0 };
		}
	}
	return r == -EINVAL || r > 0 ? 0 : r;
}

/* authzid may repeat the user, in whatever spelling. */
bool login_same_user(struct slice authzid, struct slice user)
{
	struct addr x;
	struct addr y;

	if (authzid.n == 0 || slice_eq(authzid, user)) {
		return true;
	}
	return addr_parse(authzid, &x) == 0 && addr_parse(user, &y) == 0 &&
	       slice_eq(slice_make(x.text, x.n), slice_make(y.text, y.n));
}

CO_FN static int check(struct auth *a, const struct auth_request *r, const struct addr *at,
		       const struct account_row *row)
{
	struct buf pw = BUF_INIT(4 * AUTH_PASSWORD_MAX);
	struct slice given = slice_sub(r->password, 0, AUTH_PASSWORD_MAX);
	bool bad = r->password.n == 0 || r->password.n > AUTH_PASSWORD_MAX || row->disabled;
	bool other = !login_same_user(r->authzid, r->user);
	int res;

	if (!buf_reserve(&pw, 4 * AUTH_PASSWORD_MAX)) {
		return -ENOMEM;
	}
	if (utf8_nfc(&pw, given) < 0 || pw.err) {
		bad = true;
		buf_reset(&pw);
		buf_add(&pw, given);
	}
	/* A refusal is the same work as for nobody, and never out of the cache;
	 * for another's name it is one in any case. */
	res = password_check(&a->passwords, other ? S("") : slice_make(at->text, at->n),
			     bad ? S("") : slice_cstr(row->phc), buf_slice(&pw));
	explicit_bzero(pw.p, pw.cap);
	buf_fini(&pw);
	return res == AUTH_OK && other ? AUTH_DENIED : res;
}

/* Names that are no addresses are counted as they came. */
struct slice login_counted(struct slice user, const struct addr *at)
{
	return at->n > 0 ? slice_make(at->text, at->n) : slice_sub(user, 0, AUTH_ADDR_MAX);
}

int login_pause(struct auth *a, int ms)
{
	return ms > 0 && !a->no_delays ? co_sleep(ms) : 0;
}

int login_give(const struct addr *at, const struct account_row *row, struct auth_identity *out)
{
	out->account = row->id;
	memcpy(out->address, at->text, at->n);
	out->address[at->n] = '\0';
	memcpy(out->hidden, row->hidden, sizeof(out->hidden));
	return AUTH_OK;
}

int login_begin(struct auth *a, const struct auth_request *r, const struct addr *at,
		struct attempt *out)
{
	int res;

	throttle_begin(&a->throttle, r->peer, login_counted(r->user, at),
		       clock_mono() / NSEC_PER_SEC + 1, out);
	if (out->refuse && !a->no_delays) {
		res = login_pause(a, out->after_ms);
		return res < 0 ? res : AUTH_BUSY;
	}
	return login_pause(a, out->before_ms);
}

/* Keys for SCRAM, of an account that has come to none yet. That it cannot be
 * done is no reason to refuse the login. */
CO_FN static void add_keys(struct auth *a, const struct auth_request *r, const struct addr *at,
			   const struct account_row *row)
{
	struct scram_keys keys[SCRAM_HASHES] = { 0 };
	struct slice address = slice_make(at->text, at->n);

	if (a->scram && row->scram[SCRAM_SHA256].rounds == 0 &&
	    login_keys(a, address, r->password, keys) == 0 && keys[SCRAM_SHA256].rounds) {
		(void)account_add_keys(a, address, row->phc, keys);
	}
	explicit_bzero(keys, sizeof(keys));
}

int auth_login(struct auth *a, const struct auth_request *r, struct auth_identity *out)
{
	struct account_row row = { 0 };
	struct addr at = { .n = 0 };
	struct attempt attempt;
	int res = login_find(a, r->user, &at, &row);

	if (res == 0) {
		res = login_begin(a, r, &at, &attempt);
	}
	if (res != 0) {
		explicit_bzero(&row, sizeof(row));
		return res;
	}
	res = check(a, r, &at, &row);
	if (res == AUTH_FAILED || res == AUTH_DENIED) {
		int cut = login_pause(a, attempt.after_ms);
		res = cut < 0 ? cut : res;
	} else {
		/* Nothing was guessed: right, or we could not say. */
		throttle_success(&a->throttle, &attempt);
	}
	if (res == AUTH_OK) {
		add_keys(a, r, &at, &row);
		login_give(&at, &row, out);
	}
	explicit_bzero(&row, sizeof(row));
	return res;
}
