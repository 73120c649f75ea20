/*
 * DMARC records (RFC 7489 6.3): tag=value pairs between semicolons, with
 * white space anywhere around them.
 */
#include <errno.h>

#include "base/err.h"
#include "trust/dmarc.h"

#define PERCENT_MAX 100
#define INTERVAL_DEFAULT 86400
#define TAGS_MAX 64

const char *dmarc_policy_name(enum dmarc_policy p)
{
	static const char *const names[] = { "none", "quarantine", "reject" };

	return names[p];
}

/* 0 or -EINVAL. */
static int read_policy(struct slice v, enum dmarc_policy *out)
{
	for (enum dmarc_policy p = DMARC_NONE; p <= DMARC_REJECT; p++) {
		if (slice_ieq(v, slice_cstr(dmarc_policy_name(p)))) {
			*out = p;
			return 0;
		}
	}
	return -EINVAL;
}

/* Only mailto is of use to anybody (7.1); others are left out. */
static void read_uris(struct slice v, struct dmarc_record *r)
{
	r->n_rua = 0;
	while (v.n > 0 && r->n_rua < DMARC_URIS_MAX) {
		struct slice uri = slice_trim(slice_split(&v, ','));

		if (slice_istarts(uri, S("mailto:"))) {
			r->rua[r->n_rua++] = uri;
		}
	}
}

struct reading {
	struct dmarc_record *r;
	bool has_policy, has_sub;
};

static void take_tag(struct reading *in, struct slice name, struct slice v)
{
	struct dmarc_record *r = in->r;
	uint32_t n;

	if (slice_ieq(name, S("p"))) {
		in->has_policy = read_policy(v, &r->policy) == 0;
	} else if (slice_ieq(name, S("sp"))) {
		in->has_sub = read_policy(v, &r->sub_policy) == 0;
	} else if (slice_ieq(name, S("adkim"))) {
		r->strict_dkim = slice_ieq(v, S("s"));
	} else if (slice_ieq(name, S("aspf"))) {
		r->strict_spf = slice_ieq(v, S("s"));
	} else if (slice_ieq(name, S("pct"))) {
		r->percent = slice_u32(v, &n) == 0 && n <= PERCENT_MAX ? n : PERCENT_MAX;
	} else if (slice_ieq(name, S("ri"))) {
		r->interval = slice_u32(v, &n) == 0 && n > 0 ? n : INTERVAL_DEFAULT;
	} else if (slice_ieq(name, S("rua"))) {
		read_uris(v, r);
	} else if (slice_ieq(name, S("fo")) && v.n > 0) {
		r->failure_options = v;
	}
}

int dmarc_record_parse(struct slice text, struct dmarc_record *out)
{
	struct reading in = { .r = out };

	*out = (struct dmarc_record){ .percent = PERCENT_MAX,
				      .interval = INTERVAL_DEFAULT,
				      .failure_options = S("0") };
	for (unsigned i = 0; text.n > 0; i++) {
		struct slice v = slice_split(&text, ';');
		struct slice name = slice_trim(slice_split(&v, '='));

		v = slice_trim(v);
		if (i == 0) {
			/* The version is no ordinary tag: first, and exact. */
			if (!slice_eq(name, S("v")) || !slice_eq(v, S("DMARC1"))) {
				return -EINVAL;
			}
		} else if (i > TAGS_MAX) {
			return -EINVAL;
		} else {
			take_tag(&in, name, v);
		}
	}
	/* 6.6.3 step 6: without a policy the reports may still be wanted. */
	if (!in.has_policy) {
		out->policy = out->sub_policy = DMARC_NONE;
		return out->n_rua ? 0 : -EINVAL;
	}
	if (!in.has_sub) {
		out->sub_policy = out->policy;
	}
	return 0;
}
