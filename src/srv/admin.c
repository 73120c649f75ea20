/*
 * Administration: each verb a row of a table, each handler a few lines over
 * auth.h and store.h. See admin.h for the requests and answers.
 *
 * An account is two things, a directory entry and its mail. They are made in
 * this order and removed in the same one; when a crash fell between the two,
 * the same command given again finishes the work.
 */
#include "srv/admin.h"

#include <string.h>

#include "imap/imap.h"
#include "srv/admin_outgoing.h"
#include "srv/admin_reports.h"
#include "srv/admin_trace.h"
#include "srv/ask.h"

#define ADMIN_TARGETS_MAX 1000

struct call {
	struct site *site;
	const struct admin_env *env;
	const json_t *request;
	struct err e;
};

static json_t *answer(json_t *data)
{
	json_t *o = json_pack("{s:b}", "ok", 1);

	if (data) {
		json_object_set_new(o, "data", data);
	}
	return o;
}

static json_t *refuse(const char *code, const char *text)
{
	return json_pack("{s:b, s:s, s:s}", "ok", 0, "code", code, "error", text);
}

/* A string member; empty slice with p NULL when it is not there. */
static struct slice member(const struct call *c, const char *name)
{
	const json_t *v = json_object_get(c->request, name);

	if (!json_is_string(v)) {
		return (struct slice){ NULL, 0 };
	}
	return slice_make(json_string_value(v), json_string_length(v));
}

/* A count that may be missing: *out is left alone then. */
static bool number(const struct call *c, const char *name, uint64_t *out)
{
	const json_t *v = json_object_get(c->request, name);

	if (!v) {
		return true;
	}
	if (!json_is_integer(v) || json_integer_value(v) < 0) {
		return false;
	}
	*out = (uint64_t)json_integer_value(v);
	return true;
}

static bool quotas(const struct call *c, uint64_t *bytes, uint64_t *messages)
{
	return number(c, "quota_bytes", bytes) && number(c, "quota_messages", messages);
}

static const char bad_quota[] = "quota_bytes and quota_messages are whole numbers, 0 for none";

/* What a directory call answered, in words. */
static json_t *auth_answer(struct call *c, int r, const char *what)
{
	char text[320];
	const char *why = c->e.text ? c->e.text : "";

	switch (r) {
	case AUTH_OK:
		return answer(NULL);
	case AUTH_EXISTS:
		snprintf(text, sizeof(text), "%s exists already", what);
		return refuse("exists", text);
	case AUTH_NOTFOUND: /* the domain of an address may be what is not */
		if (*why) {
			snprintf(text, sizeof(text), "%s: %s", why, c->e.detail);
		} else {
			snprintf(text, sizeof(text), "there is no such %s", what);
		}
		return refuse("notfound", text);
	case AUTH_NOTEMPTY:
		snprintf(text, sizeof(text),
			 "the %s still has accounts or aliases: remove them "
			 "first",
			 what);
		return refuse("notempty", text);
	case AUTH_INVALID:
		snprintf(text, sizeof(text), "not possible: %s%s%s", *why ? why : what,
			 c->e.detail[0] ? ": " : "", c->e.detail);
		return refuse("invalid", text);
	default:
		if (!c->e.text) {
			err_set(&c->e, r, "the store does not answer", NULL);
		}
		return refuse("temporary", err_str(&c->e, text, sizeof(text)));
	}
}

CO_FN static json_t *store_answer(struct call *c, int r)
{
	char text[320];

	if (r == STORE_OK) {
		return answer(NULL);
	}
	if (r == STORE_NOTFOUND) {
		return refuse("notfound", "there is no such account");
	}
	if (r == STORE_FULL) {
		return refuse("temporary", "the disk is too full");
	}
	if (!c->e.text) {
		err_set(&c->e, r, "the store does not answer", NULL);
	}
	return refuse("temporary", err_str(&c->e, text, sizeof(text)));
}

/* ---- status and check --------------------------------------------------- */

