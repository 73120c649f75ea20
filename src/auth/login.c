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
CO_FN static int find(struct auth *a, struct slice user, struct addr *at, struct account_row *row)
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
			row->id = 0;
			row->phc[0] = '\0';
		}
	}
	return r == -EINVAL || r > 0 ? 0 : r;
}

/* authzid may repeat the user, in whatever spelling. */
static bool same_user(struct slice authzid, struct slice user)
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
	bool bad = r->password.n == 0 || r->password.n > AUTH_PASSWORD_MAX ||
		   !same_user(r->authzid, r->user) || row->disabled;
	int res;

	if (!buf_reserve(&pw, 4 * AUTH_PASSWORD_MAX)) {
		return -ENOMEM;
	}
	if (utf8_nfc(&pw, given) < 0 || pw.err) {
		bad = true;
		buf_reset(&pw);
		buf_add(&pw, given);
	}
	/* A refusal is the same work as for nobody, and never out of the cache. */
	res = password_check(&a->passwords, slice_make(at->text, at->n),
			     bad ? S("") : slice_cstr(row->phc), buf_slice(&pw));
	explicit_bzero(pw.p, pw.cap);
	buf_fini(&pw);
	return res;
}

/* Names that are no addresses are counted as they came. */
static struct slice counted_name(struct slice user, const struct addr *at)
{
	return at->n > 0 ? slice_make(at->text, at->n) : slice_sub(user, 0, AUTH_ADDR_MAX);
}

CO_FN static int pause_ms(struct auth *a, int ms)
{
	return ms > 0 && !a->no_delays ? co_sleep(ms) : 0;
}

static int give(const struct addr *at, const struct account_row *row, struct auth_identity *out)
{
	out->account = row->id;
	memcpy(out->address, at->text, at->n);
	out->address[at->n] = '\0';
	return AUTH_OK;
}

int auth_login(struct auth *a, const struct auth_request *r, struct auth_identity *out)
{
	struct account_row row = { 0 };
	struct addr at = { .n = 0 };
	struct attempt attempt;
	int res = find(a, r->user, &at, &row);

	if (res < 0) {
		return res;
	}
	throttle_begin(&a->throttle, r->peer, counted_name(r->user, &at),
		       clock_mono() / NSEC_PER_SEC + 1, &attempt);
	if (attempt.refuse && !a->no_delays) {
		explicit_bzero(&row, sizeof(row));
		res = pause_ms(a, attempt.after_ms);
		return res < 0 ? res : AUTH_BUSY;
	}
	res = pause_ms(a, attempt.before_ms);
	if (res == 0) {
		res = check(a, r, &at, &row);
	}
	explicit_bzero(row.phc, sizeof(row.phc));
	if (res == AUTH_FAILED) {
		res = pause_ms(a, attempt.after_ms);
		return res < 0 ? res : AUTH_FAILED;
	}
	/* Nothing was guessed: right, or we could not say. */
	throttle_success(&a->throttle, &attempt);
	return res == AUTH_OK ? give(&at, &row, out) : res;
}
