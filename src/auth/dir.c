/*
 * The directory: domains, accounts and aliases as rows in kv.
 *
 * The root partition (number 0) holds the counters and the list of domains;
 * every domain has a partition of its own, named by a number that is never
 * used again. Accounts and aliases of a domain share one space of names. A
 * change reads the partition's version first and commits only if it still
 * holds, so that two administrators never both win; the loser looks again.
 * Account ids come from a counter that is durable before the id is used.
 * The rows are in docs/format.md, "Directory".
 */
#include <stdlib.h>

#include "auth/rows.h"
#include "base/rand.h"

struct kv_part dir_part(uint64_t id)
{
	return (struct kv_part){ .kind = 'd', .a = id, .b = 0 };
}

struct slice dir_key_slice(const struct dir_key *k)
{
	return slice_make(k->b, k->n);
}

struct dir_key dir_key(char kind, struct slice name)
{
	struct dir_key k = { .n = 1 + name.n };

	assert(k.n <= sizeof(k.b));
	k.b[0] = kind;
	if (name.n > 0) {
		memcpy(k.b + 1, name.p, name.n);
	}
	return k;
}

struct dir_key dir_id_key(uint64_t id)
{
	struct dir_key k = { .n = 9 };

	k.b[0] = 'I';
	for (int i = 0; i < 8; i++) {
		k.b[1 + i] = (char)(id >> (56 - 8 * i));
	}
	return k;
}

/* Every row begins with its version. */
static struct cur cur_upto(struct slice value, uint8_t newest)
{
	struct cur c = cur_init(value);
	uint8_t version = cur_get8(&c);

	if (version == 0 || version > newest) {
		cur_fail(&c, value.n > 0 ? -EPROTO : -EIO);
	}
	return c;
}

struct cur dir_cur(struct slice value)
{
	return cur_upto(value, DIR_ROW_VERSION);
}

/* A cursor's error as that of a row: newer than us, or damaged. */
int dir_cur_err(const struct cur *c)
{
	return c->err == 0 ? 0 : c->err == -EPROTO ? -EPROTO : -EIO;
}

CO_FN static int get_row(struct auth *a, uint64_t part, const struct dir_key *k, struct buf *out)
{
	int r = kv_get(a->kv, dir_part(part), dir_key_slice(k), out);

	return r == KV_NOTFOUND ? AUTH_NOTFOUND : r == KV_OK ? out->err : r;
}

/* ---- committing ------------------------------------------------------------ */

/* 0, KV_CONFLICT (look again), or -errno with *e. Frees the batches. */
CO_FN int dir_commit(struct auth *a, struct kv_batch **b, size_t n, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		if (!b[i]) {
			r = -ENOMEM;
		}
	}
	if (r == 0) {
		r = kv_commit(a->kv, b, n);
	}
	for (size_t i = 0; i < n; i++) {
		kv_batch_free(&b[i]);
	}
	if (r == KV_FULL) {
		r = -ENOSPC;
	} else if (r > 0 && r != KV_CONFLICT) {
		r = -EIO;
	}
	return r < 0 ? err_set(e, r, "cannot write the directory", NULL) : r;
}

struct kv_batch *dir_batch(uint64_t part, uint64_t version)
{
	struct kv_batch *b = kv_batch_new(dir_part(part));

	if (b) {
		kv_batch_expect(b, version);
	}
	return b;
}

void dir_put(struct kv_batch *b, const struct dir_key *k, struct buf *v)
{
	if (b) {
		kv_batch_put(b, dir_key_slice(k), buf_slice(v));
	}
}

void dir_del(struct kv_batch *b, const struct dir_key *k)
{
	if (b) {
		kv_batch_del(b, dir_key_slice(k));
	}
}

int dir_temp(struct err *e, int r)
{
	if (r == -EPROTO) {
		return err_set(e, r,
			       "the directory was written by a newer "
			       "version of this program",
			       NULL);
	}
	return r < 0 ? err_set(e, r, "cannot read the directory", NULL) : r;
}

