/*
 * Who gets a message for an address.
 *
 * A list of addresses to look at, each knowing which one led to it: an
 * address that stands among its own ancestors is a loop, one that was seen on
 * another branch is simply done. Nothing recurses; depth and number are
 * limited. At each address: the account or alias of that name, then of the
 * name before the first "+" (or what the domain has for it), then the domain's catch-all, then, for
 * postmaster (RFC 5321 4.5.1), the domain's oldest account.
 */
#include "auth/impl.h"
#include "base/table.h"

#define ROUTE_MEMORY (2u * 1024 * 1024)

struct step {
	struct slice addr; /* canonical, in the arena */
	struct step *parent;
	struct step *next;
	unsigned depth;
};

struct router {
	struct auth *a;
	struct arena *arena;
	struct step *todo;
	struct step **tail;
	struct table seen;
	size_t n_steps;
	bool strict; /* no catch-all, no postmaster rule */
	struct auth_targets *out;
	size_t room; /* of out->accounts and out->remote */
};

static int router_init(struct router *r, struct auth *a, struct arena *arena,
		       struct auth_targets *out)
{
	*r = (struct router){ .a = a, .arena = arena, .out = out, .room = 8 };
	r->tail = &r->todo;
	table_init(&r->seen);
	*out = (struct auth_targets){ 0 };
	out->accounts = arena_array(arena, r->room, sizeof(*out->accounts));
	out->remote = arena_array(arena, r->room, sizeof(*out->remote));
	return arena_err(arena);
}

/* One more of each will fit. */
static int make_room(struct router *r)
{
	struct auth_targets *o = r->out;
	uint64_t *accounts;
	struct slice *remote;

	if (o->n < r->room && o->n_remote < r->room) {
		return 0;
	}
	accounts = arena_array(r->arena, 2 * r->room, sizeof(*accounts));
	remote = arena_array(r->arena, 2 * r->room, sizeof(*remote));
	if (!accounts || !remote) {
		return -ENOMEM;
	}
	memcpy(accounts, o->accounts, o->n * sizeof(*accounts));
	memcpy(remote, o->remote, o->n_remote * sizeof(*remote));
	o->accounts = accounts;
	o->remote = remote;
	r->room *= 2;
	return 0;
}

static int add_account(struct router *r, uint64_t id)
{
	for (size_t i = 0; i < r->out->n; i++) {
		if (r->out->accounts[i] == id) {
			return 0;
		}
	}
	if (make_room(r) < 0) {
		return -ENOMEM;
	}
	r->out->accounts[r->out->n++] = id;
	return 0;
}

static int add_remote(struct router *r, struct slice addr)
{
	if (make_room(r) < 0) {
		return -ENOMEM;
	}
	r->out->remote[r->out->n_remote++] = addr;
	return 0;
}

/* Queues an address. 0, AUTH_LOOP, -ENOMEM. */
static int push(struct router *r, struct slice addr, struct step *parent)
{
	struct step *s;

	for (struct step *up = parent; up; up = up->parent) {
		if (slice_eq(up->addr, addr)) {
			return AUTH_LOOP;
		}
	}
	if (parent && parent->depth >= AUTH_ALIAS_DEPTH) {
		return AUTH_LOOP;
	}
	if (table_get(&r->seen, addr)) {
		return 0;
	}
	if (++r->n_steps > 1 + AUTH_TARGETS_MAX) {
		return AUTH_LOOP;
	}
	s = arena_new(r->arena, struct step);
	if (!s) {
		return -ENOMEM;
	}
	s->addr = arena_dup(r->arena, addr);
	s->parent = parent;
	s->depth = parent ? parent->depth + 1 : 0;
	*r->tail = s;
	r->tail = &s->next;
	return arena_err(r->arena) ? -ENOMEM : table_put(&r->seen, s->addr, s, NULL);
}

static int push_targets(struct router *r, struct slice record, struct step *parent)
{
	struct cur c = cur_init(record);
	uint64_t n = 0;
	struct slice t;
	int res = 0;

	while (res == 0 && (t = targets_next(&c)).n > 0 && ++n) {
		res = push(r, t, parent);
	}
	return c.err ? -EIO : res;
}

/* 1 found (and taken care of), 0 no such name, AUTH_LOOP as it is, <0. */
CO_FN static int try_name(struct router *r, const struct domain *d, struct slice local,
			  struct step *s, bool *found)
{
	struct account_row row;
	struct buf targets = BUF_INIT(512 * 1024);
	int res = name_get(r->a, d, local, &row, &targets);

	*found = res > 0;
	if (res == NAME_ACCOUNT) {
		res = add_account(r, row.id);
		explicit_bzero(&row, sizeof(row));
	} else if (res == NAME_ALIAS) {
		res = push_targets(r, buf_slice(&targets), s);
	}
	buf_fini(&targets);
	return res;
}

CO_FN static int last_resort(struct router *r, const struct domain *d, struct slice local,
			     struct step *s)
{
	uint64_t id;
	int res;

