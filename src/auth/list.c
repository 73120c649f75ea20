/*
 * Lists of domains, accounts and aliases, in the order of their names.
 *
 * The names of the domains are gathered first, because a row callback may
 * not go back to the engine; each domain's rows then come in one scan.
 */
#include "auth/rows.h"

#define NAMES_MAX (64u * 1024 * 1024)

/* ---- lists ----------------------------------------------------------------- */

static int collect_name(void *arg, struct slice key, struct slice value)
{
	struct buf *names = arg;

	(void)value;
	buf_vbytes(names, slice_from(key, 1));
	return 0;
}

/* Calls fn with each domain that exists, in order. */
CO_FN static int each_domain(struct auth *a,
			     int (*fn)(struct auth *a, struct slice name, const struct domain *d,
				       void *arg),
			     void *arg)
{
	struct buf names = BUF_INIT(NAMES_MAX);
	int r = kv_scan_prefix(a->kv, dir_part(0), S("D"), collect_name, &names);
	struct cur c = cur_init(buf_slice(&names));

	r = r == 0 ? names.err : r;
	while (r == 0 && !cur_done(&c)) {
		struct slice name = cur_vbytes(&c, AUTH_DOMAIN_MAX);
		struct domain d;

		r = domain_get(a, name, &d);
		if (r == 0) {
			r = fn(a, name, &d, arg);
		} else if (r == AUTH_NOTFOUND) {
			r = 0;
		}
	}
	buf_fini(&names);
	return r;
}

struct list_job {
	auth_row_fn *fn;
	void *arg;
	enum name_kind kind;
	struct slice domain;
	int err;
};

static int list_domain(struct auth *a, struct slice name, const struct domain *d, void *arg)
{
	struct list_job *j = arg;
	struct auth_row row = { .name = name,
				.target = slice_cstr(d->catchall),
				.id = d->id,
				.created = d->created,
				.plus = d->plus };

	(void)a;
	return j->fn(j->arg, &row);
}

int auth_domain_list(struct auth *a, auth_row_fn *fn, void *arg)
{
	struct list_job j = { .fn = fn, .arg = arg };

	return each_domain(a, list_domain, &j);
}

static void join_targets(struct slice record, struct buf *out)
{
	struct cur c = cur_init(record);
	struct slice t;

	while ((t = targets_next(&c)).n > 0) {
		if (out->n > 0) {
			buf_adds(out, ", ");
		}
		buf_add(out, t);
	}
}

static int give_row(struct list_job *j, struct slice local, const struct account_row *row,
		    struct slice record)
{
	struct buf name = BUF_INIT(AUTH_ADDR_MAX);
	struct buf text = BUF_INIT(512 * 1024);
	struct auth_row out = { .id = row->id, .disabled = row->disabled, .created = row->created };
	int r;

	buf_add(&name, local);
	buf_addc(&name, '@');
	buf_add(&name, j->domain);
	join_targets(record, &text);
	out.name = buf_slice(&name);
	out.target = buf_slice(&text);
	r = name.err ? name.err : text.err ? text.err : j->fn(j->arg, &out);
	buf_fini(&name);
	buf_fini(&text);
	return r;
}

static int list_name(void *arg, struct slice key, struct slice value)
{
	struct list_job *j = arg;
	struct account_row row = { 0 };
	struct buf record = BUF_INIT(512 * 1024);
	int r = dir_read_name(value, &row, &record);

	explicit_bzero(row.phc, sizeof(row.phc));
	if (r < 0) {
		j->err = r;
	} else if (r == (int)j->kind) {
		j->err = give_row(j, slice_from(key, 1), &row, buf_slice(&record));
	}
	buf_fini(&record);
	return j->err != 0;
}

CO_FN static int list_names(struct auth *a, struct slice name, const struct domain *d, void *arg)
{
	struct list_job *j = arg;
	int r;

	j->domain = name;
	r = kv_scan_prefix(a->kv, dir_part(d->id), S("N"), list_name, j);
	return r < 0 ? r : j->err;
}

int auth_account_list(struct auth *a, auth_row_fn *fn, void *arg)
{
	struct list_job j = { .fn = fn, .arg = arg, .kind = NAME_ACCOUNT };

	return each_domain(a, list_names, &j);
}

int auth_alias_list(struct auth *a, auth_row_fn *fn, void *arg)
{
	struct list_job j = { .fn = fn, .arg = arg, .kind = NAME_ALIAS };

	return each_domain(a, list_names, &j);
}