int dir_contended(struct err *e)
{
	return err_set(e, -EAGAIN, "others keep changing the directory", NULL);
}

int dir_bad_address(struct err *e, struct slice s)
{
	return err_set(e, AUTH_INVALID, "not a valid address", "%.*s", (int)MIN(s.n, 100),
		       s.p ? s.p : "");
}

int dir_not_there(struct err *e, const char *text, struct slice s)
{
	return err_set(e, AUTH_NOTFOUND, text, "%.*s", SLICE_ARG(s));
}

int dir_taken(struct err *e, struct slice s)
{
	return err_set(e, AUTH_EXISTS, "the name is taken", "%.*s", SLICE_ARG(s));
}

/* ---- the root -------------------------------------------------------------- */

struct root {
	uint64_t version;
	uint64_t next_domain;
	uint64_t next_account;
};

CO_FN static int root_get(struct auth *a, struct root *out)
{
	struct dir_key k = dir_key('H', S(""));
	struct buf v = BUF_INIT(64);
	struct cur c;
	int r = kv_version(a->kv, dir_part(0), &out->version);

	out->next_domain = out->next_account = 1;
	if (r == 0) {
		r = get_row(a, 0, &k, &v);
	}
	if (r == 0) {
		c = dir_cur(buf_slice(&v));
		out->next_domain = cur_varint(&c);
		out->next_account = cur_varint(&c);
		cur_end(&c);
		r = dir_cur_err(&c);
	} else if (r == AUTH_NOTFOUND) {
		r = 0;
	}
	buf_fini(&v);
	return r;
}

static void root_put(struct kv_batch *b, const struct root *root)
{
	struct dir_key k = dir_key('H', S(""));
	struct buf v = BUF_INIT(64);

	buf_put8(&v, DIR_ROW_VERSION);
	buf_varint(&v, root->next_domain);
	buf_varint(&v, root->next_account);
	dir_put(b, &k, &v);
	buf_fini(&v);
}

/* A number that was never given out, durable as such. */
CO_FN int dir_take_account_id(struct auth *a, uint64_t *out, struct err *e)
{
	for (int i = 0; i < AUTH_RETRIES; i++) {
		struct kv_batch *b;
		struct root root;
		int r = dir_temp(e, root_get(a, &root));

		if (r < 0) {
			return r;
		}
		*out = root.next_account++;
		b = dir_batch(0, root.version);
		if (b) {
			root_put(b, &root);
		}
		r = dir_commit(a, &b, 1, e);
		if (r <= 0) {
			return r;
		}
	}
	return dir_contended(e);
}

/* ---- domains: reading ------------------------------------------------------ */

CO_FN static int domain_id(struct auth *a, struct slice name, uint64_t *out)
{
	struct dir_key k = dir_key('D', name);
	struct buf v = BUF_INIT(64);
	struct cur c;
	int r = get_row(a, 0, &k, &v);

	if (r == 0) {
		c = dir_cur(buf_slice(&v));
		*out = cur_get64le(&c);
		cur_end(&c);
		r = dir_cur_err(&c);
	}
	buf_fini(&v);
	return r;
}

/* kind:8, value:bytes, to the end; an unknown kind is a newer format. */
static void read_domain_more(struct cur *c, struct domain *out)
{
	while (!cur_done(c)) {
		uint8_t kind = cur_get8(c);
		struct slice v = cur_vbytes(c, 1);

		if (kind != DIR_DOMAIN_PLUS && !c->err) {
			cur_fail(c, -EPROTO);
		}
		out->plus = v.n ? v.p[0] : '\0';
	}
}

