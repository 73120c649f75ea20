/*
 * Accounts and aliases: adding, changing, removing.
 *
 * Both are names of a domain's partition, so one look tells whether a name is
 * free. Every change is: read the place with its partition's version, check,
 * commit if the version still holds, else look again. Passwords are hashed
 * before, outside of that loop, and wiped from memory after.
 */
#include "auth/rows.h"
#include "base/utf8.h"

/* ---- names: writing -------------------------------------------------------- */

static void add_keys(struct buf *v, enum dir_more kind, enum scram_hash h,
		     const struct scram_keys *k)
{
	struct buf one = BUF_INIT(256);

	if (k->rounds == 0) {
		return;
	}
	buf_varint(&one, k->rounds);
	buf_vbytes(&one, slice_make((const char *)k->salt, k->salt_n));
	buf_vbytes(&one, slice_make((const char *)k->stored, scram_len(h)));
	buf_vbytes(&one, slice_make((const char *)k->server, scram_len(h)));
	buf_put8(v, (uint8_t)kind);
	buf_vbytes(v, buf_slice(&one));
	if (one.err) {
		v->err = one.err;
	} else {
		explicit_bzero(one.p, one.n);
	}
	buf_fini(&one);
}

static void add_more(struct buf *v, const struct account_row *row)
{
	add_keys(v, DIR_SCRAM_SHA256, SCRAM_SHA256, &row->scram[SCRAM_SHA256]);
	add_keys(v, DIR_SCRAM_SHA1, SCRAM_SHA1, &row->scram[SCRAM_SHA1]);
	if (row->hidden[0]) {
		buf_put8(v, DIR_HIDDEN);
		buf_vbytes(v, slice_cstr(row->hidden));
	}
}

/* Version 2 only where it must be: what an older program can read stays so. */
static bool has_more(const struct account_row *row)
{
	return row->scram[SCRAM_SHA256].rounds || row->scram[SCRAM_SHA1].rounds || row->hidden[0];
}

static void put_account(struct kv_batch *b, struct slice local, const struct account_row *row)
{
	struct dir_key k = dir_key('N', local);
	struct dir_key ik = dir_id_key(row->id);
	struct buf v = BUF_INIT(2048);

	buf_put8(&v, has_more(row) ? DIR_ACCOUNT_VERSION : DIR_ROW_VERSION);
	buf_put8(&v, NAME_ACCOUNT);
	buf_put64le(&v, row->id);
	buf_varint(&v, (uint64_t)row->created);
	buf_put8(&v, row->disabled ? DIR_DISABLED : 0);
	buf_vbytes(&v, slice_cstr(row->phc));
	add_more(&v, row);
	dir_put(b, &k, &v);
	if (v.p) {
		explicit_bzero(v.p, v.n);
	}
	buf_reset(&v);
	buf_put8(&v, DIR_ROW_VERSION);
	buf_add(&v, local);
	dir_put(b, &ik, &v);
	buf_fini(&v);
}

static void del_account(struct kv_batch *b, struct slice local, uint64_t id)
{
	struct dir_key k = dir_key('N', local);
	struct dir_key ik = dir_id_key(id);

	dir_del(b, &k);
	dir_del(b, &ik);
}

/* ---- changing a name ------------------------------------------------------- */

/* An address, its domain, and what stands there now. */
struct place {
	struct addr at;
	struct domain d;
	enum name_kind kind;
	struct account_row row;
};

/* Reads the place again; p->at is set. 0, AUTH_NOTFOUND (domain), -errno. */
CO_FN static int place_load(struct auth *a, struct place *p, struct err *e)
{
	int r = domain_get(a, p->at.domain, &p->d);

	if (r == AUTH_NOTFOUND) {
		return dir_not_there(e, "no such domain here", p->at.domain);
	}
	if (r == 0) {
		r = name_get(a, &p->d, p->at.local, &p->row, NULL);
	}
	if (r < 0) {
		return dir_temp(e, r);
	}
	p->kind = (enum name_kind)r;
	return 0;
}

/* The same from text, for an account that must be there. */
CO_FN static int place_account(struct auth *a, struct slice address, struct place *p, struct err *e)
{
	int r;

	if (addr_parse(address, &p->at) < 0) {
		return dir_bad_address(e, address);
	}
	r = place_load(a, p, e);
	if (r == 0 && p->kind != NAME_ACCOUNT) {
		r = dir_not_there(e, "no such account", slice_make(p->at.text, p->at.n));
	}
	return r;
}