CO_FN static json_t *run_status(struct call *c)
{
	struct kv_stats k = { 0 };
	struct store_stats s = { 0 };
	json_t *o;

	kv_stats(c->site->kv, &k);
	store_stats(c->site->store, &s);
	o = json_pack("{s:s, s:b, s:{s:I, s:I, s:I, s:I, s:I, s:b, s:b},"
		      " s:{s:I, s:I, s:I, s:I}}",
		      "version", POSTRIDER_VERSION, "running", 0, "store", "log_bytes",
		      (json_int_t)k.log_bytes, "live_bytes", (json_int_t)k.live_bytes, "segments",
		      (json_int_t)k.segments, "messages_stored", (json_int_t)k.blobs, "disk_free",
		      (json_int_t)k.disk_free, "poisoned", (int)k.poisoned, "full", (int)k.full,
		      "mail", "accounts_open", (json_int_t)s.accounts_open, "mailboxes_open",
		      (json_int_t)s.mailboxes_open, "views_open", (json_int_t)s.views_open,
		      "delivered", (json_int_t)s.delivered);
	if (o) {
		json_object_set_new(o, "trace", admin_trace_status(c->site));
		json_object_set_new(o, "reports", admin_outgoing_status(c->site));
	}
	if (o && c->env && c->env->status) {
		c->env->status(c->env->arg, o);
	}
	return answer(o);
}

static void found_problem(void *arg, const char *text)
{
	json_array_append_new(arg, json_string(text));
}

CO_FN static json_t *run_check(struct call *c)
{
	json_t *list = json_array();
	int engine = kv_verify(c->site->kv, found_problem, list);
	int mail = store_check(c->site->store, found_problem, list);

	if (engine < 0 || mail < 0) {
		json_decref(list);
		return refuse("temporary", "the check could not be finished");
	}
	return answer(
		json_pack("{s:I, s:o}", "problems", (json_int_t)engine + mail, "found", list));
}

CO_FN static json_t *run_trace(struct call *c)
{
	uint64_t since = 0, limit = 0;
	char text[320];
	json_t *data;

	if (!number(c, "since", &since) || !number(c, "limit", &limit) || limit > TRACE_FIND_MAX) {
		return refuse("invalid", "since and limit are whole numbers, limit to 1000");
	}
	data = admin_trace(c->site, member(c, "what"), (int64_t)since, (unsigned)limit, &c->e);
	if (!data && !c->e.text) {
		err_set(&c->e, -ENOMEM, "no memory for the records", NULL);
	}
	return data ? answer(data) : refuse("temporary", err_str(&c->e, text, sizeof(text)));
}

/* The account that gets the mail for an address: AUTH_OK; others of
 * auth_answer; AUTH_INVALID: there are several, or none that is local. */
CO_FN static int receiver_of(struct call *c, struct slice address, uint64_t *out)
{
	struct auth_targets t = { 0 };
	struct arena arena;
	int r;

	arena_init(&arena, 1u << 20);
	r = auth_route(c->site->auth, address, &arena, &t);
	if (r == AUTH_LOCAL && t.n == 1) {
		*out = t.accounts[0];
	} else if (r == AUTH_LOCAL) {
		r = err_set(&c->e, AUTH_INVALID, "the address does not lead to one account", NULL);
	} else if (r > 0) {
		r = AUTH_NOTFOUND;
	}
	arena_fini(&arena);
	return r;
}

CO_FN static json_t *run_reports_next(struct call *c)
{
	uint64_t since = 0, account = 0;
	json_t *data = NULL;
	int r;

	if (!number(c, "since", &since) || since > INT64_MAX) {
		return refuse("invalid", "since is a whole number");
	}
	r = receiver_of(c, member(c, "address"), &account);
	if (r != AUTH_OK) {
		return auth_answer(c, r, "account");
	}
	r = admin_reports_next(c->site, account, (int64_t)since,
			       json_object_get(c->request, "after"), &data, &c->e);
	return r == 0 ? answer(data) : store_answer(c, r);
}

CO_FN static json_t *run_reports_outgoing(struct call *c)
{
	uint64_t day = 0;
	char text[320];
	json_t *data = NULL;

	if (!number(c, "day", &day) || day > UINT32_MAX) {
		return refuse("invalid", "day is a number of days since 1970");
	}
	if (admin_outgoing(c->site, c->env, (uint32_t)day, member(c, "after"), &data, &c->e) != 0) {
		return refuse("temporary", err_str(&c->e, text, sizeof(text)));
	}
	return answer(data);
}

/* ---- domains ------------------------------------------------------------ */

CO_FN static json_t *run_domain_add(struct call *c)
{
	return auth_answer(c, auth_domain_add(c->site->auth, member(c, "domain"), &c->e), "domain");
}

CO_FN static json_t *run_domain_remove(struct call *c)
{
	return auth_answer(c, auth_domain_remove(c->site->auth, member(c, "domain"), &c->e),
			   "domain");
}

CO_FN static json_t *run_domain_catchall(struct call *c)
{
	return auth_answer(c,
			   auth_domain_catchall(c->site->auth, member(c, "domain"),
						member(c, "target"), &c->e),
			   "domain");
}