int domain_get(struct auth *a, struct slice name, struct domain *out)
{
	struct dir_key k = dir_key('H', S(""));
	struct buf v = BUF_INIT(1024);
	struct slice catchall;
	struct cur c;
	int r = domain_id(a, name, &out->id);

	if (r == 0) {
		r = kv_version(a->kv, dir_part(out->id), &out->version);
	}
	if (r == 0) {
		r = get_row(a, out->id, &k, &v);
	}
	if (r == 0) {
		c = cur_upto(buf_slice(&v), DIR_DOMAIN_VERSION);
		out->created = (int64_t)cur_varint(&c);
		catchall = cur_vbytes(&c, AUTH_ADDR_MAX);
		out->plus = AUTH_PLUS;
		if (!c.err && v.p[0] >= DIR_DOMAIN_VERSION) {
			read_domain_more(&c, out);
		}
		cur_end(&c);
		r = dir_cur_err(&c);
		if (r == 0 && slice_copy(catchall, out->catchall, sizeof(out->catchall)) < 0) {
			r = -EIO;
		}
	}
	buf_fini(&v);
	return r;
}

struct first {
	struct buf *name;
	int seen;
	bool only;
	int err;
};

static int first_row(void *arg, struct slice key, struct slice value)
{
	struct first *f = arg;
	struct cur c = dir_cur(value);

	(void)key;
	if (c.err) {
		f->err = dir_cur_err(&c);
		return 1;
	}
	if (f->seen++ == 0) {
		buf_add(f->name, cur_rest(&c));
	}
	return f->only && f->seen == 1 ? 0 : 1;
}

/* Text of the first 'I' row. 0, AUTH_NOTFOUND, -errno. */
CO_FN static int first_of(struct auth *a, uint64_t part, bool only, struct buf *out)
{
	struct first f = { .name = out, .only = only };
	size_t at = out->n;
	int r = kv_scan_prefix(a->kv, dir_part(part), S("I"), first_row, &f);

	if (r < 0 || f.err < 0) {
		return r < 0 ? r : f.err;
	}
	if (f.seen == 0 || (only && f.seen > 1)) {
		buf_truncate(out, at);
		return AUTH_NOTFOUND;
	}
	return out->err;
}

int domain_first(struct auth *a, bool only, struct buf *name_out)
{
	return first_of(a, 0, only, name_out);
}

int auth_domain_is_local(struct auth *a, struct slice domain)
{
	struct buf name = BUF_INIT(AUTH_DOMAIN_MAX);
	struct domain d;
	int r = 0;

	if (auth_domain_canon(domain, &name) == 0) {
		r = domain_get(a, buf_slice(&name), &d);
		r = r == 0 ? 1 : r == AUTH_NOTFOUND ? 0 : r;
	}
	buf_fini(&name);
	return r;
}

/* ---- names: reading -------------------------------------------------------- */

static void read_bytes(struct cur *c, void *out, size_t want)
{
	struct slice s = cur_vbytes(c, want);

	if (!c->err && s.n != want) {
		cur_fail(c, -EIO);
	} else if (!c->err) {
		memcpy(out, s.p, want);
	}
}

static void read_keys(struct slice value, enum scram_hash h, struct scram_keys *out)
{
	struct cur c = cur_init(value);
	struct scram_keys k = { .salt_n = SCRAM_SALT };
	uint64_t rounds = cur_varint(&c);

	read_bytes(&c, k.salt, k.salt_n);
	read_bytes(&c, k.stored, scram_len(h));
	read_bytes(&c, k.server, scram_len(h));
	cur_end(&c);
	/* Keys that cannot be read are keys that are not there: the next login
	 * with the password makes new ones. */
	if (!c.err && rounds > 0 && rounds <= INT32_MAX) {
		k.rounds = (uint32_t)rounds;
		*out = k;
	}
	explicit_bzero(&k, sizeof(k));
}