	if (r->strict) {
		return 0;
	}
	if (d->catchall[0]) {
		return push(r, slice_cstr(d->catchall), s);
	}
	if (!slice_eq(local, S("postmaster"))) {
		return 0;
	}
	res = domain_oldest(r->a, d, &id);
	return res == 0 ? add_account(r, id) : res < 0 ? res : 0;
}

/* One address. 0, AUTH_LOOP, AUTH_NOT_LOCAL (the first one only), <0. */
CO_FN static int look_at(struct router *r, struct step *s)
{
	size_t at = slice_rchr(s->addr, '@');
	struct slice local = slice_sub(s->addr, 0, at);
	struct domain d;
	bool found;
	size_t plus;
	int res = domain_get(r->a, slice_from(s->addr, at + 1), &d);

	if (res == AUTH_NOTFOUND) {
		return s->parent ? add_remote(r, s->addr) : AUTH_NOT_LOCAL;
	}
	if (res < 0) {
		return res;
	}
	res = try_name(r, &d, local, s, &found);
	plus = d.plus ? slice_chr(local, d.plus) : SIZE_MAX;
	if (res == 0 && !found && plus != SIZE_MAX && plus > 0) {
		res = try_name(r, &d, slice_sub(local, 0, plus), s, &found);
	}
	if (res == 0 && !found) {
		res = last_resort(r, &d, local, s);
	}
	return res;
}

/* Works the list off. An enum auth_route or <0. */
CO_FN static int run(struct router *r)
{
	int res = 0;

	for (struct step *s = r->todo; s && res == 0; s = s->next) {
		res = look_at(r, s);
	}
	table_fini(&r->seen);
	if (res == 0 && r->out->n == 0 && r->out->n_remote == 0) {
		return AUTH_UNKNOWN_USER;
	}
	return res;
}

/* "postmaster" alone is at the oldest domain. */
CO_FN static int whole_address(struct auth *a, struct slice in, struct arena *arena,
			       struct slice *out)
{
	struct buf b = BUF_INIT(2 * AUTH_ADDR_MAX);
	int res = AUTH_BAD_ADDRESS;

	if (slice_ieq(in, S("postmaster"))) {
		buf_adds(&b, "postmaster@");
		res = domain_first(a, false, &b);
		res = res == AUTH_NOTFOUND ? AUTH_NOT_LOCAL : res;
	} else if (auth_addr_canon(in, &b) == 0) {
		res = AUTH_LOCAL;
	} else if (in.n > 0 && in.p[in.n - 1] == ']' && slice_find(in, S("@[")) != SIZE_MAX) {
		res = AUTH_NOT_LOCAL; /* an address literal is no domain */
	}
	if (res == AUTH_LOCAL) {
		*out = arena_dup(arena, buf_slice(&b));
		res = arena_err(arena);
	}
	buf_fini(&b);
	return res;
}

int auth_route(struct auth *a, struct slice addr, struct arena *arena, struct auth_targets *out)
{
	struct router r;
	struct slice whole;
	int res = whole_address(a, addr, arena, &whole);

	if (res != AUTH_LOCAL) {
		return res;
	}
	res = router_init(&r, a, arena, out);
	if (res == 0) {
		res = push(&r, whole, NULL);
	}
	if (res == 0) {
		return run(&r);
	}
	table_fini(&r.seen);
	return res;
}

int auth_owns(struct auth *a, uint64_t account, struct slice addr)
{
	struct arena arena;
	struct auth_targets t;
	struct router r;
	struct slice whole;
	int res;

	arena_init(&arena, ROUTE_MEMORY);
	res = whole_address(a, addr, &arena, &whole);
	if (res == AUTH_LOCAL) {
		res = router_init(&r, a, &arena, &t);
	}
	if (res == 0) {
		r.strict = true;
		res = push(&r, whole, NULL);
		res = res == 0 ? run(&r) : res;
		table_fini(&r.seen);
	}
	if (res == AUTH_LOCAL) {
		for (size_t i = 0; i < t.n; i++) {
			res |= t.accounts[i] == account;
		}
	} else if (res > 0) {
		res = 0;
	}
	arena_fini(&arena);
	return res;
}

int route_would_loop(struct auth *a, const struct addr *at, const struct slice *targets, size_t n)
{
	struct arena arena;
	struct auth_targets out;
	struct router r;
	struct step *root;
	int res;

	arena_init(&arena, ROUTE_MEMORY);
	res = router_init(&r, a, &arena, &out);
	if (res == 0) {
		res = push(&r, slice_make(at->text, at->n), NULL);
	}
	root = r.todo;
	if (res == 0) {
		r.todo = NULL;
		r.tail = &r.todo;
	}
	for (size_t i = 0; res == 0 && i < n; i++) {
		struct addr to;

		res = addr_parse(targets[i], &to);
		if (res == 0) {
			res = push(&r, slice_make(to.text, to.n), root);
		}
	}
	if (res == 0) {
		res = run(&r);
	}
	table_fini(&r.seen);
	arena_fini(&arena);
	return res == AUTH_LOOP ? 1 : res < 0 ? res : 0;
}