static void place_wipe(struct place *p)
{
	explicit_bzero(&p->row, sizeof(p->row));
}

/* ---- accounts -------------------------------------------------------------- */

/*
 * The password as it is hashed: NFC (RFC 8265 4.2), so that the same letters
 * typed on another machine are the same password.
 */
static int canon_password(struct slice in, struct buf *out, struct err *e)
{
	if (in.n == 0 || in.n > AUTH_PASSWORD_MAX) {
		return err_set(e, AUTH_INVALID,
			       "a password has 1 to 1024 "
			       "bytes",
			       NULL);
	}
	for (size_t i = 0; i < in.n; i++) {
		if ((unsigned char)in.p[i] < ' ' || in.p[i] == 0x7f) {
			return err_set(e, AUTH_INVALID,
				       "a password has no "
				       "control characters",
				       NULL);
		}
	}
	if (!buf_reserve(out, 4 * AUTH_PASSWORD_MAX) || utf8_nfc(out, in) < 0 || out->err) {
		return err_set(e, AUTH_INVALID, "a password is UTF-8 text", NULL);
	}
	return 0;
}

/* What is kept instead of the password, into the row. */
CO_FN static int make_secrets(struct auth *a, const struct addr *at, struct slice password,
			      struct account_row *row, struct err *e)
{
	struct buf pw = BUF_INIT(4 * AUTH_PASSWORD_MAX);
	int r = canon_password(password, &pw, e);

	if (r != 0) {
		goto out;
	}
	r = password_hash(&a->passwords, buf_slice(&pw), row->phc);
	if (r == 0 && a->scram) {
		r = login_keys(a, slice_make(at->text, at->n), password, row->scram);
	}
	if (r == AUTH_BUSY) {
		err_set(e, r, "too many passwords are being hashed", NULL);
	} else if (r < 0) {
		err_set(e, r, "cannot hash the password", NULL);
	}
out:
	if (pw.p) {
		explicit_bzero(pw.p, pw.cap);
	}
	buf_fini(&pw);
	return r;
}

CO_FN static int place_free(struct auth *a, struct place *p, struct err *e)
{
	int r = place_load(a, p, e);

	if (r == 0 && p->kind != NAME_NONE) {
		r = dir_taken(e, slice_make(p->at.text, p->at.n));
	}
	return r == 0 ? name_check(a, &p->d, &p->at, e) : r;
}

CO_FN static int insert_account(struct auth *a, struct place *p, const struct account_row *row,
				struct err *e)
{
	for (int i = 0; i < AUTH_RETRIES; i++) {
		struct kv_batch *b;
		int r = place_free(a, p, e);

		if (r != 0) {
			return r;
		}
		b = dir_batch(p->d.id, p->d.version);
		put_account(b, p->at.local, row);
		r = dir_commit(a, &b, 1, e);
		if (r <= 0) {
			return r;
		}
	}
	return dir_contended(e);
}

int auth_account_add(struct auth *a, struct slice address, struct slice password, uint64_t *id_out,
		     struct err *e)
{
	struct account_row row = { .created = clock_wall() };
	struct place p = { .kind = NAME_NONE };
	int r;

	if (addr_parse(address, &p.at) < 0) {
		return dir_bad_address(e, address);
	}
	r = place_free(a, &p, e);
	if (r == 0) {
		r = make_secrets(a, &p.at, password, &row, e);
	}
	if (r == 0) {
		r = dir_take_account_id(a, &row.id, e);
	}
	if (r == 0) {
		r = insert_account(a, &p, &row, e);
	}
	if (r == 0 && id_out) {
		*id_out = row.id;
	}
	explicit_bzero(&row, sizeof(row));
	return r;
}

int auth_account_remove(struct auth *a, struct slice address, uint64_t *id_out, struct err *e)
{
	for (int i = 0; i < AUTH_RETRIES; i++) {
		struct kv_batch *b;
		struct place p = { .kind = NAME_NONE };
		uint64_t id;
		int r = place_account(a, address, &p, e);

		id = p.row.id;
		place_wipe(&p);
		if (r != 0) {
			return r;
		}
		b = dir_batch(p.d.id, p.d.version);
		if (b) {
			del_account(b, p.at.local, id);
			kv_batch_frees(b);
		}
		r = dir_commit(a, &b, 1, e);
		if (r == 0 && id_out) {
			*id_out = id;
		}
		if (r <= 0) {
			return r;
		}
	}
	return dir_contended(e);
}