/* "catchall" and "plus", as far as they are there. */
CO_FN static json_t *run_domain_set(struct call *c)
{
	struct auth_domain_change x = { .catchall = member(c, "catchall"),
					.plus = member(c, "plus") };

	x.set_catchall = x.catchall.p != NULL;
	x.set_plus = x.plus.p != NULL;
	if (!x.set_catchall && !x.set_plus) {
		return refuse("invalid", "domain.set needs \"catchall\" or \"plus\"");
	}
	return auth_answer(c, auth_domain_change(c->site->auth, member(c, "domain"), &x, &c->e),
			   "domain");
}

static json_t *text(struct slice s)
{
	return json_stringn(s.p ? s.p : "", s.n);
}

static int domain_row(void *arg, const struct auth_row *row)
{
	json_array_append_new(arg, json_pack("{s:o, s:o, s:o}", "domain", text(row->name),
					     "catchall", text(row->target), "plus",
					     text(slice_make(&row->plus, row->plus != '\0'))));
	return 0;
}

static int account_row(void *arg, const struct auth_row *row)
{
	json_array_append_new(arg,
			      json_pack("{s:o, s:I, s:b, s:I}", "address", text(row->name), "id",
					(json_int_t)row->id, "disabled", (int)row->disabled,
					"created", (json_int_t)row->created));
	return 0;
}

static int alias_row(void *arg, const struct auth_row *row)
{
	json_array_append_new(arg, json_pack("{s:o, s:o}", "address", text(row->name), "targets",
					     text(row->target)));
	return 0;
}

CO_FN static json_t *listing(struct call *c, int r, json_t *rows)
{
	if (r == 0) {
		return answer(rows);
	}
	json_decref(rows);
	return auth_answer(c, r, "directory");
}

CO_FN static json_t *run_domain_list(struct call *c)
{
	json_t *rows = json_array();

	return listing(c, auth_domain_list(c->site->auth, domain_row, rows), rows);
}

/* ---- accounts ----------------------------------------------------------- */

CO_FN static json_t *run_account_list(struct call *c)
{
	json_t *rows = json_array();

	return listing(c, auth_account_list(c->site->auth, account_row, rows), rows);
}

/* The directory entry is there but its mail is not: an earlier add or
 * restart was cut short. */
CO_FN static bool half_made(struct call *c, struct slice address, uint64_t *id)
{
	struct auth_account a;
	struct store_usage u;
	struct arena arena;
	bool half;

	arena_init(&arena, 4096);
	half = auth_account_get(c->site->auth, address, &arena, &a) == AUTH_OK &&
	       store_usage(c->site->store, a.id, &u, NULL) == STORE_NOTFOUND;
	if (half) {
		*id = a.id;
	}
	arena_fini(&arena);
	return half;
}

CO_FN static json_t *run_account_add(struct call *c)
{
	struct slice address = member(c, "address");
	struct slice password = member(c, "password");
	uint64_t bytes = 0, messages = 0, id = 0;
	int r;

	if (!quotas(c, &bytes, &messages)) {
		return refuse("invalid", bad_quota);
	}
	r = auth_account_add(c->site->auth, address, password, &id, &c->e);
	if (r == AUTH_EXISTS && half_made(c, address, &id)) {
		r = auth_account_password(c->site->auth, address, password, &c->e);
	}
	if (r != AUTH_OK) {
		return auth_answer(c, r, "account");
	}
	r = store_account_create(c->site->store, id, bytes, messages, &c->e);
	if (r != STORE_OK) {
		auth_account_remove(c->site->auth, address, &id, NULL);
		return store_answer(c, r);
	}
	return answer(json_pack("{s:I}", "id", (json_int_t)id));
}

/* Who is logged in with what holds no longer (THREATS AU-12). */
CO_FN static void cut_sessions(struct call *c, uint64_t id)
{
	if (c->env && c->env->cut) {
		c->env->cut(c->env->arg, id);
	}
}

CO_FN static json_t *run_account_remove(struct call *c)
{
	uint64_t id = 0;
	int r = auth_account_remove(c->site->auth, member(c, "address"), &id, &c->e);

	if (r != AUTH_OK) {
		return auth_answer(c, r, "account");
	}
	cut_sessions(c, id);
	r = store_account_delete(c->site->store, id, &c->e);
	return r == STORE_NOTFOUND ? answer(NULL) : store_answer(c, r);
}

