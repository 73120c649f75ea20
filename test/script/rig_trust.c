/*
 * "dns NAME TYPE VALUE", "dns NAME FAIL TYPE", "policy WHAT VALUE" and "trust
 * WHAT VALUE": from the first of them on sessions have a DNS, or a measure.
 */
#include "rig_trust.h"

#include <errno.h>

#include "base/err.h"
#include "io/dns.h"

#define VALUE_MAX 2048

static int type_of(struct slice word, enum dns_type *out)
{
	static const struct {
		struct slice word;
		enum dns_type type;
	} types[] = { { S("A"), DNS_A },     { S("AAAA"), DNS_AAAA }, { S("MX"), DNS_MX },
		      { S("TXT"), DNS_TXT }, { S("PTR"), DNS_PTR },   { S("CNAME"), DNS_CNAME } };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (slice_eq(types[i].word, word)) {
			*out = types[i].type;
			return 0;
		}
	}
	return -EINVAL;
}

static int do_dns(struct rig_trust *t, struct proto_env *env, struct slice name, struct slice rest)
{
	struct slice word = slice_split(&rest, ' ');
	char owner[512], value[VALUE_MAX];
	enum dns_type type;

	if (!t->dns && dns_mem_new(&t->dns) != 0) {
		return -ENOMEM;
	}
	env->dns = t->dns;
	if (slice_copy(name, owner, sizeof(owner)) < 0) {
		return -EINVAL;
	}
	if (slice_eq(word, S("FAIL"))) {
		return type_of(rest, &type) ? -EINVAL : dns_mem_fail(t->dns, owner, type, DNS_FAIL);
	}
	if (type_of(word, &type) != 0 || slice_copy(rest, value, sizeof(value)) < 0) {
		return -EINVAL;
	}
	return dns_mem_text(t->dns, owner, type, value);
}

static int do_policy(struct rig_trust *t, struct proto_env *env, struct slice what,
		     struct slice value)
{
	uint32_t n = 0;

	slice_u32(value, &n);
	if (slice_eq(what, S("connections"))) {
		t->opts.connections_per_minute = n;
	} else if (slice_eq(what, S("messages"))) {
		t->opts.messages_per_minute = n;
	} else if (slice_eq(what, S("greylist"))) {
		t->opts.greylist = n;
	} else if (slice_eq(what, S("first"))) {
		t->opts.first_time_delay = n;
	} else if (slice_eq(what, S("blocklist"))) {
		slice_copy(value, t->blocklist, sizeof(t->blocklist));
		t->list = t->blocklist;
		t->opts.blocklists = &t->list;
		t->opts.n_blocklists = 1;
	} else {
		return -EINVAL;
	}
	policy_free(&t->policy);
	if (policy_new(&t->opts, &t->policy) != 0) {
		return -ENOMEM;
	}
	env->policy = t->policy;
	return 0;
}

static int do_trust(struct rig_trust *t, struct proto_env *env, struct slice what,
		    struct slice value)
{
	if (slice_eq(what, S("dmarc"))) {
		env->trust_mark_only = slice_eq(value, S("mark"));
	} else if (slice_eq(what, S("spf_fail"))) {
		env->spf_fail = slice_eq(value, S("refuse"))   ? TRUST_ON_FAIL_REFUSE
				: slice_eq(value, S("accept")) ? TRUST_ON_FAIL_ACCEPT
							       : TRUST_ON_FAIL_JUNK;
	} else if (slice_eq(what, S("arc_sealer"))) {
		slice_copy(value, t->arc_sealer, sizeof(t->arc_sealer));
		t->sealer = t->arc_sealer;
		env->arc_sealers = &t->sealer;
		env->n_arc_sealers = 1;
	} else {
		return -EINVAL;
	}
	return 0;
}

int rig_trust_do(struct rig_trust *t, struct proto_env *env, struct slice verb, struct slice arg,
		 struct slice rest)
{
	if (slice_eq(verb, S("dns"))) {
		return do_dns(t, env, arg, rest);
	}
	if (slice_eq(verb, S("policy"))) {
		return do_policy(t, env, arg, rest);
	}
	return slice_eq(verb, S("trust")) ? do_trust(t, env, arg, rest) : 1;
}

void rig_trust_fini(struct rig_trust *t)
{
	dns_free(&t->dns);
	policy_free(&t->policy);
}