int auth_account_get(struct auth *a, struct slice address, struct arena *arena,
		     struct auth_account *out)
{
	struct place p = { .kind = NAME_NONE };
	int r = place_account(a, address, &p, NULL);

	if (r == 0) {
		*out = (struct auth_account){
			.id = p.row.id,
			.address = arena_dup(arena, slice_make(p.at.text, p.at.n)),
			.disabled = p.row.disabled,
			.created = p.row.created,
			.hidden = arena_dup(arena, slice_cstr(p.row.hidden)),
		};
		r = arena_err(arena);
	}
	place_wipe(&p);
	return r;
}

/* Reads the account, lets fn change its row, writes it if that gave 0. */
CO_FN static int update_account(struct auth *a, struct slice address,
				int (*fn)(struct account_row *row, const void *arg),
				const void *arg, struct err *e)
{
	for (int i = 0; i < AUTH_RETRIES; i++) {
		struct kv_batch *b;
		struct place p = { .kind = NAME_NONE };
		int r = place_account(a, address, &p, e);

		r = r ? r : fn(&p.row, arg);
		if (r != 0) {
			place_wipe(&p);
			return r;
		}
		b = dir_batch(p.d.id, p.d.version);
		put_account(b, p.at.local, &p.row);
		place_wipe(&p);
		r = dir_commit(a, &b, 1, e);
		if (r <= 0) {
			return r;
		}
	}
	return dir_contended(e);
}

/* All of them: what belonged to the old password goes with it. */
static int set_secrets(struct account_row *row, const void *arg)
{
	const struct account_row *fresh = arg;

	memcpy(row->phc, fresh->phc, sizeof(row->phc));
	memcpy(row->scram, fresh->scram, sizeof(row->scram));
	return 0;
}

int auth_account_password(struct auth *a, struct slice address, struct slice password,
			  struct err *e)
{
	struct account_row fresh = { 0 };
	struct place p = { .kind = NAME_NONE };
	int r = place_account(a, address, &p, e);

	place_wipe(&p);
	if (r == 0) {
		r = make_secrets(a, &p.at, password, &fresh, e);
	}
	if (r == 0) {
		r = update_account(a, address, set_secrets, &fresh, e);
	}
	explicit_bzero(&fresh, sizeof(fresh));
	return r;
}

struct more_keys {
	const char *phc;
	const struct scram_keys *keys;
};

static int set_keys(struct account_row *row, const void *arg)
{
	const struct more_keys *m = arg;

	if (strcmp(row->phc, m->phc) != 0) {
		return AUTH_NOTFOUND; /* the password was changed meanwhile */
	}
	memcpy(row->scram, m->keys, sizeof(row->scram));
	return 0;
}

int account_add_keys(struct auth *a, struct slice address, const char *phc,
		     const struct scram_keys keys[SCRAM_HASHES])
{
	struct more_keys m = { phc, keys };

	return update_account(a, address, set_keys, &m, NULL);
}

static int set_hidden(struct account_row *row, const void *arg)
{
	const struct slice *names = arg;

	return slice_copy(*names, row->hidden, sizeof(row->hidden));
}

int auth_account_hide(struct auth *a, struct slice address, struct slice names, struct err *e)
{
	if (names.n > AUTH_HIDDEN_MAX || !slice_is_printable(names)) {
		return err_set(e, AUTH_INVALID, "too many names to hide", NULL);
	}
	return update_account(a, address, set_hidden, &names, e);
}

static int set_disabled(struct account_row *row, const void *arg)
{
	row->disabled = *(const bool *)arg;
	return 0;
}

int auth_account_disable(struct auth *a, struct slice address, bool disabled, struct err *e)
{
	return update_account(a, address, set_disabled, &disabled, e);
}

/* The new name first: in between there may be two, never none. */
CO_FN static int move_account(struct auth *a, const struct place *from, const struct place *to,
			      struct err *e)
{
	struct kv_batch *b[2] = { dir_batch(to->d.id, to->d.version), NULL };
	bool same = to->d.id == from->d.id;

	if (!same) {
		b[1] = dir_batch(from->d.id, from->d.version);
	}
	if (b[0] && (same || b[1])) {
		del_account(same ? b[0] : b[1], from->at.local, from->row.id);
		put_account(b[0], to->at.local, &from->row);
	}
	return dir_commit(a, b, same ? 1 : 2, e);
}