/* What version 2 has behind the rest: a kind and its bytes, to the end. */
static void read_more(struct cur *c, struct account_row *row)
{
	while (!c->err && !cur_done(c)) {
		uint8_t kind = cur_get8(c);
		struct slice value = cur_vbytes(c, 1024);

		if (c->err) {
			break;
		}
		if (kind == DIR_SCRAM_SHA256 || kind == DIR_SCRAM_SHA1) {
			enum scram_hash h = kind == DIR_SCRAM_SHA1 ? SCRAM_SHA1 : SCRAM_SHA256;
			read_keys(value, h, &row->scram[h]);
		} else if (kind != DIR_HIDDEN ||
			   slice_copy(value, row->hidden, sizeof(row->hidden)) < 0) {
			cur_fail(c, kind == DIR_HIDDEN ? -EIO : -EPROTO);
		}
	}
}

static void read_account(struct cur *c, uint8_t version, struct account_row *row)
{
	struct slice phc;

	memset(row->scram, 0, sizeof(row->scram));
	row->hidden[0] = '\0';
	row->id = cur_get64le(c);
	row->created = (int64_t)cur_varint(c);
	row->disabled = cur_get8(c) & DIR_DISABLED;
	phc = cur_vbytes(c, AUTH_PHC_MAX - 1);
	if (version >= DIR_ACCOUNT_VERSION) {
		read_more(c, row);
	}
	cur_end(c);
	if (!c->err && slice_copy(phc, row->phc, sizeof(row->phc)) < 0) {
		cur_fail(c, -EIO);
	}
}

/* enum name_kind, or -errno. */
int dir_read_name(struct slice value, struct account_row *row, struct buf *targets)
{
	struct cur c = cur_upto(value, DIR_ACCOUNT_VERSION);
	uint8_t version = c.err ? 0 : (uint8_t)value.p[0];
	uint8_t kind = cur_get8(&c);

	if (!c.err && kind == NAME_ACCOUNT) {
		struct account_row scratch;

		read_account(&c, version, row ? row : &scratch);
	} else if (!c.err && kind == NAME_ALIAS && version == DIR_ROW_VERSION) {
		if (targets) {
			buf_add(targets, cur_rest(&c));
		}
	} else {
		cur_fail(&c, -EIO);
	}
	if (c.err) {
		return dir_cur_err(&c);
	}
	return targets && targets->err ? targets->err : (int)kind;
}

int name_get(struct auth *a, const struct domain *d, struct slice local, struct account_row *row,
	     struct buf *targets)
{
	struct dir_key k = dir_key('N', local);
	struct buf v = BUF_INIT(KV_VALUE_MAX);
	int r = get_row(a, d->id, &k, &v);

	if (r == 0) {
		r = dir_read_name(buf_slice(&v), row, targets);
	} else if (r == AUTH_NOTFOUND) {
		r = NAME_NONE;
	}
	if (v.p) {
		explicit_bzero(v.p, v.n);
	}
	buf_fini(&v);
	return r;
}

struct slice targets_next(struct cur *c)
{
	return cur_done(c) ? slice_make(NULL, 0) : cur_vbytes(c, AUTH_ADDR_MAX);
}

int domain_oldest(struct auth *a, const struct domain *d, uint64_t *id_out)
{
	struct buf local = BUF_INIT(AUTH_ADDR_MAX);
	struct account_row row;
	int r = first_of(a, d->id, false, &local);

	if (r == 0) {
		r = name_get(a, d, buf_slice(&local), &row, NULL);
		if (r >= 0) {
			*id_out = row.id;
			r = r == NAME_ACCOUNT ? 0 : AUTH_NOTFOUND;
		}
	}
	buf_fini(&local);
	explicit_bzero(&row, sizeof(row));
	return r;
}

/* ---- domains: writing ------------------------------------------------------ */

int dir_canon_domain(struct slice domain, struct buf *out, struct err *e)
{
	if (auth_domain_canon(domain, out) < 0) {
		return err_set(e, AUTH_INVALID, "not a valid domain", "%.*s",
			       (int)MIN(domain.n, 100), domain.p ? domain.p : "");
	}
	return 0;
}

