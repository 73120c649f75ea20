/*
 * SPF over a DNS that answers with the fuzzer's data.
 *
 * Lines: the sender, HELO, then one for each answer, used round and round.
 * An answer begins with x (no such name), n (no data), f (failure) or any
 * other octet, and goes on with records behind tabs. First octet of all: the
 * client's address is IPv6 if it is odd. Whatever happens, few questions are
 * asked, and what goes into replies and logs is plain text.
 */
#include <stdlib.h>

#include "trust/spf_impl.h"

#define QUESTIONS_MAX 160 /* 11 records, 10 terms of 11, the names of the client */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct fuzz_dns {
	struct dns dns;
	struct slice answers;
	struct slice rest;
	const struct net_addr *ip;
	size_t asked;
};

static void add_txt(struct slice text, struct buf *rdata)
{
	do {
		struct slice s = slice_sub(text, 0, 255);

		buf_put8(rdata, (uint8_t)s.n);
		buf_add(rdata, s);
		text = slice_from(text, s.n);
	} while (text.n > 0);
}

/* "=" is the client's own address, "!" in front makes octets as they are. */
static void add_record(const struct fuzz_dns *f, enum dns_type type, struct slice text,
		       struct buf *rdata)
{
	if (slice_starts(text, S("!"))) {
		buf_add(rdata, slice_from(text, 1));
	} else if (slice_eq(text, S("=")) && type == DNS_A) {
		buf_add(rdata, slice_make((const char *)&f->ip->in.sin_addr, 4));
	} else if (slice_eq(text, S("=")) && type == DNS_AAAA) {
		buf_add(rdata, slice_make((const char *)&f->ip->in6.sin6_addr, 16));
	} else if (type == DNS_TXT) {
		add_txt(text, rdata);
	} else {
		if (type == DNS_MX) {
			buf_add(rdata, S("\0\12"));
		}
		if (dns_name_wire(text, rdata) != 0) {
			buf_add(rdata, text);
		}
	}
}

static int fuzz_query(struct dns *d, const char *name, enum dns_type type, int64_t deadline,
		      struct arena *a, struct dns_answer *out)
{
	struct fuzz_dns *f = (struct fuzz_dns *)d;
	struct slice line;

	(void)deadline;
	assert(slice_is_printable(slice_cstr(name)));
	assert(++f->asked <= QUESTIONS_MAX);
	if (f->rest.n == 0) {
		f->rest = f->answers;
	}
	line = slice_split(&f->rest, '\n');
	out->result = DNS_NXDOMAIN;
	if (line.n == 0 || line.p[0] == 'x') {
		return 0;
	}
	if (line.p[0] == 'n' || line.p[0] == 'f') {
		out->result = line.p[0] == 'n' ? DNS_NODATA : DNS_FAIL;
		out->why = line.p[0] == 'n' ? NULL : "fuzzed";
		return 0;
	}
	slice_split(&line, '\t');
	out->rdata = arena_array(a, 20, sizeof(*out->rdata));
	while (line.p && out->n < 20) {
		struct buf rdata = BUF_INIT(65536 + 512);

		add_record(f, type, slice_split(&line, '\t'), &rdata);
		out->rdata[out->n++] = arena_dup(a, buf_slice(&rdata));
		buf_fini(&rdata);
	}
	out->result = out->n > 0 ? DNS_OK : DNS_NODATA;
	return arena_err(a) ? -ENOMEM : 0;
}

static void check_outcome(const struct spf_outcome *o)
{
	bool error = o->result == TRUST_TEMPERROR || o->result == TRUST_PERMERROR;

	assert(o->result != TRUST_POLICY && error == (o->problem.n > 0));
	assert(slice_is_printable(o->problem) && slice_is_printable(o->explanation));
	assert(o->explanation.n <= SPF_EXPLANATION_MAX && o->domain.n <= DNS_NAME_MAX);
	assert(o->explanation.n == 0 || o->result == TRUST_FAIL);
	assert(o->terms <= SPF_TERMS_MAX + 1 && o->voids <= SPF_VOID_MAX + 1);
	assert(o->result != TRUST_PASS || o->mechanism.n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct dns_ops ops = { .query = fuzz_query };
	struct slice in = slice_make((const char *)data, n);
	struct spf_query q = { .receiver = S("mx.test"), .now = 1 };
	struct fuzz_dns f = { .dns.ops = &ops };
	struct spf_outcome out;
	struct arena a;
	int r;

	co_enter();
	if (n == 0 || n > 65536) {
		return 0;
	}
	net_addr_parse(data[0] & 1 ? S("2001:db8::1") : S("192.0.2.1"), 25, &q.ip);
	in = slice_from(in, 1);
	q.sender = slice_split(&in, '\n');
	q.helo = slice_split(&in, '\n');
	f.answers = in;
	f.ip = &q.ip;
	arena_init(&a, 16 << 20);
	r = spf_check(&f.dns, &q, 0, &a, &out);
	assert(r == 0 || r == -ENOMEM);
	if (r == 0) {
		check_outcome(&out);
	}
	arena_fini(&a);
	return 0;
}