int auth_account_rename(struct auth *a, struct slice from, struct slice to, struct err *e)
{
	for (int i = 0; i < AUTH_RETRIES; i++) {
		struct place src = { .kind = NAME_NONE };
		struct place dst = { .kind = NAME_NONE };
		int r = place_account(a, from, &src, e);

		if (r == 0 && addr_parse(to, &dst.at) < 0) {
			r = dir_bad_address(e, to);
		}
		if (r == 0) {
			r = place_free(a, &dst, e);
		}
		if (r != 0) {
			place_wipe(&src);
			return r;
		}
		r = move_account(a, &src, &dst, e);
		place_wipe(&src);
		if (r <= 0) {
			return r;
		}
	}
	return dir_contended(e);
}

/* ---- aliases --------------------------------------------------------------- */

/* The targets record: canonical addresses, each with its length. */
static int make_targets(const struct slice *targets, size_t n, struct buf *out, struct err *e)
{
	if (n == 0 || n > AUTH_TARGETS_MAX) {
		return err_set(e, AUTH_INVALID,
			       "an alias has 1 to 1000 "
			       "targets",
			       NULL);
	}
	for (size_t i = 0; i < n; i++) {
		struct addr to;

		if (addr_parse(targets[i], &to) < 0) {
			return dir_bad_address(e, targets[i]);
		}
		buf_vbytes(out, slice_make(to.text, to.n));
	}
	return out->err ? err_set(e, out->err, "too many targets", NULL) : 0;
}

CO_FN static int put_alias(struct auth *a, struct place *p, struct buf *row, struct err *e)
{
	for (int i = 0; i < AUTH_RETRIES; i++) {
		struct dir_key k = dir_key('N', p->at.local);
		struct kv_batch *b;
		int r = place_load(a, p, e);

		place_wipe(p);
		if (r != 0) {
			return r;
		}
		if (p->kind == NAME_ACCOUNT) {
			return dir_taken(e, slice_make(p->at.text, p->at.n));
		}
		r = p->kind == NAME_NONE ? name_check(a, &p->d, &p->at, e) : 0;
		if (r != 0) {
			return r;
		}
		b = dir_batch(p->d.id, p->d.version);
		dir_put(b, &k, row);
		r = dir_commit(a, &b, 1, e);
		if (r <= 0) {
			return r;
		}
	}
	return dir_contended(e);
}

int auth_alias_add(struct auth *a, struct slice address, const struct slice *targets, size_t n,
		   struct err *e)
{
	struct buf row = BUF_INIT(512 * 1024);
	struct place p = { .kind = NAME_NONE };
	int r;

	if (addr_parse(address, &p.at) < 0) {
		return dir_bad_address(e, address);
	}
	buf_put8(&row, DIR_ROW_VERSION);
	buf_put8(&row, NAME_ALIAS);
	r = make_targets(targets, n, &row, e);
	if (r == 0) {
		r = route_would_loop(a, &p.at, targets, n);
		if (r > 0) {
			r = err_set(e, AUTH_INVALID,
				    "the alias would lead "
				    "back to itself",
				    "%.*s", (int)p.at.n, p.at.text);
		}
	}
	if (r == 0) {
		r = put_alias(a, &p, &row, e);
	}
	buf_fini(&row);
	return r;
}

int auth_alias_remove(struct auth *a, struct slice address, struct err *e)
{
	struct place p = { .kind = NAME_NONE };

	if (addr_parse(address, &p.at) < 0) {
		return dir_bad_address(e, address);
	}
	for (int i = 0; i < AUTH_RETRIES; i++) {
		struct dir_key k = dir_key('N', p.at.local);
		struct kv_batch *b;
		int r = place_load(a, &p, e);

		place_wipe(&p);
		if (r == 0 && p.kind != NAME_ALIAS) {
			r = dir_not_there(e, "no such alias", slice_make(p.at.text, p.at.n));
		}
		if (r != 0) {
			return r;
		}
		b = dir_batch(p.d.id, p.d.version);
		if (b) {
			dir_del(b, &k);
			kv_batch_frees(b);
		}
		r = dir_commit(a, &b, 1, e);
		if (r <= 0) {
			return r;
		}
	}
	return dir_contended(e);
}