void dir_put_domain(struct kv_batch *b, const struct domain *d)
{
	struct dir_key k = dir_key('H', S(""));
	struct buf v = BUF_INIT(1024);
	bool more = d->plus != AUTH_PLUS;

	buf_put8(&v, more ? DIR_DOMAIN_VERSION : DIR_ROW_VERSION);
	buf_varint(&v, (uint64_t)d->created);
	buf_vbytes(&v, slice_cstr(d->catchall));
	if (more) {
		buf_put8(&v, DIR_DOMAIN_PLUS);
		buf_vbytes(&v, slice_make(&d->plus, d->plus != '\0'));
	}
	dir_put(b, &k, &v);
	buf_fini(&v);
}

static void put_domain_name(struct kv_batch *b, struct slice name, uint64_t id)
{
	struct dir_key k = dir_key('D', name);
	struct dir_key ik = dir_id_key(id);
	struct buf v = BUF_INIT(1024);

	buf_put8(&v, DIR_ROW_VERSION);
	buf_put64le(&v, id);
	dir_put(b, &k, &v);
	buf_reset(&v);
	buf_put8(&v, DIR_ROW_VERSION);
	buf_add(&v, name);
	dir_put(b, &ik, &v);
	buf_fini(&v);
}

/* The domain's own partition first: a name in the root always leads to one. */
CO_FN static int add_domain(struct auth *a, struct slice name, struct root *root, struct err *e)
{
	struct domain d = { .id = root->next_domain++, .created = clock_wall(), .plus = AUTH_PLUS };
	struct kv_batch *b[2] = { kv_batch_new(dir_part(d.id)), dir_batch(0, root->version) };

	if (b[0] && b[1]) {
		dir_put_domain(b[0], &d);
		put_domain_name(b[1], name, d.id);
		root_put(b[1], root);
	}
	return dir_commit(a, b, 2, e);
}

CO_FN static int domain_add(struct auth *a, struct slice name, struct err *e)
{
	for (int i = 0; i < AUTH_RETRIES; i++) {
		struct domain d;
		struct root root;
		int r = root_get(a, &root);

		if (r == 0) {
			r = domain_get(a, name, &d);
		}
		if (r == 0) {
			return dir_taken(e, name);
		}
		if (r < 0) {
			return dir_temp(e, r);
		}
		r = add_domain(a, name, &root, e);
		if (r <= 0) {
			return r;
		}
	}
	return dir_contended(e);
}

int auth_domain_add(struct auth *a, struct slice domain, struct err *e)
{
	struct buf name = BUF_INIT(AUTH_DOMAIN_MAX);
	int r = dir_canon_domain(domain, &name, e);

	if (r == 0) {
		r = domain_add(a, buf_slice(&name), e);
	}
	buf_fini(&name);
	return r;
}

static int any_row(void *arg, struct slice key, struct slice value)
{
	(void)arg;
	(void)key;
	(void)value;
	return 1;
}

CO_FN static int drop_domain(struct auth *a, struct slice name, const struct domain *d,
			     struct err *e)
{
	struct kv_batch *b[2] = { dir_batch(d->id, d->version), kv_batch_new(dir_part(0)) };
	struct dir_key k = dir_key('D', name);
	struct dir_key ik = dir_id_key(d->id);

	if (b[0] && b[1]) {
		kv_batch_del_range(b[0], S(""), S(""));
		kv_batch_frees(b[0]);
		kv_batch_frees(b[1]);
	}
	dir_del(b[1], &k);
	dir_del(b[1], &ik);
	return dir_commit(a, b, 2, e);
}

CO_FN static int domain_remove(struct auth *a, struct slice name, struct err *e)
{
	for (int i = 0; i < AUTH_RETRIES; i++) {
		struct domain d;
		int r = domain_get(a, name, &d);

		if (r == AUTH_NOTFOUND) {
			return dir_not_there(e, "no such domain here", name);
		}
		if (r == 0) {
			r = kv_scan_prefix(a->kv, dir_part(d.id), S("N"), any_row, NULL);
		}
		if (r < 0) {
			return dir_temp(e, r);
		}
		if (r > 0) {
			return err_set(e, AUTH_NOTEMPTY,
				       "the domain still has accounts or "
				       "aliases",
				       "%.*s", SLICE_ARG(name));
		}
		r = drop_domain(a, name, &d, e);
		if (r <= 0) {
			return r;
		}
	}
	return dir_contended(e);
}

