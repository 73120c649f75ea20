/* A postmaster's questions to the DNS: see ask.h. */
#include "srv/ask.h"

#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/log.h"
#include "trust/spf.h"

#define ASK_MEMORY_MAX (8u << 20)
#define RDATA_TEXT_MAX (4u * 65536)

static const struct {
	const char *name;
	enum dns_type type;
} types[] = {
	{ "A", DNS_A },	    { "AAAA", DNS_AAAA }, { "CNAME", DNS_CNAME },
	{ "MX", DNS_MX },   { "NS", DNS_NS },	  { "PTR", DNS_PTR },
	{ "SRV", DNS_SRV }, { "TLSA", DNS_TLSA }, { "TXT", DNS_TXT },
};

static const char *const result_names[] = {
	[DNS_OK] = "ok",
	[DNS_NODATA] = "no data",
	[DNS_NXDOMAIN] = "no such name",
	[DNS_FAIL] = "failed",
};

static json_t *refuse(const char *code, const char *text)
{
	return json_pack("{s:b, s:s, s:s}", "ok", 0, "code", code, "error", text);
}

static struct slice member(const json_t *request, const char *name)
{
	const json_t *v = json_object_get(request, name);

	return json_is_string(v) ? slice_make(json_string_value(v), json_string_length(v))
				 : slice_make(NULL, 0);
}

/* What strangers wrote, as JSON: printable ASCII, the rest as \DDD. */
static json_t *plain(struct slice s)
{
	struct buf b = BUF_INIT(RDATA_TEXT_MAX);
	json_t *out;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= ' ' && c < 0x7f) {
			buf_addc(&b, (char)c);
		} else {
			buf_printf(&b, "\\%03u", c);
		}
	}
	out = json_stringn(b.n ? b.p : "", b.n);
	buf_fini(&b);
	return out;
}

static void set_plain(json_t *o, const char *key, struct slice s)
{
	if (s.n > 0) {
		json_object_set_new(o, key, plain(s));
	}
}

/* ---- dns.lookup ------------------------------------------------------------------ */

/* 0, or -EINVAL: damaged. */
static int addr_text(enum dns_type type, struct slice rdata, struct buf *out)
{
	char text[NET_ADDR_TEXT_MAX];
	struct net_addr a;

	if (dns_rdata_addr(type, rdata, &a) < 0) {
		return -EINVAL;
	}
	buf_adds(out, net_addr_text(&a, text));
	return 0;
}

static int name_text(struct slice rdata, struct buf *out)
{
	size_t used = dns_rdata_name(rdata, out);

	return used > 0 && used == rdata.n ? 0 : -EINVAL;
}

static int mx_text(struct slice rdata, struct buf *out)
{
	struct buf host = BUF_INIT(DNS_TEXT_MAX);
	uint16_t preference;
	int r = dns_rdata_mx(rdata, &preference, &host);

	if (r == 0) {
		buf_printf(out, "%u ", preference);
		buf_add(out, buf_slice(&host));
	}
	buf_fini(&host);
	return r;
}

static int tlsa_text(struct slice rdata, struct buf *out)
{
	struct dns_tlsa t;
	int r = dns_rdata_tlsa(rdata, &t);

	if (r == 0) {
		buf_printf(out, "%u %u %u ", t.usage, t.selector, t.matching);
		hex_encode(out, t.data);
	}
	return r;
}

static int rdata_text(enum dns_type type, struct slice rdata, struct buf *out)
{
	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		return addr_text(type, rdata, out);
	case DNS_MX:
		return mx_text(rdata, out);
	case DNS_TLSA:
		return tlsa_text(rdata, out);
	case DNS_TXT:
		return dns_rdata_txt(rdata, out);
	case DNS_SRV:
		hex_encode(out, rdata);
		return 0;
	default:
		return name_text(rdata, out);
	}
}

static json_t *records(enum dns_type type, const struct dns_answer *ans)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ans->n; i++) {
		struct buf b = BUF_INIT(RDATA_TEXT_MAX);

		if (rdata_text(type, ans->rdata[i], &b) != 0) {
			buf_reset(&b);
			buf_adds(&b, "damaged: ");
			hex_encode(&b, ans->rdata[i]);
		}
		json_array_append_new(list, plain(buf_slice(&b)));
		buf_fini(&b);
	}
	return list;
}

static json_t *lookup_data(enum dns_type type, const struct dns_answer *ans)
{
	json_t *o =
		json_pack("{s:s, s:b, s:b, s:I}", "result", result_names[ans->result], "secure",
			  (int)ans->secure, "bogus", (int)ans->bogus, "ttl", (json_int_t)ans->ttl);

	set_plain(o, "problem", slice_cstr(ans->why));
	json_object_set_new(o, "records", records(type, ans));
	return o;
}

CO_FN static json_t *run_lookup(struct dns *d, const json_t *request, struct arena *a)
{
	const char *wanted = json_string_value(json_object_get(request, "type"));
	struct dns_answer ans;
	size_t i = 0;
	int r;

	while (i < ARRAY_LEN(types) && (!wanted || strcasecmp(types[i].name, wanted) != 0)) {
		i++;
	}
	if (i == ARRAY_LEN(types)) {
		return refuse("invalid", "the type is one of A, AAAA, CNAME, MX, NS, PTR, SRV, "
					 "TLSA and TXT");
	}
	r = dns_query(d, member(request, "name"), types[i].type, 0, a, &ans);
	if (r == -EINVAL) {
		return refuse("invalid", "that is not a name the DNS can have");
	}
	if (r < 0) {
		return refuse("temporary", "the question was not answered");
	}
	return json_pack("{s:b, s:o}", "ok", 1, "data", lookup_data(types[i].type, &ans));
}