CO_FN static json_t *run_account_show(struct call *c)
{
	struct auth_account a;
	struct store_usage u = { 0 };
	struct arena arena;
	json_t *out;
	int r;

	arena_init(&arena, 4096);
	r = auth_account_get(c->site->auth, member(c, "address"), &arena, &a);
	if (r != AUTH_OK) {
		out = auth_answer(c, r, "account");
	} else {
		r = store_usage(c->site->store, a.id, &u, &c->e);
		out = r != STORE_OK
			      ? store_answer(c, r)
			      : answer(json_pack("{s:o, s:I, s:b, s:I, s:I, s:I, s:I, "
						 "s:I}",
						 "address", text(a.address), "id", (json_int_t)a.id,
						 "disabled", (int)a.disabled, "created",
						 (json_int_t)a.created, "bytes",
						 (json_int_t)u.bytes, "messages",
						 (json_int_t)u.messages, "quota_bytes",
						 (json_int_t)u.quota_bytes, "quota_messages",
						 (json_int_t)u.quota_messages));
	}
	arena_fini(&arena);
	return out;
}

CO_FN static json_t *run_account_password(struct call *c)
{
	struct slice address = member(c, "address");
	struct auth_account a;
	struct arena arena;
	int r = auth_account_password(c->site->auth, address, member(c, "password"), &c->e);

	arena_init(&arena, 4096);
	if (r == AUTH_OK && auth_account_get(c->site->auth, address, &arena, &a) == AUTH_OK) {
		cut_sessions(c, a.id);
	}
	arena_fini(&arena);
	return auth_answer(c, r, "account");
}

CO_FN static json_t *run_account_rename(struct call *c)
{
	return auth_answer(c,
			   auth_account_rename(c->site->auth, member(c, "address"), member(c, "to"),
					       &c->e),
			   "account");
}

CO_FN static json_t *run_account_quota(struct call *c)
{
	struct auth_account a;
	struct store_usage u;
	struct arena arena;
	uint64_t unused = 0;
	int r;

	if (!quotas(c, &unused, &unused)) {
		return refuse("invalid", bad_quota);
	}
	arena_init(&arena, 4096);
	r = auth_account_get(c->site->auth, member(c, "address"), &arena, &a);
	arena_fini(&arena);
	if (r != AUTH_OK) {
		return auth_answer(c, r, "account");
	}
	r = store_usage(c->site->store, a.id, &u, &c->e);
	if (r != STORE_OK) {
		return store_answer(c, r);
	}
	quotas(c, &u.quota_bytes, &u.quota_messages);
	return store_answer(c, store_quota_set(c->site->store, a.id, u.quota_bytes,
					       u.quota_messages, &c->e));
}

/* ---- capabilities that an account's clients are not told of ---------------- */

/* Adds the names of a list (separated by comma) that are not in `not_in`. NULL,
 * or the refusal. */
static json_t *add_names(struct slice list, char separator, struct slice not_in, struct buf *out)
{
	char text[160];

	while (list.n) {
		struct slice name = slice_trim(slice_split(&list, separator));
		struct slice rest = not_in;
		bool skip = name.n == 0;

		if (!skip && !imap_can_hide(name)) {
			snprintf(text, sizeof(text), "%.*s is no capability that can be hidden",
				 (int)MIN(name.n, 100), name.p);
			return refuse("invalid", text);
		}
		while (!skip && rest.n) {
			skip = slice_ieq(slice_trim(slice_split(&rest, ',')), name);
		}
		rest = buf_slice(out);
		while (!skip && rest.n) {
			skip = slice_ieq(slice_split(&rest, ' '), name);
		}
		if (!skip) {
			buf_adds(out, out->n ? " " : "");
			buf_add(out, name);
		}
	}
	return NULL;
}

static json_t *names_answer(struct slice address, struct slice names)
{
	json_t *list = json_array();

	while (names.n) {
		json_array_append_new(list, text(slice_split(&names, ' ')));
	}
	return answer(json_pack("{s:o, s:o}", "address", text(address), "hidden", list));
}

CO_FN static json_t *run_account_capabilities(struct call *c)
{
	bool clear = json_is_true(json_object_get(c->request, "clear"));
	struct slice hide = member(c, "hide"), show = member(c, "show");
	struct buf names = BUF_INIT(64u * 1024);
	struct auth_account a;
	struct arena arena;
	json_t *out = NULL;
	int r;

	arena_init(&arena, 4096);
	r = auth_account_get(c->site->auth, member(c, "address"), &arena, &a);
	if (r == AUTH_OK && !clear) {
		/* A name that was known when it was hidden may be gone by now. */
		json_decref(add_names(a.hidden, ' ', show, &names));
	}
	if (r == AUTH_OK) {
		out = add_names(hide, ',', S(""), &names);
	}
	if (r == AUTH_OK && !out && (clear || hide.p || show.p)) {
		r = auth_account_hide(c->site->auth, a.address, buf_slice(&names), &c->e);
	}
	if (!out) {
		out = r == AUTH_OK ? names_answer(a.address, buf_slice(&names))
				   : auth_answer(c, r, "account");
	}
	arena_fini(&arena);
	buf_fini(&names);
	return out;
}