int auth_domain_remove(struct auth *a, struct slice domain, struct err *e)
{
	struct buf name = BUF_INIT(AUTH_DOMAIN_MAX);
	int r = dir_canon_domain(domain, &name, e);

	if (r == 0) {
		r = domain_remove(a, buf_slice(&name), e);
	}
	buf_fini(&name);
	return r;
}

/* ---- SCRAM's secret ---------------------------------------------------------- */

/* What salts are made of: it outlives restarts, or they would tell who is an
 * account (THREATS AU-06). */
CO_FN static int secret_get(struct auth *a, unsigned char out[32])
{
	struct dir_key k = dir_key('S', S(""));
	struct buf v = BUF_INIT(64);
	struct cur c;
	int r = get_row(a, 0, &k, &v);

	if (r == 0) {
		c = dir_cur(buf_slice(&v));
		read_bytes(&c, out, 32);
		cur_end(&c);
		r = dir_cur_err(&c);
	}
	buf_fini(&v);
	return r;
}

CO_FN static int secret_make(struct auth *a, uint64_t version, struct err *e)
{
	struct dir_key k = dir_key('S', S(""));
	struct buf v = BUF_INIT(64);
	struct kv_batch *b = dir_batch(0, version);
	char fresh[32];

	rand_bytes(fresh, sizeof(fresh));
	buf_put8(&v, DIR_ROW_VERSION);
	buf_vbytes(&v, slice_make(fresh, sizeof(fresh)));
	dir_put(b, &k, &v);
	buf_fini(&v);
	explicit_bzero(fresh, sizeof(fresh));
	return dir_commit(a, &b, 1, e);
}

int auth_scram_on(struct auth *a, struct err *e)
{
	for (int i = 0; i < AUTH_RETRIES; i++) {
		uint64_t version;
		int r = kv_version(a->kv, dir_part(0), &version);

		if (r == 0) {
			r = secret_get(a, a->scram_secret);
		}
		if (r == 0) {
			a->scram = true;
		}
		if (r != AUTH_NOTFOUND) {
			return dir_temp(e, r);
		}
		r = secret_make(a, version, e);
		if (r < 0) {
			return r;
		}
	}
	return dir_contended(e);
}

/* ---- opening --------------------------------------------------------------- */

int auth_open(const struct auth_opts *o, struct auth **out, struct err *e)
{
	struct auth *a = calloc(1, sizeof(*a));
	struct root root;
	int r;

	if (!a) {
		return err_set(e, -ENOMEM, "no memory", NULL);
	}
	a->kv = o->kv;
	a->no_delays = o->no_delays;
	r = dir_temp(e, root_get(a, &root));
	if (r < 0) {
		free(a);
		return r;
	}
	r = passwords_init(&a->passwords, o->argon_memory_kib, o->argon_passes);
	if (r < 0) {
		free(a);
		return err_set(e, r, "cannot set up password hashing", NULL);
	}
	r = throttle_init(&a->throttle);
	if (r < 0) {
		passwords_fini(&a->passwords);
		free(a);
		return err_set(e, r, "no memory", NULL);
	}
	if (o->scram) {
		r = auth_scram_on(a, e);
	}
	if (r < 0) {
		auth_close(&a);
		return r;
	}
	*out = a;
	return 0;
}

void auth_close(struct auth **ap)
{
	struct auth *a = TAKE_PTR(*ap);

	if (a) {
		throttle_fini(&a->throttle);
		passwords_fini(&a->passwords);
		explicit_bzero(a->scram_secret, sizeof(a->scram_secret));
		free(a);
	}
}
