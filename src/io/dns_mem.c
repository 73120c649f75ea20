/*
 * dns_mem: answers out of a table, for tests and fuzzers: see dns.h.
 *
 * A row is a record, or the way in which a question fails. CNAMEs are followed
 * as a resolver does, up to DNS_CNAMES_MAX.
 */
#include <stdlib.h>

#include "base/cur.h"
#include "io/dns.h"

#define DNS_CNAMES_MAX 10
#define TTL 300

struct row {
	char *name; /* lower case, no final dot */
	enum dns_type type;
	bool fails;
	enum dns_result result; /* if it fails */
	struct buf rdata;
};

struct dns_mem {
	struct dns dns;
	struct row *rows;
	size_t n;
	size_t cap;
	size_t count;
};

static struct slice without_dot(struct slice name)
{
	return name.n > 1 && slice_ends(name, S(".")) ? slice_sub(name, 0, name.n - 1) : name;
}

static struct row *row_add(struct dns_mem *m, const char *name, enum dns_type type)
{
	struct slice key = without_dot(slice_cstr(name));
	struct row *r;

	if (m->n == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 16;
		struct row *rows = reallocarray(m->rows, cap, sizeof(*rows));

		if (!rows) {
			return NULL;
		}
		m->rows = rows;
		m->cap = cap;
	}
	r = &m->rows[m->n];
	*r = (struct row){ .type = type, .rdata = BUF_INIT(65535) };
	r->name = strndup(key.p, key.n);
	if (!r->name) {
		return NULL;
	}
	m->n++;
	return r;
}

static bool row_is(const struct row *r, struct slice name, enum dns_type type)
{
	return (r->type == type || (r->fails && r->type == 0)) &&
	       slice_ieq(slice_cstr(r->name), name);
}

static const struct row *find(const struct dns_mem *m, struct slice name, enum dns_type type,
			      bool fails)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->rows[i].fails == fails && row_is(&m->rows[i], name, type)) {
			return &m->rows[i];
		}
	}
	return NULL;
}

static bool exists(const struct dns_mem *m, struct slice name)
{
	for (size_t i = 0; i < m->n; i++) {
		if (!m->rows[i].fails && slice_ieq(slice_cstr(m->rows[i].name), name)) {
			return true;
		}
	}
	return false;
}

/* The records of this name itself, if any. 0 or -ENOMEM. */
static int collect(const struct dns_mem *m, struct slice name, enum dns_type type, struct arena *a,
		   struct dns_answer *out)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		n += !m->rows[i].fails && row_is(&m->rows[i], name, type);
	}
	out->rdata = arena_array(a, MIN(n, DNS_RECORDS_MAX), sizeof(*out->rdata));
	for (size_t i = 0; i < m->n && out->rdata && out->n < DNS_RECORDS_MAX; i++) {
		if (!m->rows[i].fails && row_is(&m->rows[i], name, type)) {
			out->rdata[out->n++] = arena_dup(a, buf_slice(&m->rows[i].rdata));
		}
	}
	if (arena_err(a)) {
		return -ENOMEM;
	}
	out->ttl = TTL;
	out->result = n > 0 ? DNS_OK : exists(m, name) ? DNS_NODATA : DNS_NXDOMAIN;
	return 0;
}

/* One name of the chain. 1: goes on with the name in *next. */
static int look(const struct dns_mem *m, struct slice name, enum dns_type type, struct arena *a,
		struct dns_answer *out, struct buf *next)
{
	const struct row *fails = find(m, name, type, true);
	const struct row *alias;
	size_t used;
	int r;

	if (fails) {
		out->result = fails->result;
		out->why = fails->result == DNS_FAIL ? "told to fail" : NULL;
		return 0;
	}
	r = collect(m, name, type, a, out);
	alias = find(m, name, DNS_CNAME, false);
	if (r < 0 || out->result == DNS_OK || !alias) {
		return r;
	}
	buf_reset(next);
	used = dns_rdata_name(buf_slice(&alias->rdata), next);
	if (used == 0 || used != alias->rdata.n) {
		out->result = DNS_FAIL;
		out->why = "damaged CNAME";
		return 0;
	}
	return next->err ? -ENOMEM : 1;
}

static int mem_query(struct dns *d, const char *name, enum dns_type type, int64_t deadline,
		     struct arena *a, struct dns_answer *out)
{
	struct dns_mem *m = (struct dns_mem *)d;
	struct buf at = BUF_INIT(DNS_TEXT_MAX + 1);
	struct buf next = BUF_INIT(DNS_TEXT_MAX + 1);
	int r;