/* ---- aliases ------------------------------------------------------------ */

CO_FN static json_t *run_alias_list(struct call *c)
{
	json_t *rows = json_array();

	return listing(c, auth_alias_list(c->site->auth, alias_row, rows), rows);
}

CO_FN static json_t *run_alias_remove(struct call *c)
{
	return auth_answer(c, auth_alias_remove(c->site->auth, member(c, "address"), &c->e),
			   "alias");
}

CO_FN static json_t *run_alias_add(struct call *c)
{
	const json_t *list = json_object_get(c->request, "targets");
	size_t n = json_array_size(list);
	struct slice *targets;
	struct arena arena;
	json_t *out;

	if (n == 0 || n > ADMIN_TARGETS_MAX) {
		return refuse("invalid", "an alias needs 1 to 1000 targets");
	}
	arena_init(&arena, n * sizeof(*targets) + 4096);
	targets = arena_array(&arena, n, sizeof(*targets));
	for (size_t i = 0; targets && i < n; i++) {
		const json_t *v = json_array_get(list, i);

		targets[i] = json_is_string(v)
				     ? slice_make(json_string_value(v), json_string_length(v))
				     : S("");
	}
	out = !targets ? refuse("temporary", "out of memory")
		       : auth_answer(c,
				     auth_alias_add(c->site->auth, member(c, "address"), targets, n,
						    &c->e),
				     "address");
	arena_fini(&arena);
	return out;
}

/* ---- questions to the DNS ----------------------------------------------- */

/* A command without a server does not come here, but to ask_alone. */
CO_FN static json_t *run_ask(struct call *c)
{
	if (!c->env || !c->env->config) {
		return refuse("temporary", "only a running server answers this");
	}
	return ask_call(c->env->dns, c->env->config, c->request);
}

/* ---- the table ---------------------------------------------------------- */

static const struct {
	const char *verb;
	const char *needs[2]; /* string members that must be there */
	json_t *(*run)(struct call *c);
} verbs[] = {
	{ "status", { NULL, NULL }, run_status },
	{ "check", { NULL, NULL }, run_check },
	{ "trace", { "what", NULL }, run_trace },
	{ "reports.outgoing", { "after", NULL }, run_reports_outgoing },
	{ "reports.next", { "address", NULL }, run_reports_next },
	{ "trust.check", { "ip", NULL }, run_ask },
	{ "dns.lookup", { "name", "type" }, run_ask },
	{ "domain.add", { "domain", NULL }, run_domain_add },
	{ "domain.list", { NULL, NULL }, run_domain_list },
	{ "domain.remove", { "domain", NULL }, run_domain_remove },
	{ "domain.set", { "domain", NULL }, run_domain_set },
	{ "domain.catchall", { "domain", "target" }, run_domain_catchall },
	{ "account.add", { "address", "password" }, run_account_add },
	{ "account.list", { NULL, NULL }, run_account_list },
	{ "account.show", { "address", NULL }, run_account_show },
	{ "account.remove", { "address", NULL }, run_account_remove },
	{ "account.password", { "address", "password" }, run_account_password },
	{ "account.quota", { "address", NULL }, run_account_quota },
	{ "account.rename", { "address", "to" }, run_account_rename },
	{ "account.capabilities", { "address", NULL }, run_account_capabilities },
	{ "alias.add", { "address", NULL }, run_alias_add },
	{ "alias.list", { NULL, NULL }, run_alias_list },
	{ "alias.remove", { "address", NULL }, run_alias_remove },
};

json_t *admin_call(struct site *s, const struct admin_env *env, const json_t *request)
{
	struct call c = { s, env, request, ERR_INIT };
	const char *verb = json_string_value(json_object_get(request, "verb"));
	char why[128];

	if (!verb) {
		return refuse("invalid", "a request needs a verb");
	}
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(verbs[i].verb, verb) != 0) {
			continue;
		}
		for (size_t k = 0; k < 2 && verbs[i].needs[k]; k++) {
			if (!member(&c, verbs[i].needs[k]).p) {
				snprintf(why, sizeof(why), "%s needs \"%s\"", verb,
					 verbs[i].needs[k]);
				return refuse("invalid", why);
			}
		}
		return verbs[i].run(&c);
	}
	return refuse("invalid", "unknown verb");
}