/* ---- trust.check ------------------------------------------------------------------ */

static json_t *spf_data(const struct spf_outcome *s)
{
	json_t *o = json_pack("{s:s}", "result", trust_result_name(s->result));

	set_plain(o, "domain", s->domain);
	set_plain(o, "mechanism", s->mechanism);
	set_plain(o, "problem", s->problem);
	set_plain(o, "explanation", s->explanation);
	json_object_set_new(o, "terms", json_integer(s->terms));
	json_object_set_new(o, "voids", json_integer(s->voids));
	return o;
}

/* One identity. 0 or -errno. */
CO_FN static int check_spf(struct dns *d, struct spf_query *q, struct slice sender, struct arena *a,
			   const char *key, json_t *into)
{
	struct spf_outcome out;
	int r;

	q->sender = sender;
	r = spf_check(d, q, 0, a, &out);
	if (r == 0) {
		json_object_set_new(into, key, spf_data(&out));
	}
	return r;
}

CO_FN static int check_iprev(struct dns *d, const struct net_addr *ip, struct arena *a,
			     json_t *into)
{
	struct iprev_outcome out;
	json_t *o;
	int r = iprev_check(d, ip, 0, a, &out);

	if (r < 0) {
		return r;
	}
	o = json_pack("{s:s}", "result", trust_result_name(out.result));
	set_plain(o, "name", out.name);
	json_object_set_new(into, "iprev", o);
	return 0;
}

CO_FN static json_t *run_check(struct dns *d, const struct config *config, const json_t *request,
			       struct arena *a)
{
	struct spf_query q = {
		.helo = member(request, "helo"),
		.receiver = slice_cstr(config->hostname),
		.now = clock_wall(),
	};
	struct slice from = member(request, "from");
	json_t *data;
	int r;

	if (net_addr_parse(member(request, "ip"), 0, &q.ip) < 0 || q.ip.sa.sa_family == AF_UNSPEC) {
		return refuse("invalid", "--ip takes an IPv4 or an IPv6 address");
	}
	if (q.helo.n == 0 && from.n == 0) {
		return refuse("invalid", "there is nothing to check without --helo or --from");
	}
	data = json_object();
	r = from.n ? check_spf(d, &q, from, a, "spf", data) : 0;
	if (r == 0 && q.helo.n > 0) {
		r = check_spf(d, &q, S(""), a, "spf-helo", data);
	}
	if (r == 0) {
		r = check_iprev(d, &q.ip, a, data);
	}
	if (r < 0) {
		json_decref(data);
		return refuse("temporary", "the check could not be finished");
	}
	return json_pack("{s:b, s:o}", "ok", 1, "data", data);
}

/* ---- where it is asked ---------------------------------------------------------------- */

static bool is_verb(const json_t *request, const char *verb)
{
	const char *have = json_string_value(json_object_get(request, "verb"));

	return have && strcmp(have, verb) == 0;
}

bool ask_knows(const json_t *request)
{
	return is_verb(request, "trust.check") || is_verb(request, "dns.lookup");
}

CO_FN json_t *ask_call(struct dns *d, const struct config *config, const json_t *request)
{
	struct arena a;
	json_t *reply;

	if (!d) {
		return refuse("temporary", "there is no resolver: see dns in the configuration");
	}
	arena_init(&a, ASK_MEMORY_MAX);
	reply = is_verb(request, "dns.lookup") ? run_lookup(d, request, &a)
					       : run_check(d, config, request, &a);
	arena_fini(&a);
	return reply;
}

int ask_resolver(const struct config *c, struct dns **out, struct err *e)
{
	struct dns_opts o = {
		.forward = (const char *const *)c->dns.servers,
		.n_forward = c->dns.n_servers,
		.recurse = c->dns.recurse,
		.trust_anchor = c->dns.trust_anchor,
		.timeout_ms = 1000 * (int64_t)c->dns.timeout,
	};

	*out = NULL;
	return c->dns.enabled ? dns_unbound_new(&o, out, e) : 0;
}

struct alone {
	struct dns *dns;
	const struct config *config;
	const json_t *request;
	json_t *reply;
};

static void alone_body(void *arg)
{
	struct alone *x = arg;

	co_enter();
	x->reply = ask_call(x->dns, x->config, x->request);
	co_loop_stop(co_loop_self());
}

json_t *ask_alone(const struct config *config, const json_t *request)
{
	struct alone x = { .config = config, .request = request };
	struct co_loop *l = NULL;
	struct err e = ERR_INIT;
	char text[256];

	if (ask_resolver(config, &x.dns, &e) < 0) {
		return refuse("temporary", err_str(&e, text, sizeof(text)));
	}
	if (co_loop_new(&l) == 0 && co_spawn("ask", alone_body, &x, NULL) == 0) {
		co_loop_run(l);
	}
	co_loop_free(&l);
	dns_free(&x.dns);
	return x.reply;
}