	co_enter();
	m->count++;
	r = co_yield();
	if (r < 0) {
		return r;
	}
	if (deadline <= clock_mono()) {
		out->why = "timed out";
		return 0;
	}
	buf_adds(&at, name);
	r = 1;
	for (size_t i = 0; r == 1 && i <= DNS_CNAMES_MAX; i++) {
		struct buf swap = at;

		r = look(m, buf_slice(&at), type, a, out, &next);
		if (r == 1) {
			at = next;
			next = swap;
		}
	}
	if (r == 1) {
		*out = (struct dns_answer){ .result = DNS_FAIL, .why = "too many CNAMEs" };
		r = 0;
	}
	buf_fini(&at);
	buf_fini(&next);
	return r;
}

static void mem_free(struct dns *d)
{
	struct dns_mem *m = (struct dns_mem *)d;

	for (size_t i = 0; i < m->n; i++) {
		free(m->rows[i].name);
		buf_fini(&m->rows[i].rdata);
	}
	free(m->rows);
	free(m);
}

static const struct dns_ops mem_ops = { .query = mem_query, .free = mem_free };

int dns_mem_new(struct dns **out)
{
	struct dns_mem *m = calloc(1, sizeof(*m));

	if (!m) {
		return -ENOMEM;
	}
	m->dns.ops = &mem_ops;
	*out = &m->dns;
	return 0;
}

int dns_mem_add(struct dns *d, const char *name, enum dns_type type, struct slice rdata)
{
	struct row *r = row_add((struct dns_mem *)d, name, type);

	if (!r) {
		return -ENOMEM;
	}
	buf_add(&r->rdata, rdata);
	return r->rdata.err;
}

int dns_mem_fail(struct dns *d, const char *name, enum dns_type type, enum dns_result result)
{
	struct row *r = row_add((struct dns_mem *)d, name, type);

	if (!r) {
		return -ENOMEM;
	}
	r->fails = true;
	r->result = result;
	return 0;
}

size_t dns_mem_count(const struct dns *d)
{
	return ((const struct dns_mem *)d)->count;
}

/* ---- records as people write them ------------------------------------------- */

static int addr_from_text(enum dns_type type, struct slice value, struct buf *rdata)
{
	struct net_addr addr;
	int family = type == DNS_A ? AF_INET : AF_INET6;

	if (net_addr_parse(value, 0, &addr) < 0 || addr.sa.sa_family != family) {
		return -EINVAL;
	}
	if (type == DNS_A) {
		buf_add(rdata, slice_make((const char *)&addr.in.sin_addr, 4));
	} else {
		buf_add(rdata, slice_make((const char *)&addr.in6.sin6_addr, 16));
	}
	return rdata->err;
}

static int mx_from_text(struct slice value, struct buf *rdata)
{
	struct cur c = cur_init(value);
	uint32_t preference = cur_u32(&c);

	if (!cur_sp(&c) || preference > UINT16_MAX) {
		return -EINVAL;
	}
	buf_put8(rdata, (uint8_t)(preference >> 8));
	buf_put8(rdata, (uint8_t)preference);
	return dns_name_wire(cur_rest(&c), rdata);
}

static int txt_from_text(struct slice value, struct buf *rdata)
{
	do {
		struct slice s = slice_sub(value, 0, 255);

		buf_put8(rdata, (uint8_t)s.n);
		buf_add(rdata, s);
		value = slice_from(value, s.n);
	} while (value.n > 0);
	return rdata->err;
}

static int rdata_from_text(enum dns_type type, struct slice value, struct buf *rdata)
{
	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		return addr_from_text(type, value, rdata);
	case DNS_CNAME:
	case DNS_NS:
	case DNS_PTR:
		return dns_name_wire(value, rdata);
	case DNS_MX:
		return mx_from_text(value, rdata);
	case DNS_TXT:
		return txt_from_text(value, rdata);
	default:
		return -EINVAL;
	}
}

int dns_mem_text(struct dns *d, const char *name, enum dns_type type, const char *value)
{
	struct buf rdata = BUF_INIT(65535);
	int r = rdata_from_text(type, slice_cstr(value), &rdata);

	if (r == 0) {
		r = dns_mem_add(d, name, type, buf_slice(&rdata));
	}
	buf_fini(&rdata);
	return r;
}
